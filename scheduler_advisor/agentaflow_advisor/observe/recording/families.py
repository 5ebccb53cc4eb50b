"""The recorded families: what each keeps of a GPU at a step, and how a window is asked of them.

Names are `agentaflow:gpu_<what>:<operation><step>`, labels cluster, node, uuid and exporter (and
reason or xid). Steps of 5 minutes are made from the exporter's samples, those of an hour from them.
A mean is one of the steps' means, each of which weighs the same. A high percentile is one of the
steps' maxima: never less than that of the samples. What is rare is recorded only where it is not
zero; who tells it at all is in the bits of `agentaflow:gpu_told:bits5m`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

PREFIX = "agentaflow:gpu_"
TOLD = "told"
FRESH = "[10m]"
"""A step of 5 minutes and as much again: as old as a value of now may be."""

PEAKS: Mapping[str, str] = {
    "utilization_max": "utilization_ratio",
    "memory_used_max": "memory_used_bytes",
    "temperature_max": "temperature_celsius",
    "pcie_width": "pcie_link_width",
}
HIGHS: Mapping[str, str] = {
    "utilization_high": "utilization_ratio",
    "sm_active_high": "sm_active_ratio",
    "memory_used_high_bytes": "memory_used_bytes",
}
MEANS: Mapping[str, str] = {
    "utilization_mean": "utilization_ratio",
    "power_mean": "power_watts",
    "sm_active_mean": "sm_active_ratio",
    "tensor_active_mean": "tensor_active_ratio",
    "dram_active_mean": "dram_active_ratio",
}
COUNTS: Mapping[str, str] = {"utilization_samples": "utilization_samples"}
STEPS: Mapping[str, str] = {
    "present": "present",
    "utilization_present": "utilization_samples",
}
"""In how many steps of 5 minutes there was a sample."""
COUNTED_BY = {"present": "last", "utilization_samples": "count"}
GROWN: Mapping[str, str] = {"energy": "energy_joules"}
NOW: Mapping[str, str] = {
    "memory_total": "memory_total_bytes",
    "processes": "processes",
    "power_limit_watts": "power_limit_watts",
    "power_limit_default_watts": "power_limit_default_watts",
    "temperature_slowdown_celsius": "temperature_slowdown_celsius",
    "pcie_width_max": "pcie_link_width_max",
}
RARE: tuple[str, ...] = (
    "throttled_seconds",
    "xids",
    "ecc_uncorrected",
    "ecc_corrected",
    "remapped_rows_uncorrectable_new",
    "pcie_replays",
    "nvlink_errors",
    "lost_seconds",
    "mig_enabled",
    "remapped_rows_uncorrectable",
    "row_remap_pending",
    "row_remap_failure",
    "retired_pages_pending",
    "nvlink_links_down",
    "recovery_action",
)
"""The n-th has the bit 2^n: recorded bits are read for as long as they are kept, so only append."""
RARE_NOW = frozenset(RARE[RARE.index("mig_enabled") :])
"""Those that are as of now; the others are of the window."""
LABELLED: Mapping[str, str] = {"throttled_seconds": "reason", "xids": "xid"}


class Question(NamedTuple):
    """One query: the signal that it is for, and its text."""

    signal: str
    promql: str
    recorded: bool = False  # then its labels are ours, whatever exporter is behind it


def metric(family: str, operation: str, step: str) -> str:
    return f"{PREFIX}{family}:{operation}{step}"


def questions(
    signals: frozenset[str], exporter: str, *, step: str, window: str, percentile: float
) -> Iterator[Question]:
    """How those of the signals that are recorded are asked; `window` is a duration."""

    def of(family: str, operation: str, span: str = f"[{window}]", each: str = step) -> str:
        return f'{metric(family, operation, each)}{{exporter="{exporter}"}}{span}'

    def mean(family: str) -> str:
        return f"avg_over_time({of(family, 'avg')})"

    def steps(family: str) -> str:
        if step == "5m":
            return f"count_over_time({of(family, COUNTED_BY[family])})"
        return f"sum_over_time({of(family, 'steps')})"

    texts = {
        **{each: f"max_over_time({of(name, 'max')})" for each, name in PEAKS.items()},
        **{
            each: f"quantile_over_time({percentile:g}, {of(name, 'max')})"
            for each, name in HIGHS.items()
        },
        **{each: mean(name) for each, name in MEANS.items()},
        **{each: f"sum_over_time({of(name, 'count')})" for each, name in COUNTS.items()},
        **{each: steps(name) for each, name in STEPS.items()},
        **{each: f"sum_over_time({of(name, 'increase')})" for each, name in GROWN.items()},
        **{each: f"last_over_time({of(name, 'last', FRESH, '5m')})" for each, name in NOW.items()},
        **{
            each: f"last_over_time({of(each, 'last', FRESH, '5m')})"
            if each in RARE_NOW
            else f"sum_over_time({of(each, 'increase')})"
            for each in RARE
        },
    }
    yield from (Question(each, text, True) for each, text in texts.items() if each in signals)
    if signals.intersection(RARE):
        yield Question(TOLD, f"last_over_time({of(TOLD, 'bits', FRESH, '5m')})", True)
