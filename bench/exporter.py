"""The exporter beside nvitop-exporter: the same stub driver, the same scrapes, turn by turn."""

from __future__ import annotations

import contextlib
import http.client
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.nvml_stub import NvmlStub
from tools.processes import Program, free_port
from tools.terminal import BIN

TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")
GPUS = 8


@dataclass
class Contender:
    """A running exporter, and what was measured of it."""

    name: str
    program: Program
    port: int
    cpu_per_scrape_ms: list[float] = field(default_factory=list)
    latency_ms: list[float] = field(default_factory=list)

    def scrape(self) -> bytes:
        """As Prometheus does: HTTP/1.1, gzip accepted."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with contextlib.closing(connection):
            connection.request("GET", "/metrics", headers={"Accept-Encoding": "gzip"})
            return connection.getresponse().read()

    def series(self) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with contextlib.closing(connection):
            connection.request("GET", "/metrics")
            lines = connection.getresponse().read().splitlines()
        return sum(1 for line in lines if line and not line.startswith(b"#"))

    def cpu_seconds(self) -> float:
        """User and system time of the whole process."""
        text = Path(f"/proc/{self.program.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(text[11]) + int(text[12])) * TICK_SECONDS

    def rss_mib(self) -> float:
        status = Path(f"/proc/{self.program.pid}/status").read_text()
        (line,) = (line for line in status.splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) / 1024

    def round(self, scrapes: int) -> None:
        before = self.cpu_seconds()
        for _ in range(scrapes):
            started = time.perf_counter()
            self.scrape()
            self.latency_ms.append((time.perf_counter() - started) * 1e3)
        self.cpu_per_scrape_ms.append((self.cpu_seconds() - before) / scrapes * 1e3)

    def idle_cpu_percent(self, seconds: float = 5.0) -> float:
        before, started = self.cpu_seconds(), time.monotonic()
        time.sleep(seconds)
        return (self.cpu_seconds() - before) / (time.monotonic() - started) * 100

    def row(self) -> dict[str, float | str]:
        return {
            "exporter": self.name,
            "series": self.series(),
            "cpu_per_scrape_ms": round(statistics.median(self.cpu_per_scrape_ms), 3),
            "scrape_p50_ms": round(statistics.median(self.latency_ms), 3),
            "idle_cpu_percent": round(self.idle_cpu_percent(), 2),
            "rss_mib": round(self.rss_mib(), 1),
        }


def measure(rounds: int = 7, scrapes: int = 200) -> list[dict[str, float | str]]:
    """A row for each exporter; the rounds take turns, so that both meet the same machine."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="agentaflow-bench-")))
        contenders = [stack.enter_context(running(name, folder)) for name in COMMANDS]
        for contender in contenders:
            contender.round(20)
            contender.cpu_per_scrape_ms.clear()
            contender.latency_ms.clear()
        for _ in range(rounds):
            for contender in contenders:
                contender.round(scrapes)
        return [contender.row() for contender in contenders]


COMMANDS = {
    "agentaflow-exporter": ("--web.listen-address=127.0.0.1:{port}",),
    "nvitop-exporter": ("--bind-address=127.0.0.1", "--port={port}"),
}


@contextlib.contextmanager
def running(name: str, folder: Path) -> Iterator[Contender]:
    home = folder / name
    home.mkdir()
    stub, port = NvmlStub(home), free_port()
    program = Program(
        [BIN / name, *(argument.format(port=port) for argument in COMMANDS[name])],
        home / "log",
        environment={**os.environ, **stub.environment()},
    )
    contender = Contender(name, program, port)
    try:
        program.wait_until(lambda: _serves(contender), seconds=30)
        yield contender
    finally:
        program.stop()


def _serves(contender: Contender) -> bool:
    try:
        return contender.series() > GPUS
    except OSError:
        return False
