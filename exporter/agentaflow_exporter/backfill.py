"""The past of a simulated fleet as OpenMetrics, for `promtool tsdb create-blocks-from openmetrics`.

The same Scraper and the same encoder as in live scrapes make the series; only the fleet's clock is
set. Nodes are simulated in one process per core; their values wait in a temporary file as plain
doubles, because OpenMetrics wants all of a family, and within it all of a series, in one piece.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
from array import array
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from math import ceil, nan
from pathlib import Path
from typing import BinaryIO

from agentaflow_exporter import compat, exposition, metrics
from agentaflow_exporter.crew import InlineCrew
from agentaflow_exporter.errors import SettingsError, UserError
from agentaflow_exporter.metric import Family, Metric
from agentaflow_exporter.progress import Progress
from agentaflow_exporter.scrape import Scraper
from agentaflow_exporter.simulated import CLUSTER, SimulatedFleet

JOB = "agentaflow-exporter"
TARGET_LABELS = ("job", "instance", "node", "cluster")
_MOST_STEPS = 1_000_000


@dataclass(frozen=True, slots=True)
class Plan:
    """Which fleet, and at which moments (whole Unix seconds)."""

    nodes: int
    gpus_per_node: int
    seed: int
    times: range
    compat: str = ""
    own_metrics: bool = True

    @classmethod
    def make(
        cls, nodes: int, gpus_per_node: int, seed: int, *, end: float, seconds: float, step: float
    ) -> Plan:
        """At every multiple of `step` in the `seconds` before `end`. Raises SettingsError."""
        if step < 1 or step != int(step):
            raise SettingsError(
                f"--step: {step:g} s is no whole number of seconds; write 60s or 5m"
            )
        first = ceil((end - seconds) / step) * int(step)
        times = range(first, int(end) + 1, int(step))
        if not 0 < len(times) <= _MOST_STEPS:
            raise SettingsError(
                f"--backfill: {len(times)} steps of {step:g} s; "
                f"choose --backfill and --step so that there are 1 to {_MOST_STEPS}"
            )
        return cls(nodes, gpus_per_node, seed, times)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """All that its series may be of."""
        return (*metrics.ALL, *(compat.metrics_of(self.compat) if self.compat else ()))


# A series: the number of its metric in the plan's, its name and labels, a double for each step.
Series = tuple[int, str, bytes]


def write(plan: Plan, output: Path) -> None:
    """Appears under its name only when it is whole. Raises UserError."""
    if output.is_dir():
        raise UserError(f"--output: {output} is a folder; name a file in it")
    unfinished = output.with_name(f"{output.name}.tmp")
    try:
        with tempfile.TemporaryFile(dir=output.parent) as spool, unfinished.open("wb") as file:
            _write(plan, spool, file)
        unfinished.replace(output)
    except OSError as error:
        raise UserError(
            f"--output: {output}: {error.strerror}; choose a file in a folder with enough space"
        ) from error
    finally:
        unfinished.unlink(missing_ok=True)


def _write(plan: Plan, spool: BinaryIO, file: BinaryIO) -> None:
    index: dict[int, list[tuple[str, int]]] = {}
    with Progress("simulating", plan.nodes) as progress:
        for node in _simulate(plan):
            for metric, series, values in node:
                index.setdefault(metric, []).append((series, spool.tell()))
                spool.write(values)
            progress.advance()
    stamps = [f" {time}\n" for time in plan.times]
    declared = plan.metrics
    with Progress("writing", sum(map(len, index.values()))) as progress:
        for metric in sorted(index):
            family = Family(declared[metric], {})
            file.write(exposition.encode([family], openmetrics=True).removesuffix(b"# EOF\n"))
            for series, offset in index[metric]:
                spool.seek(offset)
                column = array("d", spool.read(len(stamps) * 8))
                file.write(_lines(series, column, stamps).encode())
                progress.advance()
    file.write(b"# EOF\n")


def _lines(series: str, values: Sequence[float], stamps: Sequence[str]) -> str:
    """NaN is a step at which the series was absent."""
    return "".join(
        [
            f"{series}{value!r}{stamp}"
            for value, stamp in zip(values, stamps, strict=True)
            if value == value  # faster than isnan
        ]
    )


def _simulate(plan: Plan) -> Iterator[list[Series]]:
    """The series of each node, in order."""
    workers = min(len(os.sched_getaffinity(0)), plan.nodes)
    if workers == 1:
        yield from map(partial(node_history, plan), range(plan.nodes))
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _ignore_interrupts) as pool:
        try:
            yield from pool.map(partial(node_history, plan), range(plan.nodes))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _ignore_interrupts() -> None:
    """Ctrl-C is for the parent to tell."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def node_history(plan: Plan, number: int) -> list[Series]:
    """What a Prometheus that had been there would have of one node, but for the exporter itself."""
    now = plan.times.start
    fleet = SimulatedFleet(plan.nodes, plan.gpus_per_node, plan.seed, clock=lambda: now)
    node = fleet.nodes[number]
    driver = fleet.driver(node)
    scraper = Scraper(driver, sources=driver.sources, crew=InlineCrew())
    absent = array("d", [nan]) * len(plan.times)
    columns: dict[int, dict[tuple[str, ...], array[float]]] = {}
    itself = (metrics.EXPORTER, "process_")
    numbers = {m: i for i, m in enumerate(plan.metrics) if not m.name.startswith(itself)}
    translate: compat.Translate = list
    if plan.compat:
        translate = compat.translator(plan.compat, node, own=plan.own_metrics)
    for step, now in enumerate(plan.times):  # noqa: B007 - the fleet's clock
        for metric, samples in translate(scraper.scrape()):
            if metric not in numbers:
                continue
            column = columns.setdefault(numbers[metric], {})
            for labels, value in samples.items():
                if labels not in column:
                    column[labels] = array("d", absent)
                column[labels][step] = value
    return list(_named(plan.metrics, columns, node))


def _named(
    declared: Sequence[Metric], columns: dict[int, dict[tuple[str, ...], array[float]]], node: str
) -> Iterable[Series]:
    target = (JOB, node, node, CLUSTER)
    for metric, column in columns.items():
        name, labels = declared[metric].name, declared[metric].labels + TARGET_LABELS
        for key, values in column.items():
            yield metric, exposition.series(name, labels, key + target), values.tobytes()
