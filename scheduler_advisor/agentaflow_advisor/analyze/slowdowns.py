"""What held a GPU's clocks down and for how long, and for which causes nobody told it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from agentaflow_advisor.model import Gpu

Cause = Literal["heat", "brake", "cap", "limit", "unknown cap"]
THROTTLED = "throttled_seconds"
HOT = "hw_thermal_slowdown"
THERMAL = "thermal"
"""NVML's performance policy, which DCGM tells: by any of the thermal reasons."""
HEAT = (HOT, "sw_thermal_slowdown", THERMAL)
BRAKE = "hw_power_brake_slowdown"
CAP = "sw_power_cap"
REASONS = frozenset({*HEAT, BRAKE, CAP})
LIMITS = ("power_limit_watts", "power_limit_default_watts")
LOOKS: Mapping[str, tuple[frozenset[str], ...]] = {
    "heat": (frozenset({THERMAL}), frozenset({HOT, "sw_thermal_slowdown"})),
    "the power brake": (frozenset({BRAKE}),),
    "a power limit": (frozenset({CAP}),),
}
"""What is looked for, and which reasons must have been told: all of one set."""


@dataclass(frozen=True, slots=True)
class Throttled:
    """How long something held a GPU's clocks down. Reasons that overlap count once at least."""

    cause: Cause
    seconds: float
    reasons: tuple[str, ...]


def any_at_all(gpu: Gpu) -> bool:
    """Whether something held it down: nothing does with most GPUs, which is quickly seen."""
    return any(gpu.counts.get(THROTTLED, {}).values())


def hot_or_braked(gpu: Gpu) -> bool:
    """Whether more than its power limit did."""
    told = gpu.counts.get(THROTTLED, {})
    return any(told.get(reason) for reason in (*HEAT, BRAKE))


def causes(gpu: Gpu, seen: float) -> tuple[Throttled, ...]:
    """Of the reasons that were told; `limit` is a board that works at its own default limit."""
    told = gpu.counts.get(THROTTLED, {})
    found = []
    heat = tuple(reason for reason in HEAT if told.get(reason, 0.0) > 0)
    if heat:  # they may overlap: the longest one is certain
        found.append(Throttled("heat", max(told[reason] for reason in heat), heat))
    if told.get(BRAKE, 0.0) > 0:
        found.append(Throttled("brake", told[BRAKE], (BRAKE,)))
    if told.get(CAP, 0.0) > 0:
        found.append(Throttled(_cap(gpu), told[CAP], (CAP,)))
    return tuple(Throttled(each.cause, min(each.seconds, seen), each.reasons) for each in found)


def blind(gpu: Gpu) -> tuple[str, ...]:
    """What nobody told: an exporter counts for what it tells, not for being there."""
    return _blind(tuple(gpu.counts.get(THROTTLED, ())))


@lru_cache  # most GPUs are told the same reasons
def _blind(told: tuple[str, ...]) -> tuple[str, ...]:
    known = set(told)
    return tuple(what for what, sets in LOOKS.items() if not any(each <= known for each in sets))


def _cap(gpu: Gpu) -> Cause:
    """An admin's cap is below the limit that the board comes with."""
    limit, default = (gpu.measures.get(name) for name in LIMITS)
    if limit is None or default is None:
        return "unknown cap"
    return "cap" if limit < default - 0.5 else "limit"
