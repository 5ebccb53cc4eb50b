"""Unary gRPC calls over a unix socket, by h2: grpcio would take more memory than the exporter.

https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
"""

from __future__ import annotations

import errno
import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings

LARGEST_ANSWER_BYTES = 16 * 2**20  # 250 pods take 20 KB
_WINDOW_BYTES = 2**20  # what the server may send before we have taken it: few turns, little memory
_READ_BYTES = 65536
_PREFIX_BYTES = 5  # a flag for compression, the message's length
_LONGEST_MESSAGE = 200
_STATUSES = (
    *("OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND"),
    *("ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION"),
    *("ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"),
    "UNAUTHENTICATED",
)
_HINTS = {
    errno.ENOENT: "is it running, and is its folder mounted?",
    errno.EACCES: "the socket is root's alone",
    errno.ECONNREFUSED: "is it running?",
}
_Version = tuple[int, int, int]


class CallFailed(Exception):
    """No answer, or none that can be used; the text is one line."""


class _Ended(CallFailed):
    """The connection is of no use any more."""


class Channel:
    """Keeps its connection from call to call. For one thread at a time."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._version: _Version | None = None
        self._connection: _Connection | None = None

    def call(self, method: str, request: bytes, seconds: float) -> bytes:
        """The answer to `method`, such as /package.Service/Method. Raises CallFailed.

        A call on a connection that ended since the last one is made again on a new one, within
        the same time: only for methods that change nothing.
        """
        deadline = self._clock() + seconds
        if self._connection is not None and self._version_now() == self._version:
            try:
                return self._call(self._connection, method, request, deadline)
            except _Ended:
                pass  # the server was started anew
        return self._call(self._open(deadline), method, request, deadline)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _call(self, connection: _Connection, method: str, request: bytes, deadline: float) -> bytes:
        """After a failure nothing is left of the connection, so that no late answer is taken."""
        try:
            headers, body = connection.call(method, request, deadline)
        except BaseException:
            self.close()
            raise
        return _message(headers, body)

    def _open(self, deadline: float) -> _Connection:
        self.close()
        self._version = self._version_now()
        end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            end.settimeout(max(deadline - self._clock(), 0.001))
            end.connect(str(self._path))
        except OSError as error:
            end.close()
            raise CallFailed(_described(error)) from error
        self._connection = connection = _Connection(end, self._clock)
        return connection

    def _version_now(self) -> _Version | None:
        """Of the socket's file: one that was put in its place is another server's."""
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino, status.st_ctime_ns


class _Connection:
    def __init__(self, end: socket.socket, clock: Callable[[], float]) -> None:
        self._socket = end
        self._clock = clock
        configuration = h2.config.H2Configuration(client_side=True, header_encoding=None)
        self._http = h2.connection.H2Connection(configuration)
        codes = h2.settings.SettingCodes
        self._http.local_settings = h2.settings.Settings(
            client=True,
            initial_values={
                codes.ENABLE_PUSH: 0,
                codes.INITIAL_WINDOW_SIZE: _WINDOW_BYTES,
                codes.MAX_HEADER_LIST_SIZE: 65536,
            },
        )
        self._http.initiate_connection()
        self._http.increment_flow_control_window(_WINDOW_BYTES)

    def call(
        self, method: str, request: bytes, deadline: float
    ) -> tuple[dict[bytes, bytes], bytearray]:
        """The headers with the trailers, and the body."""
        try:
            stream = self._http.get_next_available_stream_id()
            self._http.send_headers(stream, _request_headers(method))
            frame = b"\0" + len(request).to_bytes(4, "big") + request
            self._http.send_data(stream, frame, end_stream=True)
            self._flush(deadline)
            return self._answer(stream, deadline)
        except TimeoutError as error:
            raise CallFailed("no answer in time") from error
        except OSError as error:
            raise _Ended(_described(error)) from error
        except h2.exceptions.H2Error as error:
            raise _Ended(f"does not speak HTTP/2: {_one_line(str(error))}") from error

    def close(self) -> None:
        self._socket.close()

    def _answer(self, stream: int, deadline: float) -> tuple[dict[bytes, bytes], bytearray]:
        headers: dict[bytes, bytes] = {}
        body = bytearray()
        for event in self._events(deadline):
            if isinstance(event, h2.events.ConnectionTerminated):
                raise _Ended("the server ended the connection")
            if getattr(event, "stream_id", None) != stream:
                continue
            match event:
                case h2.events.ResponseReceived() | h2.events.TrailersReceived():
                    headers.update(event.headers)
                case h2.events.DataReceived():
                    body += event.data
                    if len(body) > LARGEST_ANSWER_BYTES:
                        limit = LARGEST_ANSWER_BYTES // 2**20
                        raise CallFailed(f"an answer of more than {limit} MiB")
                    self._http.acknowledge_received_data(event.flow_controlled_length, stream)
                case h2.events.StreamReset():
                    raise CallFailed(f"the server broke the call off (code {event.error_code})")
                case h2.events.StreamEnded():
                    break
        return headers, body

    def _events(self, deadline: float) -> Iterator[h2.events.Event]:
        while True:
            self._socket.settimeout(self._left(deadline))
            data = self._socket.recv(_READ_BYTES)
            if not data:
                raise _Ended("the server ended the connection")
            yield from self._http.receive_data(data)
            self._flush(deadline)

    def _flush(self, deadline: float) -> None:
        if data := self._http.data_to_send():
            self._socket.settimeout(self._left(deadline))
            self._socket.sendall(data)

    def _left(self, deadline: float) -> float:
        left = deadline - self._clock()
        if left <= 0:
            raise TimeoutError
        return left


def _request_headers(method: str) -> list[tuple[str, str]]:
    return [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", method),
        (":authority", "localhost"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        ("user-agent", "agentaflow-exporter"),
    ]


def _message(headers: dict[bytes, bytes], body: bytearray) -> bytes:
    """The one message of an answer that succeeded."""
    if (status := headers.get(b":status")) != b"200":
        raise CallFailed(f"HTTP status {_one_line(_text(status))}: not a gRPC server")
    code = _text(headers.get(b"grpc-status"))
    if code != "0":
        name = _STATUSES[int(code)] if code.isdecimal() and int(code) < len(_STATUSES) else code
        message = _one_line(_unquoted(headers.get(b"grpc-message", b"")))
        raise CallFailed(f"gRPC status {_one_line(name) or 'missing'}: {message}".rstrip(": "))
    size = int.from_bytes(body[1:_PREFIX_BYTES], "big")
    if len(body) < _PREFIX_BYTES or body[0] != 0 or len(body) - _PREFIX_BYTES != size:
        raise CallFailed("an answer that is not one plain message")
    return bytes(memoryview(body)[_PREFIX_BYTES:])


def _described(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    hint = _HINTS.get(error.errno or 0)
    return f"{error.strerror or error}{f': {hint}' if hint else ''}"


def _text(value: bytes | None) -> str:
    return (value or b"").decode("ascii", errors="replace")


def _unquoted(value: bytes) -> str:
    """gRPC quotes what is not printable ASCII as % and two digits."""
    plain = re.sub(rb"%([0-9A-Fa-f]{2})", lambda found: bytes.fromhex(found[1].decode()), value)
    return plain.decode(errors="replace")


def _one_line(message: str) -> str:
    return " ".join(message.split())[:_LONGEST_MESSAGE]
