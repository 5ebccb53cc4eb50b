"""A web server under test, and clients that behave as badly as a test wants."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path
from typing import IO

from agentaflow_exporter.web import Handler, Limits, Request, Response, Server


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


def echo(request: Request) -> Response:
    """Answers with the request's path."""
    return Response(200, (("Content-Type", "text/plain"),), request.path.encode())


@contextmanager
def serving(
    handler: Handler = echo,
    *,
    config: Path | None = None,
    limits: Limits | None = None,
    log: list[str] | None = None,
) -> Iterator[tuple[str, int]]:
    """A running server on a free port of 127.0.0.1; yields its address."""
    lines: list[str] = [] if log is None else log
    server = Server(["127.0.0.1:0"], handler, config=config, limits=limits, log=lines.append)
    server.start()
    try:
        yield server.addresses[0]
    finally:
        server.stop()


def connect(address: tuple[str, int]) -> socket.socket:
    return socket.create_connection(address, timeout=10)


def read_answer(sock: socket.socket, *, method: str = "GET") -> Answer:
    """One answer, as the standard library's client understands it."""
    response = HTTPResponse(sock, method=method)
    response.begin()
    with response:
        body = response.read()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, headers, body)


def ask(address: tuple[str, int], request: bytes, *, method: str = "GET") -> Answer:
    """Send raw bytes, read one answer."""
    with connect(address) as sock:
        sock.sendall(request)
        return read_answer(sock, method=method)


def get(address: tuple[str, int], path: str = "/", headers: str = "") -> Answer:
    return ask(address, f"GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode())


def is_closed(sock: socket.socket, *, within_seconds: float) -> bool:
    """Whether the other end closes; what it still sends is thrown away."""
    sock.settimeout(within_seconds)
    try:
        while sock.recv(65536):
            pass
    except TimeoutError:
        return False
    except OSError:
        pass
    return True


@dataclass(frozen=True)
class ServerProcess:
    address: tuple[str, int]
    pid: int
    stdin: IO[str]

    def threads(self) -> int:
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("Threads:")[2].split()[0])

    def cpu_ticks(self) -> int:
        """User and system time in hundredths of a second (proc(5))."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])


_PROGRAM = """
import resource, sys
from agentaflow_exporter.web import Response, Server
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]),) * 2)
server = Server(["127.0.0.1:0"], lambda request: Response(200, (), b"ok"))
server.start()
taken = []
while len(sys.argv) > 2:
    try:
        taken.append(open("/dev/null"))
    except OSError:
        break
print(server.addresses[0][1], flush=True)
for _ in sys.stdin:
    while taken:
        taken.pop().close()
server.stop()
"""


@contextmanager
def serving_process(*, file_limit: int = 1024, starved: bool = False) -> Iterator[ServerProcess]:
    """A server in a process of its own; `starved` takes every file descriptor until a line on
    its standard input."""
    command = [sys.executable, "-c", _PROGRAM, str(file_limit), *(["starved"] if starved else [])]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        try:
            port = int(process.stdout.readline())
            yield ServerProcess(("127.0.0.1", port), process.pid, process.stdin)
        finally:
            process.stdin.close()
            process.wait(20)
