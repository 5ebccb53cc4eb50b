"""Sends boards to a Grafana over its HTTP API; boards that are there as they are stay untouched."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import requests

SECONDS = 30
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
        self.url = url.rstrip("/")
        self._session = requests.Session()
        self._session.headers["Accept"] = "application/json"
        if token:
            self._session.headers["Authorization"] = f"Bearer {token}"
            self._session.trust_env = False  # a netrc entry would replace the token
        elif user:
            self._session.auth = (user, password)

    def ensure_folder(self, uid: str, title: str) -> None:
        """Make the folder if there is none with that uid. Raises PushFailed."""
        if self._ask("GET", f"/api/folders/{uid}") is None:
            self._ask("POST", "/api/folders", {"uid": uid, "title": title})

    def push(
        self,
        boards: Iterable[dict[str, Any]],
        *,
        folder: str = "",
        message: str = "",
        overwrite: bool = False,
    ) -> list[Pushed]:
        """Send those that differ from what is there, each by its uid. Raises PushFailed."""
        return [self._push(board, folder, message, overwrite) for board in boards]

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
