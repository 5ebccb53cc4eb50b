"""A proxy on loopback in front of a real API server that loses, delays and falsifies answers."""

from __future__ import annotations

import contextlib
import http.client
import json
import select
import socket
import ssl
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self
from urllib.parse import parse_qs, urlsplit

from tools.processes import eventually

JSON = "application/json"


class Kind(StrEnum):
    """What happens to the request; those with THEN reach the API server first."""

    HOLD = "hold"
    RESET = "reset"
    ANSWER = "answer"
    EDIT_THEN_FORWARD = "edit, then forward"
    FORWARD_THEN_HOLD = "forward, then hold"
    FORWARD_THEN_RESET = "forward, then reset"
    FORWARD_THEN_ANSWER = "forward, then answer"
    FORWARD_THEN_TRUNCATE = "forward, then truncate"
    SILENCE = "silence"
    EXPIRE = "410 on the way"


WATCH = "WATCH"
"""The method of a fault that befalls the next piece of a watch that is under way."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Befalls one request: the next of that method, dry runs only if so wished."""

    kind: Kind
    status: int = 500
    method: str = "PATCH"
    dry_run: bool = False
    path: str = ""  # a part of it
    edit: Callable[[], object] = lambda: None  # what someone else does in the meantime

    def befalls(self, method: str, path: str) -> bool:
        return method == self.method and is_dry_run(path) == self.dry_run and self.path in path


@dataclass(frozen=True, slots=True)
class Seen:
    """One request and what the API server, not the proxy, answered; None: it never saw it."""

    method: str
    path: str
    status: int | None


def is_dry_run(path: str) -> bool:
    return "dryRun" in parse_qs(urlsplit(path).query)


def is_watch(path: str) -> bool:
    return parse_qs(urlsplit(path).query).get("watch") == ["true"]


class FaultProxy:
    """`with FaultProxy(cluster.url, cluster.ca_file) as proxy:` then `proxy.inject(Fault(…))`."""

    def __init__(self, upstream: str, ca_file: Path) -> None:
        self.upstream = urlsplit(upstream).netloc
        self.tls = ssl.create_default_context(cafile=ca_file)
        self.seen: list[Seen] = []
        self.faults: deque[Fault] = deque()
        self.struck: list[Kind] = []
        self.released = threading.Event()
        self.spares: deque[http.client.HTTPSConnection] = deque()
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        handler = type("Handler", (_Handler,), {"owner": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        for connection in self.spares:
            connection.close()

    def connection(self, timeout_seconds: float) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(self.upstream, context=self.tls, timeout=timeout_seconds)

    def spare(self) -> http.client.HTTPSConnection:
        """A connection that has been used before and still stands, or another one."""
        with contextlib.suppress(IndexError):
            while used := self.spares.pop():
                if used.sock and not select.select([used.sock], [], [], 0)[0]:
                    return used
                used.close()
        return self.connection(FORWARD_SECONDS)

    def inject(self, *faults: Fault) -> None:
        self.faults.extend(faults)

    def wait_until_struck(self, kind: Kind, seconds: float = 30) -> None:
        """Until such a fault has befallen a request; with THEN, after the API server's answer."""
        eventually(lambda: kind in self.struck, seconds, what=f"fault {kind}")

    def writes(self) -> list[Seen]:
        """The PATCHes that the API server accepted for good."""
        return [
            seen
            for seen in self.seen
            if seen.method == "PATCH" and seen.status == 200 and not is_dry_run(seen.path)
        ]

    def take(self, method: str, path: str) -> Fault | None:
        with self._lock:
            for fault in self.faults:
                if fault.befalls(method, path):
                    self.faults.remove(fault)
                    return fault
        return None


FORWARD_SECONDS = 30.0
WATCH_SECONDS = 320.0  # longer than an API server keeps one open that brings nothing


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that was killed leaves broken connections behind: that is what we test."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else a body waits 40 ms for the ACK of its head
    owner: FaultProxy

    def log_message(self, format: str, *args: object) -> None:
        pass

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.owner.take(self.command, self.path)
        if fault is None and is_watch(self.path):
            self._stream()
        elif fault is None:
            self._pass_on(*self._forward(body))
        else:
            self._strike(fault, body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815

    def _strike(self, fault: Fault, body: bytes) -> None:
        if fault.kind is Kind.EDIT_THEN_FORWARD:
            fault.edit()
        status, answer, form = 0, b"", JSON
        if fault.kind in (Kind.HOLD, Kind.RESET, Kind.ANSWER):
            self.owner.seen.append(Seen(self.command, self.path, None))
        else:
            status, answer, form = self._forward(body)
        self.owner.struck.append(fault.kind)
        match fault.kind:
            case Kind.HOLD | Kind.FORWARD_THEN_HOLD:
                self.owner.released.wait()
                self.close_connection = True
            case Kind.RESET | Kind.FORWARD_THEN_RESET:
                self._reset()
            case Kind.ANSWER | Kind.FORWARD_THEN_ANSWER:
                self._pass_on(fault.status, _status(fault.status))
            case Kind.FORWARD_THEN_TRUNCATE:
                self._pass_on(status, answer, form, send=len(answer) // 2)
            case Kind.EDIT_THEN_FORWARD:
                self._pass_on(status, answer, form)

    def _stream(self) -> None:
        """Piece by piece, as they come."""
        with self._asked(b"", self.owner.connection(WATCH_SECONDS)) as answer:
            self.send_response(answer.status)
            self.send_header("Content-Type", JSON)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            while piece := answer.read1(1 << 16):
                fault = self.owner.take(WATCH, self.path)
                if fault is not None:
                    self._strike_stream(fault, piece)
                    return
                self._send_piece(piece)
            self._send_piece(b"")

    def _strike_stream(self, fault: Fault, piece: bytes) -> None:
        """The piece is lost, or half of it."""
        self.owner.struck.append(fault.kind)
        self.close_connection = True
        match fault.kind:
            case Kind.SILENCE:
                self.owner.released.wait()
            case Kind.EXPIRE:
                self._send_piece(_EXPIRED)
                self._send_piece(b"")
            case Kind.FORWARD_THEN_TRUNCATE:
                self._send_piece(piece[: len(piece) // 2])
            case _:
                self._reset()

    def _send_piece(self, piece: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))

    def _forward(self, body: bytes) -> tuple[int, bytes, str]:
        with self._asked(body, self.owner.spare()) as answer:
            return answer.status, answer.read(), answer.headers.get("Content-Type", JSON)

    @contextlib.contextmanager
    def _asked(
        self, body: bytes, connection: http.client.HTTPSConnection
    ) -> Iterator[http.client.HTTPResponse]:
        skipped = {"host", "connection", "accept-encoding", "content-length"}
        headers = {
            name: value for name, value in self.headers.items() if name.lower() not in skipped
        }
        with contextlib.ExitStack() as stack:
            stack.callback(connection.close)
            connection.request(self.command, self.path, body or None, headers)
            answer = connection.getresponse()
            yield answer
            if answer.isclosed() and not answer.will_close:  # read to its end
                stack.pop_all()
                self.owner.spares.append(connection)
        self.owner.seen.append(Seen(self.command, self.path, answer.status))

    def _pass_on(
        self, status: int, content: bytes, form: str = JSON, *, send: int | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", form)
        self.send_header("Content-Length", str(len(content)))
        if status == http.HTTPStatus.TOO_MANY_REQUESTS:
            self.send_header("Retry-After", "1")
        self.end_headers()
        self.wfile.write(content[:send])
        self.close_connection = self.close_connection or send is not None

    def _reset(self) -> None:
        """RST instead of FIN, as a crashed middle box does it."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True


_EXPIRED = b'{"type": "ERROR", "object": {"code": 410, "message": "injected 410"}}\n'


def _status(code: int) -> bytes:
    status = {"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code}
    return json.dumps({**status, "message": f"injected {code}", "metadata": {}}).encode()
