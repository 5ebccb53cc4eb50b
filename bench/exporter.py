"""The exporter beside nvitop-exporter and node_exporter: the same scrapes, at the same time.

nvitop-exporter reads the driver on a clock of its own and a scrape only prints; we read it in the
scrape, as node_exporter reads the kernel. So all are scraped at nvitop's interval, and all CPU of
each process counts: then each reads its source once for each scrape.
"""

from __future__ import annotations

import contextlib
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.contender import OURS, Contender, running
from bench.table import Row, show, verdict
from tools.programs import PartMissing, node_exporter
from tools.terminal import BIN

GPUS = 8
INTERVAL_SECONDS = 0.25  # the shortest that nvitop-exporter takes
NAMES = ("agentaflow-exporter", "nvitop-exporter", "node_exporter")
RSS_GOALS = {"nvitop-exporter": 0.8, "node_exporter": 1.2}
CPU_GOALS = {"nvitop-exporter": 1 / 3, "node_exporter": 1.0}  # for each series
PER_SERIES = {"paced": "paced_per_1000_ms", "back to back": "back_to_back_per_1000_ms"}


@dataclass
class Measured:
    """What was measured of one contender."""

    contender: Contender
    paced_ms: list[float] = field(default_factory=list)
    back_to_back_ms: list[float] = field(default_factory=list)
    latency_ms: list[float] = field(default_factory=list)

    def row(self) -> Row:
        series = self.contender.series()
        paced = statistics.median(self.paced_ms)
        back_to_back = statistics.median(self.back_to_back_ms)
        return {
            "exporter": self.contender.name,
            "series": series,
            "paced_ms": round(paced, 2),
            "paced_per_1000_ms": round(paced / series * 1000, 2),
            "back_to_back_ms": round(back_to_back, 2),
            "back_to_back_per_1000_ms": round(back_to_back / series * 1000, 2),
            "scrape_p50_ms": round(statistics.median(self.latency_ms), 2),
            "rss_mib": round(self.contender.rss_kib() / 1024, 1),
        }


def main() -> bool:
    """Prints the figures; whether every goal was met."""
    rows = measure()
    show(f"CPU of a scrape and memory, {GPUS} GPUs on one stub driver", rows)
    ours, *peers = rows
    met = True
    for peer in peers:
        name = str(peer["exporter"])
        met &= _ratio("resident memory", "rss_mib", ours, peer, RSS_GOALS[name])
        for how, column in PER_SERIES.items():
            met &= _ratio(f"CPU for each series, {how}", column, ours, peer, CPU_GOALS[name])
    print("Back to back nvitop-exporter mostly serves what it read before; we read each time.\n")
    return met


def _ratio(what: str, column: str, ours: Row, peer: Row, goal: float) -> bool:
    ratio = float(ours[column]) / float(peer[column])
    return verdict(
        f"{what}: {ratio:.2f} of {peer['exporter']}'s", ratio <= goal, f"at most {goal:.2f}"
    )


def measure(rounds: int = 4, scrapes: int = 40) -> list[Row]:
    """A row for each exporter, all measured over the same seconds."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="agentaflow-bench-")))
        all_of_them = [
            Measured(stack.enter_context(running(name, _command(name), folder))) for name in NAMES
        ]
        _pace(all_of_them, 10)
        for one in all_of_them:
            one.latency_ms.clear()
        for _ in range(rounds):
            before = [one.contender.cpu_seconds() for one in all_of_them]
            _pace(all_of_them, scrapes)
            for one, spent in zip(all_of_them, before, strict=True):
                one.paced_ms.append((one.contender.cpu_seconds() - spent) / scrapes * 1e3)
        for _ in range(rounds):
            for one in all_of_them:
                one.back_to_back_ms.append(_back_to_back(one.contender, 4 * scrapes))
        return [one.row() for one in all_of_them]


def _command(name: str) -> Sequence[str | Path]:
    if name == "nvitop-exporter":
        interval = f"--interval={INTERVAL_SECONDS}"
        return BIN / name, "--bind-address=127.0.0.1", "--port={port}", interval
    if name == "node_exporter":
        program = node_exporter()
        if program is None:
            raise PartMissing("node_exporter is not there: python -m tools.realparts node-exporter")
        return program, "--web.listen-address=127.0.0.1:{port}"
    return OURS


def _back_to_back(contender: Contender, scrapes: int) -> float:
    """CPU of a scrape when one follows another: a peer with a clock hardly reads meanwhile."""
    before = contender.cpu_seconds()
    for _ in range(scrapes):
        contender.scrape()
    return (contender.cpu_seconds() - before) / scrapes * 1e3


def _pace(all_of_them: list[Measured], scrapes: int) -> None:
    for _ in range(scrapes):
        due = time.monotonic() + INTERVAL_SECONDS
        for one in all_of_them:
            one.latency_ms.append(one.contender.scrape() * 1e3)
        time.sleep(max(0.0, due - time.monotonic()))
