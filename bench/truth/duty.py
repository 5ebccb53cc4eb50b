"""Alibaba's GenTD26 trace: duty cycles and memory of real inference pods over 22.8 h.

Its licence lets it be studied, not passed on: it is read from the folder that is given.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tools.prometheus import JOB

DUTY = "pod_gpu_duty_cycle_anon.csv"
MEMORY = "pod_gpu_memory_used_bytes_anon.csv"
MIB = 2**20
Samples = list[tuple[float, float]]
"""(seconds, value)"""


@dataclass(slots=True)
class Trace:
    """One pod's samples, in order of time."""

    percent: Samples = field(default_factory=list)
    mib: Samples = field(default_factory=list)

    def between(self, start: float, end: float) -> Trace:
        """From `start` on, before `end`."""
        parts = (
            [(at, value) for at, value in samples if start <= at < end]
            for samples in (self.percent, self.mib)
        )
        return Trace(*parts)

    @property
    def busy(self) -> float:
        """The highest duty cycle, 0 to 1."""
        return max(value for _, value in self.percent) / 100

    @property
    def peak_mib(self) -> float:
        return max(value for _, value in self.mib)


def traces(data: Path) -> Mapping[str, Trace]:
    """By pod."""
    found: defaultdict[str, Trace] = defaultdict(Trace)
    for name, at, value in _rows(data / DUTY):
        found[name].percent.append((at, value))
    for name, at, value in _rows(data / MEMORY):
        found[name].mib.append((at, value / MIB))
    for trace in found.values():
        trace.percent.sort()
        trace.mib.sort()
    return {name: trace for name, trace in found.items() if trace.percent and trace.mib}


def _rows(file: Path) -> Iterator[tuple[str, float, float]]:
    with file.open() as rows:
        for row in csv.DictReader(rows):
            yield row["container_ip"], float(row["timestamp_anon"]), float(row["value"])


@dataclass(frozen=True, slots=True)
class Shown:
    """A pod's samples as a GPU under DCGM's names; `later` seconds are added to their times."""

    uuid: str
    node: str
    gpu: int
    model: str
    total_mib: float
    trace: Trace
    later: float

    @property
    def labels(self) -> str:
        return (
            f'job="{JOB}",instance="{self.node}",Hostname="{self.node}",gpu="{self.gpu}",'
            f'UUID="{self.uuid}",modelName="{self.model}",namespace="inference",pod="{self.uuid}"'
        )


def lines(shown: Iterable[Shown]) -> Iterator[str]:
    """OpenMetrics, a family at a time."""
    every = tuple(shown)
    for family in ("DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_DEV_FB_USED", "DCGM_FI_DEV_FB_FREE"):
        yield f"# TYPE {family} gauge\n"
        for each in every:
            head = f"{family}{{{each.labels}}}"
            for at, value in _samples(family, each):
                yield f"{head} {value:g} {at + each.later:.0f}\n"
    yield "# EOF\n"


def _samples(family: str, shown: Shown) -> Samples:
    match family.rpartition("_")[2]:
        case "UTIL":
            return shown.trace.percent
        case "USED":
            return shown.trace.mib
        case _:
            return [(at, shown.total_mib - used) for at, used in shown.trace.mib]
