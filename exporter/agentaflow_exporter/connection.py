"""One client's conversation, written in sequence and run in steps, so that no thread waits for it.

A conversation is a generator: it yields the selector event that it waits for (HANDLER: none, a
worker is busy with its request) and is closed from outside when its deadline has passed.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from functools import partial
from selectors import EVENT_READ, EVENT_WRITE
from typing import Protocol, TypeVar

from agentaflow_exporter.http1 import METHODS, Refusal, Request, Response, encode, parse_head

HANDLER = 0
_CHUNK = 16384
_RESET = struct.pack("ii", 1, 0)  # struct linger: on, 0 seconds

T = TypeVar("T")
Steps = Generator[int, None, T]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may cost. Deadlines are absolute: a trickle of bytes does not extend them."""

    head_seconds: float = 5.0  # from accept, or from the first byte after an idle pause
    write_seconds: float = 10.0  # to take the whole answer
    idle_seconds: float = 150.0  # between requests; longer than a scrape interval of 2 minutes
    drain_seconds: float = 1.0  # to read a refusal while still sending
    head_bytes: int = 8192
    connections: int = 512
    requests: int = 64  # waiting for a worker or in one
    workers: int = 4
    methods: tuple[str, ...] = METHODS


class Tls(Protocol):
    """What a conversation needs from TLS; `tls.py` has it, so that plain HTTP never imports ssl."""

    @property
    def waits(self) -> Mapping[type[OSError], int]:
        """The exceptions of a TLS socket that would block → the event to wait for."""
        ...

    def wrap(self, sock: socket.socket) -> socket.socket: ...

    def handshake(self, sock: socket.socket) -> None:
        """Raises one of `waits`, or another OSError when the client is not acceptable."""
        ...

    def unwrap(self, sock: socket.socket) -> None: ...


class Connection:
    """A socket, what it has sent so far, and until when it may take for its current step."""

    steps: Steps[None]

    def __init__(
        self, sock: socket.socket, tls: Tls | None, limits: Limits, clock: Callable[[], float]
    ) -> None:
        sock.setblocking(False)
        self.descriptor = sock.fileno()
        self.events = HANDLER  # what the server's selector watches for
        self.answer: Response | None = None
        self.waiting = True  # for a request, not for us
        self.since = clock()
        self.deadline: float | None = self.since + limits.head_seconds
        self._sock = sock
        self._tls = tls
        self._limits = limits
        self._clock = clock
        self._inbox = bytearray()

    def converse(self, submit: Callable[[Request], None]) -> Steps[None]:
        """The whole conversation; `submit` takes a request, and `answer` is set before resuming."""
        try:
            if self._tls:
                self._sock = self._tls.wrap(self._sock)
                yield from self._attempt(partial(self._tls.handshake, self._sock), EVENT_READ)
            while (yield from self._exchange(submit)):
                self.waiting, self.since = True, self._clock()
                self.deadline = self.since + self._limits.idle_seconds
                if not self._inbox:
                    yield from self._receive()
                self.deadline = self._clock() + self._limits.head_seconds
        except (OSError, EOFError):
            pass  # the client went away: there is nobody left to tell
        finally:
            self._sock.close()

    def _exchange(self, submit: Callable[[Request], None]) -> Steps[bool]:
        """One request and its answer; whether another one may follow."""
        keep_alive, head_only = False, False
        try:
            request = parse_head((yield from self._head()), self._limits.methods)
            keep_alive, head_only = request.keep_alive, request.method == "HEAD"
            self.deadline, self.answer, self.waiting = None, None, False
            submit(request)
            while self.answer is None:
                yield HANDLER
            response = self.answer
        except Refusal as refusal:
            response = refusal.response
        self.waiting = False
        self.deadline = self._clock() + self._limits.write_seconds
        yield from self._send(encode(response, keep_alive=keep_alive, head_only=head_only))
        if not keep_alive:
            self.waiting = True
            self.deadline = self._clock() + self._limits.drain_seconds
            yield from self._hang_up()
        return keep_alive

    def _head(self) -> Steps[bytes]:
        inbox = self._inbox
        while True:
            while inbox.startswith(b"\r\n"):  # RFC 9112 section 2.2: ignored before a request
                del inbox[:2]
            end = inbox.find(b"\r\n\r\n")
            if end > self._limits.head_bytes or (end < 0 and len(inbox) > self._limits.head_bytes):
                raise Refusal(431, f"a request's head may have {self._limits.head_bytes} bytes")
            if end >= 0:
                head = bytes(inbox[:end])
                del inbox[: end + 4]
                return head
            yield from self._receive()

    def _receive(self) -> Steps[None]:
        data = yield from self._attempt(partial(self._sock.recv, _CHUNK), EVENT_READ)
        if not data:
            raise EOFError
        self._inbox += data

    def _send(self, data: bytes) -> Steps[None]:
        rest = memoryview(data)
        try:
            while rest:
                sent = yield from self._attempt(partial(self._sock.send, rest), EVENT_WRITE)
                rest = rest[sent:]
        except GeneratorExit:
            # Reset: the kernel would keep the rest for a reader that does not read, and a
            # reader that does would take half an answer for a whole one.
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            raise

    def _hang_up(self) -> Steps[None]:
        """Close without a reset: unread bytes would make the kernel throw the answer away."""
        if self._tls:
            with contextlib.suppress(OSError):
                self._tls.unwrap(self._sock)
        self._sock.shutdown(socket.SHUT_WR)
        while (yield from self._attempt(partial(self._sock.recv, _CHUNK), EVENT_READ)):
            pass

    def _attempt(self, operation: Callable[[], T], event: int) -> Steps[T]:
        waits = self._tls.waits if self._tls else {}
        while True:
            try:
                return operation()
            except BlockingIOError:
                yield event
            except OSError as error:
                if type(error) not in waits:
                    raise
                yield waits[type(error)]
