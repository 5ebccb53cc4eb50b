"""The canonical signals: which values are plausible, and how several targets' views become one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

INFINITY = math.inf
SECONDS_SLACK = 60.0  # a sample may be a little newer than the evaluation time


@dataclass(frozen=True, slots=True)
class Rule:
    """How one signal's values are checked, and how several targets' views of a GPU become one.

    The bounds also keep out DCGM's blank values (2147483632, 140737488355328 and
    9223372036854775792, dcgm_structs.h), whatever unit they were converted to.
    """

    low: float
    high: float
    fold: Callable[[float, float], float] = max


RATIO = Rule(0.0, 1.0)
AMOUNT = Rule(0.0, INFINITY)
COUNT = Rule(0.0, 1e9)
FLAG = Rule(0.0, 1.0)
BYTES = Rule(0.0, 2.0**50)
JOULES = Rule(0.0, 1e12)  # 20 kW for 90 days are 1.6e11
WATTS = Rule(0.0, 100_000.0)
CELSIUS = Rule(-100.0, 300.0)
LANES = Rule(0.0, 64.0)
EPOCH = Rule(0.0, 1e11)

FIELDS: Mapping[str, Rule] = {
    "up": Rule(0.0, 1.0, min),
    "present": AMOUNT,
    "utilization_max": RATIO,
    "utilization_high": RATIO,
    "utilization_mean": RATIO,
    "utilization_broken": FLAG,
    "utilization_samples": AMOUNT,
    "utilization_age": Rule(-SECONDS_SLACK, INFINITY, min),
    "utilization_present": AMOUNT,
    "utilization_ahead": AMOUNT,
    "memory_total": BYTES,
    "memory_used_max": BYTES,
    "power_mean": WATTS,
    "energy": JOULES,
    "temperature_max": CELSIUS,
    "processes": COUNT,
}
"""Each has a field of its own in the model, alone or with others."""

MEASURES: Mapping[str, Rule] = {
    "sm_active_mean": RATIO,
    "sm_active_high": RATIO,
    "tensor_active_mean": RATIO,
    "dram_active_mean": RATIO,
    "power_limit_watts": WATTS,
    "power_limit_default_watts": WATTS,
    "temperature_slowdown_celsius": CELSIUS,
    "mig_enabled": FLAG,
    "ecc_uncorrected": COUNT,
    "ecc_corrected": COUNT,
    "remapped_rows_uncorrectable": COUNT,
    "remapped_rows_uncorrectable_new": COUNT,
    "row_remap_pending": COUNT,
    "row_remap_failure": COUNT,
    "retired_pages_pending": COUNT,
    "pcie_width": LANES,
    "pcie_width_max": LANES,
    "pcie_replays": COUNT,
    "nvlink_links_down": COUNT,
    "nvlink_errors": COUNT,
    "recovery_action": Rule(0.0, 255.0),
    "lost_seconds": AMOUNT,
}
"""What `Gpu.measures` holds, by the same names."""


@dataclass(frozen=True, slots=True)
class Counted:
    """A signal with a number for each value of a label."""

    label: str
    rule: Rule
    zeros: bool = True  # whether a 0 is kept, or only tells that there was none


COUNTS: Mapping[str, Counted] = {
    "throttled_seconds": Counted("reason", AMOUNT),
    "xids": Counted("xid", COUNT, zeros=False),
    "xid_last": Counted("xid", EPOCH),
}
"""What `Gpu.counts` holds, by the same names."""

_UTILIZATION = tuple(name for name in FIELDS if name.startswith("utilization_"))
_HOLDERS = ("pods", "held", "held_pods", "held_slices")
FAMILIES: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(_UTILIZATION, _UTILIZATION),
    **dict.fromkeys(_HOLDERS, _HOLDERS),
}
"""Signals that only make sense from one source. Every other one is a family of its own."""

SCALARS: Mapping[str, Rule] = {**FIELDS, **MEASURES}
