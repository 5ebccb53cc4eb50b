"""The recorded families: what each keeps of a GPU at a step, and how a window is asked of them.

Names are `agentaflow:gpu_<what>:<operation><step>`, labels cluster, node, uuid and exporter (and
reason, xid or namespace). Steps of 5 minutes are made from the exporter's samples, those of an
hour from them. A mean is one of the steps' means, each of which weighs the same. A high percentile
is one of the steps' maxima: never less than that of the samples. What is rare is recorded only
where it is not zero; who tells it at all is in bits, `agentaflow:gpu_told:bits5m`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

PREFIX = "agentaflow:gpu_"
NODE_PREFIX = "agentaflow:node_"
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
}
MEANS: Mapping[str, str] = {
    "utilization_mean": "utilization_ratio",
    "power_mean": "power_watts",
    "sm_active_mean": "sm_active_ratio",
    "tensor_active_mean": "tensor_active_ratio",
    "dram_active_mean": "dram_active_ratio",
}
COUNTED_BY = {"present": "last", "utilization_samples": "count"}
"""Of which recorded samples steps of 5 minutes are counted."""
GROWN: Mapping[str, str] = {"energy": "energy_joules"}
HELD = "held_ratio"
"""By namespace: of a step the part of the GPU that its pods held, of an hour the sum of these."""
NOW: Mapping[str, str] = {
    "memory_total": "memory_total_bytes",
    "processes": "processes",
    "power_limit_watts": "power_limit_watts",
    "power_limit_default_watts": "power_limit_default_watts",
    "temperature_slowdown_celsius": "temperature_slowdown_celsius",
    "pcie_width_max": "pcie_link_width_max",
}
"""Recorded once for a node on which all GPUs have the same, and by GPU elsewhere."""
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
    "pcie_width",
)
"""The n-th has the bit 2^n: recorded bits are read for as long as they are kept, so only append."""
TELLS_ONLY = "pcie_width"
"""It has a bit, and is recorded of every GPU."""
RARE_NOW = frozenset(RARE[RARE.index("mig_enabled") : RARE.index(TELLS_ONLY)])
"""Those that are as of now; the others are of the window."""
LABELLED: Mapping[str, str] = {"throttled_seconds": "reason", "xids": "xid"}


Form = Literal["gpus", "nodes", "partial", "unusual"]
"""What a series of the answer is: one GPU's; a node's, for all its GPUs, or one GPU's; one GPU's
that is less than whole; one GPU's that is not as usual."""
USUAL_LANES = 16.0


class Question(NamedTuple):
    """One query: the signal that it is for, its text, and how to read the answer."""

    signal: str
    promql: str
    recorded: bool = False  # then its labels are ours, whatever exporter is behind it
    form: Form = "gpus"


def metric(family: str, operation: str, step: str) -> str:
    return f"{PREFIX}{family}:{operation}{step}"


def questions(
    signals: frozenset[str],
    exporter: str,
    *,
    step: str,
    window: str,
    steps: int,
    percentile: float,
) -> Iterator[Question]:
    """How those of the signals that are recorded are asked.

    `window` is a duration, `steps` how many steps of 5 minutes are in it. What nearly all GPUs
    have alike is asked for where it is otherwise: a series for each GPU is what costs time.
    """

    series = _Series(exporter, step, window)
    texts = _of_the_window(series, steps, percentile)
    texts |= {signal: (series.now(family), "nodes") for signal, family in NOW.items()}
    for signal in RARE[: RARE.index(TELLS_ONLY)]:
        recent = f"last_over_time({series.of(signal, 'last', FRESH, '5m')})"
        grown = f"sum_over_time({series.of(signal, 'increase')})"
        texts[signal] = recent if signal in RARE_NOW else grown, "gpus"
    for signal, (text, form) in texts.items():
        if signal in signals:
            yield Question(signal, text, True, form)
    if signals.intersection(RARE):
        yield Question(TOLD, series.now(TOLD), True, "nodes")


@dataclass(frozen=True, slots=True)
class _Series:
    """How one exporter's recorded series are selected."""

    exporter: str
    step: str
    window: str

    def of(self, family: str, operation: str, span: str = "", step: str = "") -> str:
        name = metric(family, operation, step or self.step)
        return f'{name}{{exporter="{self.exporter}"}}{span or f"[{self.window}]"}'

    def seen(self, family: str) -> str:
        if self.step == "5m":
            return f"count_over_time({self.of(family, COUNTED_BY[family])})"
        return f"sum_over_time({self.of(family, 'steps')})"

    def now(self, family: str) -> str:
        gpu = self.of(family, "last", FRESH, "5m")
        return f"last_over_time({gpu.replace(PREFIX, NODE_PREFIX)}) or last_over_time({gpu})"


def _of_the_window(series: _Series, steps: int, percentile: float) -> dict[str, tuple[str, Form]]:
    of = series.of
    texts: dict[str, tuple[str, Form]] = {}
    for signal, family in PEAKS.items():
        texts[signal] = f"max_over_time({of(family, 'max')})", "gpus"
    for signal, family in HIGHS.items():
        texts[signal] = f"quantile_over_time({percentile:g}, {of(family, 'max')})", "gpus"
    for signal, family in MEANS.items():
        texts[signal] = f"avg_over_time({of(family, 'avg')})", "gpus"
    for signal, family in GROWN.items():
        texts[signal] = f"sum_over_time({of(family, 'increase')})", "gpus"
    held = f"sum_over_time({of(HELD, 'last' if series.step == '5m' else 'steps')})"
    texts |= {
        "pcie_width": (f"{texts['pcie_width'][0]} != {USUAL_LANES:g}", "unusual"),
        "present": (series.seen("present"), "gpus"),
        "held": (held, "gpus"),
        "utilization_present": (f"{series.seen('utilization_samples')} < {steps}", "partial"),
    }
    return texts
