"""A running exporter on the stub driver, and what is measured of it from outside."""

from __future__ import annotations

import contextlib
import http.client
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.support.nvml_stub import library_folder
from tools.processes import Program, free_port
from tools.terminal import BIN

_TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")
OURS = (BIN / "agentaflow-exporter", "--web.listen-address=127.0.0.1:{port}")


class Contender:
    """A process that answers at /metrics."""

    def __init__(self, name: str, program: Program, port: int) -> None:
        self.name = name
        self.program = program
        self._port = port

    def scrape(self) -> float:
        """The seconds of a scrape as Prometheus does it: HTTP/1.1, gzip accepted."""
        started = time.perf_counter()
        self.get({"Accept-Encoding": "gzip"})
        return time.perf_counter() - started

    def get(self, headers: Mapping[str, str] | None = None) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        with contextlib.closing(connection):
            connection.request("GET", "/metrics", headers=dict(headers or {}))
            return connection.getresponse().read()

    def kept_alive(self) -> http.client.HTTPConnection:
        """For many requests over one connection."""
        return http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)

    def series(self) -> int:
        return sum(1 for line in self.get().splitlines() if line and not line.startswith(b"#"))

    def cpu_seconds(self) -> float:
        """User and system time of the whole process."""
        text = Path(f"/proc/{self.program.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(text[11]) + int(text[12])) * _TICK_SECONDS

    def rss_kib(self) -> int:
        return self._status("VmRSS")

    def threads(self) -> int:
        return self._status("Threads")

    def descriptors(self) -> int:
        return sum(1 for _ in Path(f"/proc/{self.program.pid}/fd").iterdir())

    def _status(self, name: str) -> int:
        status = Path(f"/proc/{self.program.pid}/status").read_text()
        (line,) = (line for line in status.splitlines() if line.startswith(f"{name}:"))
        return int(line.split()[1])


@contextlib.contextmanager
def running(
    name: str,
    command: Sequence[str | Path],
    folder: Path,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Contender]:
    """The command, with {port} in its arguments, until it serves; without a script or a log of
    calls the stub costs as little as it can.
    """
    home = folder / name
    home.mkdir(parents=True)
    port = free_port()
    library = {"LD_LIBRARY_PATH": str(library_folder()), **(environment or {})}
    program = Program(
        [str(part).format(port=port) for part in command],
        home / "log",
        environment={**os.environ, **library},
    )
    contender = Contender(name, program, port)
    try:
        program.wait_until(lambda: _serves(contender), seconds=30)
        yield contender
    finally:
        program.stop()


def _serves(contender: Contender) -> bool:
    try:
        return contender.series() > 0
    except OSError:
        return False
