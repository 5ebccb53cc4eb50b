"""The HTTP server: one thread for every socket, a few for the handlers, nobody can hold it up.

One thread accepts, shakes hands, reads and writes, without ever waiting for a client; Limits says
what a client may cost. Handlers run in a few worker threads. `http.server` gives each connection a
thread and no deadline: 400 silent clients are 402 threads (measured), and it weighs 8 MiB.
"""

from __future__ import annotations

import contextlib
import resource
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from queue import SimpleQueue
from selectors import EVENT_READ, DefaultSelector
from typing import TYPE_CHECKING

from agentaflow_exporter.connection import HANDLER, Connection, Limits
from agentaflow_exporter.http1 import Refusal, Request, Response, text_response
from agentaflow_exporter.listen import ListenError, listen_all

if TYPE_CHECKING:
    from pathlib import Path

    from agentaflow_exporter.webconfig import WebConfig

__all__ = ["Handler", "Limits", "ListenError", "Request", "Response", "Server", "text_response"]

Handler = Callable[[Request], Response]

_ACCEPT_PAUSE_SECONDS = 0.2


def _log_to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


class Server:
    """Listens from construction on, answers between start() and stop()."""

    def __init__(
        self,
        addresses: Sequence[str],
        handler: Handler,
        *,
        config: Path | None = None,
        limits: Limits | None = None,
        log: Callable[[str], None] = _log_to_stderr,
    ) -> None:
        """Raises ListenError, or WebConfigError when `config` cannot be used."""
        self._handler = handler
        self._log = log
        self._limits = limits or Limits()
        self._config = _load(config, log) if config else None
        self._listeners = listen_all(addresses)
        self._addresses = [listener.getsockname()[:2] for listener in self._listeners]
        self._connections: dict[Connection, None] = {}
        self._selector = DefaultSelector()
        self._wake_receiver, self._wake_sender = socket.socketpair()
        self._tasks: SimpleQueue[tuple[Connection, Request] | None] = SimpleQueue()
        self._answered: deque[Connection] = deque()
        self._busy = 0
        self._workers: list[threading.Thread] = []
        self._accept_again_at: float | None = None
        self._stop_by: float | None = None
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """The bound (host, port) pairs, in the order of the addresses asked for."""
        return list(self._addresses)

    def start(self) -> None:
        self._wake_receiver.setblocking(False)
        self._wake_sender.setblocking(False)
        self._selector.register(self._wake_receiver, EVENT_READ, self._awake)
        self._listen()
        self._thread.start()

    def stop(self, *, timeout_seconds: float = 5.0) -> None:
        """Answer the requests that have arrived, for at most `timeout_seconds`, and close."""
        self._stop_by = time.monotonic() + timeout_seconds
        self._wake()
        if self._thread.ident:
            self._thread.join()
        for _ in self._workers:
            self._tasks.put(None)
        for sock in (*self._listeners, self._wake_receiver, self._wake_sender):
            sock.close()
        self._selector.close()

    # The socket thread.

    def _run(self) -> None:
        while self._stop_by is None or self._in_flight(self._stop_by):
            for key, _ in self._selector.select(self._patience()):
                key.data()
            while self._answered:
                self._busy -= 1
                self._advance(self._answered.popleft())
            self._expire()
        for connection in list(self._connections):
            self._drop(connection)

    def _in_flight(self, stop_by: float) -> bool:
        """Whether stopping has to wait; those who have not asked anything yet are sent away."""
        self._stop_listening()
        for connection in [it for it in self._connections if it.waiting]:
            self._drop(connection)
        return bool(self._connections) and time.monotonic() < stop_by

    def _patience(self) -> float | None:
        """How long nothing but a socket or a worker can give this thread something to do."""
        deadlines = [it.deadline for it in self._connections if it.deadline is not None]
        deadlines += [at for at in (self._accept_again_at, self._stop_by) if at is not None]
        return max(0.0, min(deadlines) - time.monotonic()) if deadlines else None

    def _expire(self) -> None:
        now = time.monotonic()
        for connection in list(self._connections):
            if connection.deadline is not None and connection.deadline <= now:
                self._drop(connection)
        if self._accept_again_at is not None and self._accept_again_at <= now:
            self._listen()

    def _listen(self) -> None:
        self._accept_again_at = None
        for listener in self._listeners:
            listener.setblocking(False)
            self._selector.register(listener, EVENT_READ, partial(self._accept, listener))

    def _stop_listening(self) -> None:
        for listener in self._listeners:
            with contextlib.suppress(KeyError):
                self._selector.unregister(listener)

    def _accept(self, listener: socket.socket) -> None:
        try:
            sock, _ = listener.accept()
            if len(self._connections) >= self._most_connections():
                self._make_room()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except (BlockingIOError, ConnectionError):
            return
        except OSError:  # out of file descriptors or memory: accept(2) would fail again at once
            if not self._make_room():
                self._stop_listening()
                self._accept_again_at = time.monotonic() + _ACCEPT_PAUSE_SECONDS
            return
        tls = self._config.tls() if self._config else None
        connection = Connection(sock, tls, self._limits, time.monotonic)
        connection.steps = connection.converse(partial(self._submit, connection))
        self._connections[connection] = None
        self._advance(connection)

    def _most_connections(self) -> int:
        """Half of the file descriptors stay free for what the handlers read."""
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return min(self._limits.connections, soft // 2 if soft > 0 else self._limits.connections)

    def _make_room(self) -> bool:
        """Send away who has kept us waiting longest for a request, if anybody does."""
        waiting = [it for it in self._connections if it.waiting]
        if waiting:
            self._drop(min(waiting, key=lambda it: it.since))
        return bool(waiting)

    def _advance(self, connection: Connection) -> None:
        if connection not in self._connections:
            return
        try:
            events = next(connection.steps)
        except StopIteration:
            self._drop(connection)
        except Exception as error:  # one conversation must not end the others
            self._log(f"a connection failed: {type(error).__name__}: {error}")
            self._drop(connection)
        else:
            self._watch(connection, events)

    def _watch(self, connection: Connection, events: int) -> None:
        if events == connection.events:
            return
        if connection.events:
            self._selector.unregister(connection.descriptor)
        if events != HANDLER:
            step = partial(self._advance, connection)
            self._selector.register(connection.descriptor, events, step)
        connection.events = events

    def _drop(self, connection: Connection) -> None:
        self._watch(connection, HANDLER)
        connection.steps.close()
        self._connections.pop(connection, None)

    def _awake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wake_receiver.recv(4096)

    def _submit(self, connection: Connection, request: Request) -> None:
        if self._busy >= self._limits.requests:
            raise Refusal(503, "too many requests at once; try again", ("Retry-After", "1"))
        self._busy += 1
        if self._busy > len(self._workers) < self._limits.workers:
            name = f"web-worker-{len(self._workers)}"
            self._workers.append(threading.Thread(target=self._work, name=name, daemon=True))
            self._workers[-1].start()
        self._tasks.put((connection, request))

    # The worker threads.

    def _work(self) -> None:
        while task := self._tasks.get():
            connection, request = task
            connection.answer = self._answer(request)
            self._answered.append(connection)
            self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # full: it is awake already; closed: it has stopped
            self._wake_sender.send(b"\0")

    def _answer(self, request: Request) -> Response:
        try:
            if not self._config:
                return self._handler(request)
            return self._config.guard(self._handler, request)
        except Exception as error:  # the boundary: a handler's bug costs one answer
            self._log(f"{request.method} {request.path!r}: {type(error).__name__}: {error}")
            return text_response(500, "internal error; the exporter's log has the reason")


def _load(path: Path, log: Callable[[str], None]) -> WebConfig:
    # Imported only when asked for: ssl and yaml are memory that plain HTTP does not need.
    from agentaflow_exporter.webconfig import WebConfig

    return WebConfig(path, log)
