"""What each process uses of a GPU, for the collectors that say it by process and by container."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

from agentaflow_exporter.collector import GpuReader

T = TypeVar("T", int, float)
_KINDS = ("Compute", "Graphics", "MPSCompute")
_Place = tuple[int, int, int]  # process, GPU instance, compute instance


class Usage(NamedTuple):
    pid: int  # 0: of processes that we may not see
    memory_bytes: int | None
    sm_ratio: float | None  # None: idle, or not told


def running(gpu: GpuReader, kind: str) -> Sequence[Any] | None:
    """Processes of a kind. Drivers before R510 answer only to version 2 of the functions."""
    processes = gpu.shared(f"nvmlDeviceGet{kind}RunningProcesses")
    if processes is None:
        processes = gpu.shared(f"nvmlDeviceGet{kind}RunningProcesses_v2")
    return processes  # type: ignore[no-any-return]


def usages(gpu: GpuReader) -> list[Usage]:
    """Every process that holds a context, the one with the most memory first."""
    memory = _memory(gpu)
    if not memory:
        return []
    busy = _busy(gpu)
    found = [Usage(pid, used, busy.get(pid)) for pid, used in memory.items()]
    return sorted(found, key=lambda usage: (-(usage.memory_bytes or 0), usage.pid))


def total(values: Iterable[T | None]) -> T | None:
    """Of all or of none: a sum without one of them is too small."""
    found = list(values)
    known = [value for value in found if value is not None]
    return sum(known[1:], known[0]) if known and len(known) == len(found) else None


def _memory(gpu: GpuReader) -> dict[int, int | None]:
    """A process in several lists has the same memory in each, and its own on each instance."""
    lists: dict[_Place, list[int]] = {}
    for kind in _KINDS:
        listed: dict[_Place, list[int | None]] = {}
        for process in running(gpu, kind) or ():
            listed.setdefault(_place(process), []).append(process.usedGpuMemory)
        for place, memory in listed.items():
            used = total(memory)
            lists.setdefault(place, []).extend(() if used is None else (used,))
    instances: dict[int, list[int | None]] = {}
    for (pid, *_), known in lists.items():
        instances.setdefault(pid, []).append(max(known, default=None))
    return {pid: total(memory) for pid, memory in instances.items()}


def _place(process: Any) -> _Place:
    instances = getattr(process, "gpuInstanceId", 0), getattr(process, "computeInstanceId", 0)
    return process.pid, *instances


def _busy(gpu: GpuReader) -> dict[int, float]:
    """The last sample of each process since the last scrape; there is none of idle ones.

    Drivers have answered with old samples and with nonsense for a percentage.
    """
    last_seen = gpu.kept(lambda: [0])  # microseconds
    since = last_seen[0]
    busy = {}
    samples = gpu.shared("nvmlDeviceGetProcessUtilization", since) or ()
    for pid, time, percent in sorted(samples, key=lambda sample: sample[1]):
        if time > since and percent <= 100:
            busy[pid] = percent / 100
            last_seen[0] = time
    return busy
