"""Real inference pods, an hour of each as a GPU under DCGM's names.

Alibaba's GenTD26 trace: duty cycles and memory of real inference pods over 22.8 h. Its licence lets
it be studied, not passed on. Hours, since no pod that lasts is idle for longer than three.
"""

from __future__ import annotations

import csv
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.truth.advisor import HOUR, IDLE_KINDS, RIGHTSIZING_KINDS, advice, folder, gpus, stored
from bench.truth.score import Score
from tools.prometheus import JOB

DUTY = "pod_gpu_duty_cycle_anon.csv"
MEMORY = "pod_gpu_memory_used_bytes_anon.csv"
LEAST = 60  # samples in an hour
IDLE_PERCENT = 5.0  # what the setting idle_maximum_ratio says
HEADROOM, BUSIEST = 1.2, 0.8  # what the settings rightsizing_… say
MIB = 2**20
TOTAL_MIB = 81_559  # of an H100 80GB HBM3

# By hand, from data sheets: an H100 has 3350 GB/s and 989 TFLOPS. Families with one GPU that cost
# less than its part of a p5.48xlarge (6.88 USD/h), by MiB and how many times slower at worst they
# are; then slices of the H100 itself, by memory and by compute.
HOMES: Mapping[str, tuple[float, float]] = {
    "g4dn": (16_384, 989 / 65),
    "g5": (22_888, 989 / 70),
    "g6": (22_888, 3350 / 300),
    "gr6": (22_888, 3350 / 300),
    "g6e": (45_776, 3350 / 864),
    "p3": (16_384, 989 / 125),
    "1g.10gb": (TOTAL_MIB / 8, 7 / 1),
    "1g.20gb": (TOTAL_MIB / 4, 7 / 1),
    "2g.20gb": (TOTAL_MIB / 4, 7 / 2),
    "3g.40gb": (TOTAL_MIB / 2, 7 / 3),
    "4g.40gb": (TOTAL_MIB / 2, 7 / 4),
}


@dataclass(slots=True)
class Hour:
    """One pod's samples: (second of the hour, value)."""

    percent: list[tuple[float, float]] = field(default_factory=list)
    mib: list[tuple[float, float]] = field(default_factory=list)

    @property
    def idle(self) -> bool:
        return all(value <= IDLE_PERCENT for _, value in self.percent)

    def fits(self, home: str) -> bool:
        """With head-room, and at most so busy."""
        memory, slower = HOMES[home]
        peak = max(value for _, value in self.mib)
        busy = max(value for _, value in self.percent) / 100
        return peak * HEADROOM <= memory and busy * slower <= BUSIEST


def real_pods(data: Path) -> tuple[Score, Score]:
    """Idle and right-sizing. Right is a smaller home that holds the raw samples, and one that
    needs none; missed is who would fit one of them.
    """
    hours = {name: hour for name, hour in _hours(data).items() if len(hour.percent) > LEAST}
    with folder() as at:
        history = at / "history.om"
        history.write_text("".join([*_lines(hours), "# EOF\n"]))
        with stored(at, history) as url:
            said = advice(url, "1h", rightsizing_min_held_seconds="50m")
    idle = {_uuid(name) for name, hour in hours.items() if hour.idle}
    fitting = {
        _uuid(name)
        for name, hour in hours.items()
        if not hour.idle and any(hour.fits(home) for home in HOMES)
    }
    homes = {one["where"]["uuid"]: _home(one) for one in said if one["kind"] in RIGHTSIZING_KINDS}
    unfit = {
        uuid for uuid, home in homes.items() if not hours[uuid.removeprefix("GPU-")].fits(home)
    }
    return (
        Score.of(gpus(said, IDLE_KINDS), idle, len(hours)),
        Score.of(homes, fitting - unfit, len(hours)),
    )


def _home(recommendation: Mapping[str, Any]) -> str:
    inputs = recommendation["saves"]["inputs"]
    return str(inputs.get("profile") or inputs["instance_type"].partition(".")[0])


def _uuid(name: str) -> str:
    return f"GPU-{name}"


def _hours(data: Path) -> Mapping[str, Hour]:
    found: defaultdict[str, Hour] = defaultdict(Hour)
    for name, at, value in _rows(data / DUTY):
        found[name].percent.append((at, value))
    for name, at, value in _rows(data / MEMORY):
        found[name].mib.append((at, value / MIB))
    return found


def _rows(file: Path) -> Iterator[tuple[str, float, float]]:
    """Pod and hour, second of it, value."""
    with file.open() as rows:
        for row in csv.DictReader(rows):
            at = float(row["timestamp_anon"])
            yield f"{row['container_ip']}-{at // HOUR:.0f}", at % HOUR, float(row["value"])


def _lines(hours: Mapping[str, Hour]) -> Iterator[str]:
    start = int(time.time()) - HOUR
    families: Mapping[str, str] = {"DCGM_FI_DEV_GPU_UTIL": "percent", "DCGM_FI_DEV_FB_USED": "mib"}
    for family, what in families.items():
        yield f"# TYPE {family} gauge\n"
        for name, hour in hours.items():
            yield from _series(family, name, sorted(getattr(hour, what)), start)
    yield "# TYPE DCGM_FI_DEV_FB_FREE gauge\n"
    for name, hour in hours.items():
        free = [(at, TOTAL_MIB - used) for at, used in sorted(hour.mib)]
        yield from _series("DCGM_FI_DEV_FB_FREE", name, free, start)


def _series(
    family: str, name: str, samples: Iterable[tuple[float, float]], start: int
) -> Iterator[str]:
    labels = f'job="{JOB}",instance="{name}",Hostname="{name}",gpu="0",UUID="{_uuid(name)}"'
    labels += f',modelName="NVIDIA H100 80GB HBM3",namespace="inference",pod="{name}"'
    return (f"{family}{{{labels}}} {value:g} {start + at:.0f}\n" for at, value in samples)
