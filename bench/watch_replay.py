"""What a real API server answered to a list and a watch, recorded, and served again at any pace.

Writers on one machine cannot make a real API server change 1,000 objects a second; its very bytes
can be sent as fast as that, so that what follows them is measured by the wall clock.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import parse_qs, quote, urlsplit

from tools.control_plane import ControlPlane
from tools.processes import eventually

PODS = "/api/v1/pods"
PAGE = 500
TICK_SECONDS = 0.005
WATCH_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Recording:
    """`pages` of the list; `events` of the watch after it, a line each."""

    pages: tuple[bytes, ...]
    events: tuple[bytes, ...]


class Recorder:
    """`with Recorder(cluster) as recorder:` change pods, then `recorder.recording(number)`."""

    def __init__(self, cluster: ControlPlane) -> None:
        self._cluster = cluster
        self._tls = ssl.create_default_context(cafile=cluster.ca_file)
        self._pages: list[bytes] = []
        self._events: list[bytes] = []

    def __enter__(self) -> Self:
        token, version = "", ""
        while not self._pages or token:
            asked = f"limit={PAGE}{f'&continue={quote(token)}' if token else ''}"
            self._pages.append(self._ask(asked).read())
            told = json.loads(self._pages[-1])["metadata"]
            token, version = told.get("continue", ""), told["resourceVersion"]
        self._watch = self._ask(
            f"watch=true&resourceVersion={version}&timeoutSeconds={WATCH_SECONDS}"
        )
        self._thread = threading.Thread(target=self._record, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """What reads it sees its end; to close it under its hands would be an error there."""
        with contextlib.suppress(OSError):
            self._connection.sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self._connection.close()

    def recording(self, number: int) -> Recording:
        """Once so many events have come."""
        eventually(lambda: len(self._events) >= number, 60, what="events recorded")
        return Recording(tuple(self._pages), tuple(self._events[:number]))

    def _ask(self, query: str) -> http.client.HTTPResponse:
        self._connection = http.client.HTTPSConnection(
            urlsplit(self._cluster.url).netloc, context=self._tls, timeout=WATCH_SECONDS
        )
        headers = {"Authorization": f"Bearer {self._cluster.token}"}
        self._connection.request("GET", f"{PODS}?{query}", headers=headers)
        return self._connection.getresponse()

    def _record(self) -> None:
        with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
            for line in self._watch:
                if b'"MODIFIED"' in line[:40]:
                    self._events.append(line)


@dataclass(slots=True)
class Replay:
    """Serves a recording; `sent_at[i]` is when event i went out, on the machine's own clock."""

    recording: Recording
    pace: float | None  # events a second; None: as fast as they are taken
    url: str = ""
    sent_at: list[float] = field(default_factory=list)

    def page(self, query: str) -> bytes:
        """The list's first page, or the one that the token asks for."""
        token = parse_qs(query).get("continue", [""])[0]
        pages = self.recording.pages
        tokens = ["", *(json.loads(page)["metadata"]["continue"] for page in pages[:-1])]
        return pages[tokens.index(token)]

    def pieces(self) -> Iterator[bytes]:
        """What is due at each moment, until all is sent."""
        events, began, done = self.recording.events, time.monotonic(), 0
        while done < len(events):
            now = time.monotonic()
            due = len(events) if self.pace is None else int((now - began) * self.pace) + 1
            due = min(due, len(events), done + PAGE)
            if due > done:
                self.sent_at += [now] * (due - done)
                yield b"".join(events[done:due])
                done = due
            else:
                time.sleep(TICK_SECONDS)


@contextlib.contextmanager
def served(replay: Replay) -> Iterator[Replay]:
    """On loopback, until the block ends."""
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            query = urlsplit(self.path).query
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            if "watch=true" not in query:
                body = replay.page(query)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                return
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for piece in replay.pieces():
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            over.wait()  # as a watch without changes
            self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            """Quiet: figures are what is printed."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    replay.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield replay
    finally:
        over.set()
        server.shutdown()
        thread.join()
        server.server_close()
