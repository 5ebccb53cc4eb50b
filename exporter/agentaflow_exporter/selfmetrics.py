"""What the exporter says about its own process, from /proc."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from agentaflow_exporter import __version__, metrics
from agentaflow_exporter.driver import Number
from agentaflow_exporter.metric import Metric

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_VERSION = (__version__, platform.python_version())


class SelfMetrics:
    """Reads three small files of /proc per scrape; without /proc only the version is known."""

    def __init__(self) -> None:
        self._boot_time = _boot_time()

    def readings(self) -> list[tuple[Metric, tuple[str, ...], Number]]:
        readings: list[tuple[Metric, tuple[str, ...], Number]] = [(metrics.BUILD_INFO, _VERSION, 1)]
        try:
            stat = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
            descriptors = len(os.listdir("/proc/self/fd"))  # noqa: PTH208  half the cost of Path
        except OSError:
            return readings
        cpu_ticks = int(stat[11]) + int(stat[12])
        started = self._boot_time + int(stat[19]) / _TICKS_PER_SECOND
        return [
            *readings,
            (metrics.PROCESS_CPU, (), cpu_ticks / _TICKS_PER_SECOND),
            (metrics.PROCESS_RESIDENT, (), int(stat[21]) * _PAGE_BYTES),
            (metrics.PROCESS_VIRTUAL, (), int(stat[20])),
            (metrics.PROCESS_FDS, (), descriptors),
            (metrics.PROCESS_THREADS, (), int(stat[17])),
            (metrics.PROCESS_START, (), started),
        ]


def _boot_time() -> int:
    try:
        lines = Path("/proc/stat").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("btime ")), 0)
