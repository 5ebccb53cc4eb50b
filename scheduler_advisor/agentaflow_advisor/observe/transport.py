"""HTTP as the observer needs it: one deadline, bounded answers, and retries only where safe."""

from __future__ import annotations

import contextlib
import queue
import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import requests
import urllib3
from requests.auth import AuthBase, HTTPBasicAuth
from requests.utils import get_auth_from_url

from agentaflow_advisor.observe.deadline import DeadlineAdapter, Watch, deadline
from agentaflow_advisor.observe.errors import (
    AnswerUnusable,
    NotPrometheus,
    PrometheusDenied,
    PrometheusUnreachable,
    QueryTooLarge,
    one_line,
)

ATTEMPTS = 4
BACKOFF_SECONDS = 0.2
CONNECT_SECONDS = 5.0
BUSY = frozenset({429, 502, 503, 504})
CHUNK_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer, whole. `body` is decoded from its content encoding."""

    status: int
    content_type: str
    retry_after: str | None
    body: bytes

    @property
    def busy(self) -> bool:
        """Worth another try: overloaded or a proxy without a backend, not Prometheus' own error."""
        return self.status in BUSY and not self.body.lstrip().startswith(b"{")


class BearerToken(AuthBase):
    """A token, or a file that is read for every request because such tokens rotate."""

    def __init__(self, token: str | None, file: Path | None) -> None:
        self._token, self._file = token, file

    def __repr__(self) -> str:
        return "BearerToken(***)"

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        try:
            token = self._file.read_text().strip() if self._file else self._token
        except (OSError, UnicodeDecodeError) as error:
            raise PrometheusDenied(
                f"cannot read the Prometheus token file {self._file}: {one_line(error)}. "
                "Check the path and that this user may read it."
            ) from error
        request.headers["Authorization"] = f"Bearer {token}"
        return request


class Transport:
    """Requests to one server. Threads may share it: each exchange has a session to itself."""

    def __init__(
        self,
        url: str,
        *,
        timeout_seconds: float,
        max_bytes: int,
        auth: AuthBase | None,
        verify: bool | str,
        headers: Mapping[str, str],
    ) -> None:
        self.shown = _checked(url)
        self._timeout_seconds = timeout_seconds
        self._max_bytes = max_bytes
        self._auth = auth or _auth_in(url)
        self._verify = verify
        self._headers = {"User-Agent": "agentaflow", **headers}
        if _is_loopback(self.shown):  # to compress takes longer than to copy
            self._headers.setdefault("Accept-Encoding", "identity")
        self._idle: queue.SimpleQueue[requests.Session] = queue.SimpleQueue()

    def close(self) -> None:
        while not self._idle.empty():
            self._idle.get().close()

    @contextlib.contextmanager
    def _session(self) -> Iterator[requests.Session]:
        """One that is kept from before, with its connection, or a new one."""
        try:
            session = self._idle.get_nowait()
        except queue.Empty:
            session = requests.Session()
            session.mount("http://", DeadlineAdapter())
            session.mount("https://", DeadlineAdapter())
            session.auth = self._auth
            session.headers.update(self._headers)
        try:
            yield session
        finally:
            self._idle.put(session)

    def request(self, method: str, path: str, form: Mapping[str, str] | None = None) -> Reply:
        """One exchange. Only reads are asked for, so what brought no answer may be tried again."""
        end = time.monotonic() + self._timeout_seconds
        for attempt in range(1, ATTEMPTS + 1):
            last = attempt == ATTEMPTS
            try:
                reply = self._once(method, path, form, end)
            except _NoAnswer as error:
                if last or not self._pause(attempt, None, end):
                    raise self._unreachable(error) from error.__cause__
                continue
            if not reply.busy:
                return self._allowed(reply)
            if last or not self._pause(attempt, reply.retry_after, end):
                break
        raise PrometheusUnreachable(
            f"{self.shown} is overloaded (HTTP {reply.status}"
            + (f", asks to wait {one_line(reply.retry_after)}" if reply.retry_after else "")
            + f") after {attempt} attempts. Wait and try again, or ask it for less."
        )

    def _once(self, method: str, path: str, form: Mapping[str, str] | None, end: float) -> Reply:
        left = max(0.001, end - time.monotonic())
        with deadline(left) as watch, self._session() as session:
            try:
                response = session.request(
                    method,
                    self.shown + path,
                    data=form,
                    stream=True,
                    allow_redirects=False,
                    timeout=(min(CONNECT_SECONDS, left), left),
                    verify=self._verify,  # on the session REQUESTS_CA_BUNDLE would override it
                )
            except requests.exceptions.SSLError as error:
                raise self._tls(error) from error
            except requests.exceptions.RequestException as error:
                if watch.expired or isinstance(error, requests.exceptions.ReadTimeout):
                    raise self._slow() from error
                raise _NoAnswer(error) from error
            with response:
                return Reply(
                    response.status_code,
                    response.headers.get("Content-Type", ""),
                    response.headers.get("Retry-After"),
                    self._body(response, watch),
                )

    def _body(self, response: requests.Response, watch: Watch) -> bytes:
        body = bytearray()
        try:
            while chunk := response.raw.read(CHUNK_BYTES, decode_content=True):
                body += chunk
                if len(body) > self._max_bytes:
                    raise QueryTooLarge(
                        f"{self.shown} answered more than {self._max_bytes >> 20} MiB. "
                        "Ask for fewer GPUs or raise the limit."
                    )
        except urllib3.exceptions.HTTPError as error:
            if watch.expired or isinstance(error, urllib3.exceptions.ReadTimeoutError):
                raise self._slow() from error
            raise self._cut_off(len(body)) from error
        if watch.expired:  # a body without Content-Length just ends when it is cut
            raise self._slow()
        return bytes(body)

    def _pause(self, attempt: int, retry_after: str | None, end: float) -> bool:
        """Wait before the next attempt; False where that would outlast the deadline."""
        seconds = BACKOFF_SECONDS * 2 ** (attempt - 1) * random.uniform(0.5, 1.5)  # noqa: S311
        seconds = max(seconds, _seconds(retry_after))
        if time.monotonic() + seconds >= end:
            return False
        time.sleep(seconds)
        return True

    def _allowed(self, reply: Reply) -> Reply:
        if reply.status in (401, 403):
            raise PrometheusDenied(
                f"{self.shown} refused our credentials (HTTP {reply.status}). "
                "Give a bearer token or a user and password that may query it."
            )
        if 300 <= reply.status < 400:
            raise NotPrometheus(
                f"{self.shown} redirects elsewhere (HTTP {reply.status}): a login page or an old "
                "address. Give Prometheus' own URL."
            )
        return reply

    def _slow(self) -> PrometheusUnreachable:
        return PrometheusUnreachable(
            f"{self.shown} did not finish its answer within {self._timeout_seconds:g} s. "
            "Check its load, shorten the window, or raise the timeout."
        )

    def _cut_off(self, received: int) -> AnswerUnusable:
        return AnswerUnusable(
            f"the answer of {self.shown} was cut off after {received} bytes. "
            "Try again; if it stays so, look at the proxies in between."
        )

    def _tls(self, error: Exception) -> PrometheusUnreachable:
        return PrometheusUnreachable(
            f"no trusted TLS connection to {self.shown}: {_root(error)}. "
            "Check the URL's scheme, or give the CA file that signed its certificate."
        )

    def _unreachable(self, error: _NoAnswer) -> PrometheusUnreachable:
        return PrometheusUnreachable(
            f"cannot reach Prometheus at {self.shown}: {_root(error.__cause__)}. "
            "Check that it runs and that the URL is right."
        )


class _NoAnswer(Exception):
    """The connection failed before an answer began; the cause tells how."""


def _checked(url: str) -> str:
    """The URL without a trailing slash, and without credentials: it is shown in messages."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise NotPrometheus(
            f"{one_line(url.rpartition('@')[2])!r} is not the URL of a Prometheus. "
            "Give one such as http://127.0.0.1:9090."
        )
    netloc = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, netloc, parts.path.rstrip("/"), "", ""))


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _auth_in(url: str) -> AuthBase | None:
    user, password = get_auth_from_url(url)
    return HTTPBasicAuth(user, password) if user else None


def _root(error: BaseException | None) -> str:
    """The innermost reason, out of the wrappings of requests and urllib3."""
    while error is not None:
        inside = (getattr(error, "reason", None), error.__cause__, *error.args)
        inner = next((one for one in inside if isinstance(one, BaseException)), None)
        if inner is None:
            break
        error = inner
    if isinstance(error, OSError) and error.strerror:
        return one_line(error.strerror)
    return one_line(error)


def _seconds(retry_after: str | None) -> float:
    """Retry-After, in seconds or as an HTTP date (RFC 9110, 10.2.3); 0 where it is neither."""
    if not retry_after:
        return 0.0
    if retry_after.strip().isdigit():
        return float(retry_after)
    try:
        at = parsedate_to_datetime(retry_after)
    except (TypeError, ValueError):
        return 0.0
    return max(0.0, (at - datetime.now(UTC)).total_seconds()) if at.tzinfo else 0.0
