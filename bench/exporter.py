"""The exporter beside nvitop-exporter: the same stub driver, the same scrapes, at the same time.

nvitop-exporter reads the driver on a clock of its own and a scrape only prints; we read it in the
scrape. So both are scraped at nvitop's interval, and all CPU of each process counts: then each
reads the driver once for each scrape.
"""

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

from tests.support.nvml_stub import library_folder
from tools.processes import Program, free_port
from tools.terminal import BIN

TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")
GPUS = 8
INTERVAL_SECONDS = 0.25  # the shortest that nvitop-exporter takes


@dataclass
class Contender:
    """A running exporter, and what was measured of it."""

    name: str
    program: Program
    port: int
    cpu_per_scrape_ms: list[float] = field(default_factory=list)
    back_to_back_ms: list[float] = field(default_factory=list)
    latency_ms: list[float] = field(default_factory=list)

    def scrape(self) -> None:
        """As Prometheus does: HTTP/1.1, gzip accepted."""
        started = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with contextlib.closing(connection):
            connection.request("GET", "/metrics", headers={"Accept-Encoding": "gzip"})
            connection.getresponse().read()
        self.latency_ms.append((time.perf_counter() - started) * 1e3)

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

    def row(self) -> dict[str, float | str]:
        return {
            "exporter": self.name,
            "series": self.series(),
            "cpu_per_scrape_ms": round(statistics.median(self.cpu_per_scrape_ms), 3),
            "back_to_back_ms": round(statistics.median(self.back_to_back_ms), 3),
            "scrape_p50_ms": round(statistics.median(self.latency_ms), 3),
            "rss_mib": round(self.rss_mib(), 1),
        }


def measure(rounds: int = 5, scrapes: int = 40) -> list[dict[str, float | str]]:
    """A row for each exporter, both measured over the same seconds."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="agentaflow-bench-")))
        contenders = [stack.enter_context(running(name, folder)) for name in COMMANDS]
        _pace(contenders, 10)
        for contender in contenders:
            contender.latency_ms.clear()
        for _ in range(rounds):
            before = [contender.cpu_seconds() for contender in contenders]
            _pace(contenders, scrapes)
            for contender, spent in zip(contenders, before, strict=True):
                used = contender.cpu_seconds() - spent
                contender.cpu_per_scrape_ms.append(used / scrapes * 1e3)
        for _ in range(rounds):
            for contender in contenders:
                contender.back_to_back_ms.append(_back_to_back(contender, 5 * scrapes))
        return [contender.row() for contender in contenders]


def _back_to_back(contender: Contender, scrapes: int) -> float:
    """CPU of a scrape when one follows another: the peer hardly reads its driver meanwhile."""
    before = contender.cpu_seconds()
    for _ in range(scrapes):
        contender.scrape()
    return (contender.cpu_seconds() - before) / scrapes * 1e3


def _pace(contenders: list[Contender], scrapes: int) -> None:
    for _ in range(scrapes):
        due = time.monotonic() + INTERVAL_SECONDS
        for contender in contenders:
            contender.scrape()
        time.sleep(max(0.0, due - time.monotonic()))


COMMANDS = {
    "agentaflow-exporter": ("--web.listen-address=127.0.0.1:{port}",),
    "nvitop-exporter": (
        "--bind-address=127.0.0.1",
        "--port={port}",
        f"--interval={INTERVAL_SECONDS}",
    ),
}


@contextlib.contextmanager
def running(name: str, folder: Path) -> Iterator[Contender]:
    home = folder / name
    home.mkdir()
    port = free_port()
    program = Program(
        [BIN / name, *(argument.format(port=port) for argument in COMMANDS[name])],
        home / "log",
        environment={**os.environ, "LD_LIBRARY_PATH": str(library_folder())},  # no script, no log
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
