"""A small HTTP server on the loopback interface, for stand-ins that speak over a real socket."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = tuple[int, str, bytes]
"""Status, content type and body."""

Handler = Callable[[str, str, bytes], Answer]
"""Method, path with its query, and body."""


@contextlib.contextmanager
def serve(handler: Handler) -> Iterator[str]:
    """The server's URL, for as long as the block runs."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_class(handler))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler_class(handler: Handler) -> type[BaseHTTPRequestHandler]:
    class Loopback(BaseHTTPRequestHandler):
        disable_nagle_algorithm = True  # else the body waits 40 ms for the ACK of the head

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, content_type, answer = handler(self.command, self.path, body)
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST = do_PATCH = _answer  # noqa: N815 the names that http.server looks for

        def log_message(self, format: str, *args: object) -> None:
            """Quiet: tests look at answers."""

    return Loopback
