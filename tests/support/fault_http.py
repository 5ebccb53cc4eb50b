"""A tiny HTTP server on loopback that misbehaves as it is told, one step for each request."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from tests.support.certificates import Certificate

Step = Callable[[socket.socket, threading.Event], None]
JSON = "application/json"


def raw(data: bytes) -> Step:
    """These very bytes, then the end of the connection."""
    return lambda connection, _: connection.sendall(data)


def answer(
    body: bytes | str | Mapping[str, Any],
    status: int = 200,
    kind: str = JSON,
    headers: Mapping[str, str] | None = None,
) -> Step:
    """A whole and proper answer."""
    data = _bytes(body)
    return raw(_head(status, kind, {"Content-Length": str(len(data)), **(headers or {})}) + data)


def vector(*samples: tuple[Mapping[str, str], str], warnings: tuple[str, ...] = ()) -> Step:
    """Prometheus' answer to an instant query."""
    result = [{"metric": labels, "value": [1.0, value]} for labels, value in samples]
    data = {"resultType": "vector", "result": result}
    return answer({"status": "success", "data": data, "warnings": list(warnings)})


def failure(status: int, kind: str, text: str) -> Step:
    """Prometheus' own error."""
    return answer({"status": "error", "errorType": kind, "error": text}, status)


def gzipped(data: bytes) -> Step:
    packed = gzip.compress(data)
    head = _head(200, JSON, {"Content-Encoding": "gzip", "Content-Length": str(len(packed))})
    return raw(head + packed)


def cut_short(body: bytes, declared: int) -> Step:
    """Fewer bytes than the head promises."""
    return raw(_head(200, JSON, {"Content-Length": str(declared)}) + body)


def trickle(at_once: bytes) -> Step:
    """Some bytes at once, and then one every 20 ms for as long as anyone reads."""

    def step(connection: socket.socket, stopped: threading.Event) -> None:
        connection.sendall(at_once)
        while not stopped.wait(0.02):
            connection.sendall(b" ")

    return step


def endless() -> Step:
    """A body without an end."""

    def step(connection: socket.socket, stopped: threading.Event) -> None:
        connection.sendall(_head(200, JSON, {}) + b"[")
        while not stopped.is_set():
            connection.sendall(b"0," * 32_768)

    return step


def reset() -> Step:
    """A TCP reset before any answer."""

    def step(connection: socket.socket, _: threading.Event) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return step


HEAD_ONLY = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@dataclass
class FaultServer:
    """Plays its steps, one for each connection, and the last of them for ever."""

    steps: list[Step]
    certificate: Certificate | None = None  # speaks TLS with it
    requests: list[bytes] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._stopped = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._serve)]
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)

    @property
    def url(self) -> str:
        scheme = "https" if self.certificate else "http"
        return f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}"

    def _serve(self) -> None:
        for number, connection in enumerate(self._accepted()):
            step = self.steps[min(number, len(self.steps) - 1)]
            thread = threading.Thread(target=self._play, args=(connection, step))
            self._threads.append(thread)
            thread.start()

    def _accepted(self) -> Iterator[socket.socket]:
        with contextlib.suppress(OSError):
            while not self._stopped.is_set():
                yield self._listener.accept()[0]

    def _play(self, connection: socket.socket, step: Step) -> None:
        with contextlib.suppress(OSError), self._secured(connection) as connection:
            connection.settimeout(10)
            self.requests.append(_request(connection))
            step(connection, self._stopped)

    def _secured(self, connection: socket.socket) -> socket.socket:
        if self.certificate is None:
            return connection
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate.cert, self.certificate.key)
        with connection:
            return context.wrap_socket(connection, server_side=True)


def refused_url() -> str:
    """An address on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def _request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65_536) or b"\r\n\r\n"
    head, _, body = data.partition(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            while len(body) < int(line.partition(b":")[2]):
                body += connection.recv(65_536)
    return head + b"\r\n\r\n" + body


def _head(status: int, kind: str, headers: Mapping[str, str]) -> bytes:
    lines = {"Content-Type": kind, "Connection": "close", **headers}
    text = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {status} Scripted\r\n{text}\r\n".encode()


def _bytes(body: bytes | str | Mapping[str, Any]) -> bytes:
    if isinstance(body, bytes):
        return body
    return body.encode() if isinstance(body, str) else json.dumps(body).encode()
