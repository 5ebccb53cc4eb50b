"""How well GPUs are used: utilization, SM activity, memory and energy by GPU, node or namespace."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from agentaflow_advisor.analyze.allocation import seen_seconds
from agentaflow_advisor.analyze.grouping import NO_NAMESPACE
from agentaflow_advisor.analyze.idleness import USAGE
from agentaflow_advisor.model import Gpu, Snapshot

By = Literal["gpu", "node", "namespace"]
JOULES_PER_KWH = 3_600_000.0
SM, TENSOR = "sm_active_mean", "tensor_active_mean"
SIGNALS = frozenset(USAGE) | {
    "utilization_mean",
    "info",
    "up",
    "present",
    "held",
    "memory_total",
    "memory_used_max",
    "power_mean",
    "energy",
    SM,
    TENSOR,
}


@dataclass(frozen=True, slots=True)
class EfficiencyRow:
    """One GPU, node or namespace over the window. None: no series told it; it never means 0.

    Averages weigh a GPU by the hours it was there (for a namespace: by the hours it was held, its
    figures being those of the whole window). The mean serves to compare, not to judge idleness.
    GPU hours beside `sm_active_hours` are what was held beside what was worked; `…_kwh_per_…` is
    of those GPUs only that tell both, and its inverse is work per energy.
    """

    by: By
    cluster: str
    name: str
    gpus: int
    gpu_hours: float
    utilization_mean: float | None  # ratio 0 to 1
    utilization_high: float | None  # the highest of its GPUs' high percentiles, 0 to 1
    memory_peak_ratio: float | None  # peak of memory used over total, 0 to 1
    power_mean_watts: float | None  # of one GPU
    energy_kwh: float | None
    unmeasured_gpus: int  # without a usable utilization
    sm_active_mean: float | None = None  # ratio 0 to 1
    tensor_active_mean: float | None = None  # ratio 0 to 1
    sm_active_hours: float | None = None  # hours in which all SMs had worked, as many as it was
    tensor_active_hours: float | None = None
    kwh_per_sm_active_hour: float | None = None
    kwh_per_tensor_active_hour: float | None = None
    unprofiled_gpus: int = 0  # without SM activity: in no figure of it


@dataclass(frozen=True, slots=True)
class _Share:
    gpu: Gpu
    seconds: float
    part: float  # of the GPU's time, 0 to 1


def report(snapshot: Snapshot, *, by: By) -> tuple[EfficiencyRow, ...]:
    """Rows by falling GPU hours. Clusters that were not told whole are left out."""
    groups: defaultdict[tuple[str, str], list[_Share]] = defaultdict(list)
    whole = [gpu for gpu in snapshot.gpus if not snapshot.missing.why(gpu.cluster)]
    for gpu in sorted(whole, key=lambda gpu: (gpu.cluster, gpu.node, gpu.uuid)):
        for name, share in _shares(gpu, seen_seconds(gpu), by):
            groups[gpu.cluster, name].append(share)
    rows = [_row(by, *key, groups[key]) for key in sorted(groups)]
    return tuple(sorted(rows, key=lambda row: -row.gpu_hours))


def _shares(gpu: Gpu, seconds: float, by: By) -> Iterator[tuple[str, _Share]]:
    if by != "namespace":
        name = gpu.node if by == "node" else f"{gpu.node}/{gpu.index or gpu.uuid}"
        yield name, _Share(gpu, seconds, 1.0)
        return
    for held in gpu.held:
        yield held.namespace, _Share(gpu, held.seconds, _ratio(held.seconds, seconds))
    free = seconds - sum(held.seconds for held in gpu.held)
    if free > 0.001 or not gpu.held:
        yield NO_NAMESPACE, _Share(gpu, max(0.0, free), _ratio(free, seconds))


def _ratio(part: float, whole: float) -> float:
    return min(1.0, max(0.0, part / whole)) if whole > 0 else 0.0


def _row(by: By, cluster: str, name: str, shares: list[_Share]) -> EfficiencyRow:
    usages = [(share.gpu.utilization, share.seconds) for share in shares if share.gpu.utilization]
    energies = [
        share.gpu.energy_joules * share.part
        for share in shares
        if share.gpu.energy_joules is not None
    ]
    return EfficiencyRow(
        by=by,
        cluster=cluster,
        name=name,
        gpus=len(shares),
        gpu_hours=sum(share.seconds for share in shares) / 3600.0,
        utilization_mean=_mean(
            (usage.mean, weight) for usage, weight in usages if usage.mean is not None
        ),
        utilization_high=max((usage.high for usage, _ in usages), default=None),
        memory_peak_ratio=_mean(_memory(shares)),
        power_mean_watts=_mean(
            (share.gpu.power_mean_watts, share.seconds)
            for share in shares
            if share.gpu.power_mean_watts is not None
        ),
        energy_kwh=sum(energies) / JOULES_PER_KWH if energies else None,
        unmeasured_gpus=len(shares) - len(usages),
        sm_active_mean=_mean(_activity(shares, SM)),
        tensor_active_mean=_mean(_activity(shares, TENSOR)),
        sm_active_hours=_active_hours(shares, SM),
        tensor_active_hours=_active_hours(shares, TENSOR),
        kwh_per_sm_active_hour=_kwh_per_active_hour(shares, SM),
        kwh_per_tensor_active_hour=_kwh_per_active_hour(shares, TENSOR),
        unprofiled_gpus=sum(SM not in share.gpu.measures for share in shares),
    )


def _activity(shares: Iterable[_Share], signal: str) -> Iterator[tuple[float, float]]:
    for share in shares:
        if signal in share.gpu.measures:
            yield share.gpu.measures[signal], share.seconds


def _active_hours(shares: Iterable[_Share], signal: str) -> float | None:
    """Of the GPUs that tell it; None where none does."""
    told = [ratio * seconds / 3600.0 for ratio, seconds in _activity(shares, signal)]
    return sum(told) if told else None


def _kwh_per_active_hour(shares: Iterable[_Share], signal: str) -> float | None:
    """None where no GPU tells both, or none worked."""
    both = [
        share
        for share in shares
        if share.gpu.energy_joules is not None and signal in share.gpu.measures
    ]
    hours = _active_hours(both, signal)
    joules = sum((share.gpu.energy_joules or 0.0) * share.part for share in both)
    return joules / JOULES_PER_KWH / hours if hours else None


def _memory(shares: Iterable[_Share]) -> Iterator[tuple[float, float]]:
    for share in shares:
        used, total = share.gpu.memory_used_max_bytes, share.gpu.memory_total_bytes
        if used is not None and total:
            yield used / total, share.seconds


def _mean(weighted: Iterable[tuple[float, float]]) -> float | None:
    """The weighted mean; None of nothing, or of what was there for no time."""
    pairs = list(weighted)
    weight = sum(part for _, part in pairs)
    return sum(value * part for value, part in pairs) / weight if weight > 0 else None
