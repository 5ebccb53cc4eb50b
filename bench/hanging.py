"""How late a scrape is when a driver call hangs for a minute on one of eight GPUs.

A GPU that hangs is left alone until its call returns, so that only the first scrape waits for it.
The bad case is a GPU that hangs anew in each scrape; several exporters hang at the same time, since
a scrape that waits takes no CPU.
"""

from __future__ import annotations

import contextlib
import re
import tempfile
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.contender import OURS, Contender, running
from bench.table import Row, percentile, show, verdict
from tests.support.nvml_stub import NvmlStub

DEADLINES_SECONDS = (1.0, 5.0)  # 5 is the default of --scrape.timeout
MARGIN_SECONDS = 0.1
EXPORTERS = 20
HANGS_EACH = 10
SCRAPES = 200
GPUS = 8
MOST_THREADS = GPUS + 4


def main() -> bool:
    rows: list[Row] = []
    for deadline in DEADLINES_SECONDS:
        with tempfile.TemporaryDirectory(prefix="agentaflow-bench-") as folder:
            rows.append(_hanging_on(Path(folder), deadline))
            rows.append(_hanging_anew(Path(folder), deadline))
    show(f"Scrapes with one of {GPUS} GPUs in a call that hangs for 60 s", rows)
    met = True
    for row in rows:
        late = float(row["p99_ms"]) / 1e3
        goal = float(row["deadline_s"]) + MARGIN_SECONDS
        met &= verdict(f"{row['hang']}: p99 {late:.3f} s", late <= goal, f"at most {goal:.1f} s")
        most = int(str(row["threads"]).rpartition("-")[2])
        threads = f"{row['hang']}: threads {row['threads']}"
        met &= verdict(threads, most <= MOST_THREADS, f"at most {MOST_THREADS}, one a GPU and four")
    return met


class Hanging:
    """An exporter on a stub of its own."""

    def __init__(self, exporter: Contender, stub: NvmlStub) -> None:
        self._exporter = exporter
        self._stub = stub
        self.seconds: list[float] = []
        self.threads: list[int] = []

    def hang(self, gpu: int) -> None:
        self._stub.script(f"{gpu} nvmlDeviceGetPowerUsage delay 60")

    def scrape(self) -> None:
        self.seconds.append(self._exporter.scrape())
        self.threads.append(self._exporter.threads())

    def hang_anew(self, times: int, together: threading.Barrier) -> None:
        """Each time another GPU hangs, is scraped, comes back, and all answer again."""
        for number in range(times):
            self.hang(number % GPUS)
            together.wait()
            self.scrape()
            assert self._up() == GPUS - 1, "the GPU did not hang"
            self._stub.script()
            while self._up() < GPUS:
                pass

    def _up(self) -> int:
        return len(re.findall(rb"^agentaflow_gpu_up\S* 1$", self._exporter.get(), re.MULTILINE))


def _hanging_on(folder: Path, deadline: float) -> Row:
    with contextlib.ExitStack() as stack:
        one = _start(stack, folder, "one", deadline)
        one.hang(3)
        for _ in range(SCRAPES):
            one.scrape()
        return _row("one that stays", deadline, [one])


def _hanging_anew(folder: Path, deadline: float) -> Row:
    with contextlib.ExitStack() as stack:
        names = [f"anew-{number}" for number in range(EXPORTERS)]
        hanging = [_start(stack, folder, name, deadline) for name in names]
        together = threading.Barrier(EXPORTERS)
        with ThreadPoolExecutor(EXPORTERS) as pool:
            list(pool.map(lambda one: one.hang_anew(HANGS_EACH, together), hanging))
        return _row("a new one each", deadline, hanging)


def _start(stack: contextlib.ExitStack, folder: Path, name: str, deadline: float) -> Hanging:
    home = folder / f"stub-{name}"
    home.mkdir()
    stub = NvmlStub(home)
    script = stub.environment()["NVML_STUB_CONTROL"]
    command = (*OURS, f"--scrape.timeout={deadline}")
    exporter = stack.enter_context(running(name, command, folder, {"NVML_STUB_CONTROL": script}))
    return Hanging(exporter, stub)


def _row(hang: str, deadline: float, hanging: Sequence[Hanging]) -> Row:
    seconds = [second for one in hanging for second in one.seconds]
    threads = sorted({count for one in hanging for count in one.threads})
    return {
        "deadline_s": deadline,
        "hang": hang,
        "scrapes": len(seconds),
        "p50_ms": round(percentile(seconds, 0.5) * 1e3, 1),
        "p99_ms": round(percentile(seconds, 0.99) * 1e3, 1),
        "max_ms": round(max(seconds) * 1e3, 1),
        "threads": "-".join(map(str, dict.fromkeys((threads[0], threads[-1])))),
    }
