"""Sends boards to a Grafana over its HTTP API; boards that are there as they are stay untouched."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.auth import HTTPBasicAuth

SECONDS = 30
FOLDER_UID = re.compile(r"[A-Za-z0-9_-]{1,40}")
OF_THE_SERVER = ("id", "version")
"""Fields that Grafana sets itself: they say nothing about whether a board changed."""


class PushFailed(Exception):
    """Grafana did not take the boards; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """What became of one board: `created`, `updated` or `unchanged`."""

    title: str
    uid: str
    outcome: str
    url: str = ""


class Grafana:
    """A Grafana at `url`. Give a service account's token, or a user and a password."""

    def __init__(self, url: str, *, token: str = "", user: str = "", password: str = "") -> None:
        """Raises PushFailed for a URL or token that can be none; the message shows neither."""
        self.url = _checked_url(url)
        self._session = requests.Session()
        self._session.headers["Accept"] = "application/json"
        if token := token.strip():
            self._session.headers["Authorization"] = f"Bearer {_checked_token(token)}"
            self._session.trust_env = False  # a netrc entry would replace the token
        elif user:
            # As bytes, since requests can send no more than Latin-1 of a text.
            self._session.auth = HTTPBasicAuth(_bytes(user), _bytes(password))

    def ensure_folder(self, uid: str, title: str) -> None:
        """Make the folder if there is none with that uid. Raises PushFailed."""
        if not FOLDER_UID.fullmatch(uid):
            raise PushFailed(
                f"--folder: {uid!r} is no uid; take at most 40 letters, digits, - and _, and give"
                " the name that people read with --folder-title"
            )
        if self._ask("GET", f"/api/folders/{uid}") is None:
            self._ask("POST", "/api/folders", {"uid": uid, "title": title})

    def push(
        self,
        boards: Iterable[dict[str, Any]],
        *,
        folder: str = "",
        message: str = "",
        overwrite: bool = False,
    ) -> Iterator[Pushed]:
        """Send those that differ from what is there, each by its uid. Raises PushFailed."""
        for board in boards:
            try:
                done = self._push(board, folder, message, overwrite)
            except PushFailed as error:
                raise PushFailed(f"{board['uid']}: {error}") from error
            yield done

    def _push(self, board: dict[str, Any], folder: str, message: str, overwrite: bool) -> Pushed:
        uid, title = board["uid"], board["title"]
        there = self._ask("GET", f"/api/dashboards/uid/{uid}")
        if there and _same(there, board, folder):
            return Pushed(title, uid, "unchanged", there["meta"].get("url", ""))
        version = there["dashboard"].get("version") if there else None
        sent = {**board, **({"version": version} if version is not None else {})}
        body = {"dashboard": sent, "folderUid": folder, "overwrite": overwrite, "message": message}
        said = self._ask("POST", "/api/dashboards/db", body)
        if said is None:
            raise PushFailed(f"{self.url}: no folder {folder}; leave --folder out, or make it")
        return Pushed(title, uid, "updated" if there else "created", said.get("url", ""))

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        """The answer's JSON; None where there is no such thing."""
        try:
            answer = self._session.request(
                method, f"{self.url}{path}", json=body, timeout=SECONDS, allow_redirects=False
            )
        except requests.RequestException as error:
            why = str(error).partition(" (Caused")[0]
            raise PushFailed(
                f"{self.url}: cannot be reached; is it Grafana's URL? {why}"
            ) from error
        said = self._json(answer)
        if answer.status_code == requests.codes.not_found:
            return None
        if not answer.ok:
            raise PushFailed(f"{self.url}{path}: {_why(answer.status_code, said)}")
        return said

    def _json(self, answer: requests.Response) -> Any:
        try:
            said = answer.json()
        except requests.JSONDecodeError:
            said = None
        if not isinstance(said, dict) or answer.is_redirect:
            raise PushFailed(
                f"{self.url}: does not answer as Grafana's API does (status {answer.status_code});"
                " give the URL that Grafana's own pages begin with"
            )
        return said


def _checked_url(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise PushFailed("--grafana-url: not a web address; give http://HOST or https://HOST")
    if "@" in parts.netloc:
        raise PushFailed(
            "--grafana-url: a password in a URL is seen by others; give user and password in"
            " $GRAFANA_USER and $GRAFANA_PASSWORD"
        )
    return url.rstrip("/")


def _checked_token(token: str) -> str:
    if not re.fullmatch(r"[!-~]+", token):
        raise PushFailed(
            "$GRAFANA_TOKEN: has a line break, a space or a letter that no token has; give it as"
            " Grafana showed it"
        )
    return token


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _same(there: dict[str, Any], board: dict[str, Any], folder: str) -> bool:
    theirs = {key: value for key, value in there["dashboard"].items() if key not in OF_THE_SERVER}
    ours = {key: value for key, value in board.items() if key not in OF_THE_SERVER}
    return theirs == ours and there["meta"].get("folderUid", "") == folder


def _why(status: int, said: dict[str, Any]) -> str:
    message = str(said.get("message", "no reason given")).replace("\n", " ")
    if status == requests.codes.unauthorized:
        return f"{message}; give a token that is valid in $GRAFANA_TOKEN"
    if status == requests.codes.forbidden:
        return f"{message}; the token needs the role Editor"
    if status == requests.codes.precondition_failed:
        if said.get("status") == "version-mismatch":
            return "somebody saved the board meanwhile; look at it, or replace it with --overwrite"
        return f"{message} ({said.get('status', '')}); --overwrite replaces it"
    return f"{message} (status {status})"
