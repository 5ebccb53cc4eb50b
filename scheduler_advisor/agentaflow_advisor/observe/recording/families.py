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
MEASURED = "utilization_high"
"""Told of each GPU whose utilization was recorded: by it a node's values are those of its GPUs."""
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
REASONS: Mapping[str, int] = {
    "hw_thermal_slowdown": 1 << 32,
    "sw_thermal_slowdown": 1 << 33,
    "thermal": 1 << 34,
    "hw_power_brake_slowdown": 1 << 35,
    "sw_power_cap": 1 << 36,
}
"""Of `throttled_seconds`, with the bit of who tells it: as of the rare ones, only append."""
TELLS_ONLY = "pcie_width"
"""It has a bit, and is recorded of every GPU."""
RARE_NOW = frozenset(RARE[RARE.index("mig_enabled") : RARE.index(TELLS_ONLY)])
"""Those that are as of now; the others are of the window."""
GROWN_RARE = tuple(signal for signal in RARE if signal not in RARE_NOW | {TELLS_ONLY})
WHOLE: Mapping[str, str] = {"24h": "1d"}
"""Windows of which the rules keep what is asked for of all their hours, and how they name them. The
hours of a day are in five blocks of Prometheus, each of which is looked through for every GPU.
"""
ABOVE, BEFORE_STEP = "above", "23h"
"""A step's peak is recorded apart where it is above the newest that is known of 23 hours. That may
be an hour old: it is of hours that are still in the whole day which is read later.
"""
WHOLE_FRESH = "[70m]"
"""An hour, and some minutes in which the rules are late."""
PERCENTILE = 0.95
"""The high one that is kept of whole windows: the settings' own default."""
OVER: Mapping[str, str] = {
    "max": "max_over_time",
    "avg": "avg_over_time",
    "steps": "sum_over_time",
    "increase": "sum_over_time",
}
"""How the hours of a window become one value."""
OF_WHOLE: tuple[tuple[str, str], ...] = (
    ("utilization_ratio", "max"),
    ("utilization_ratio", "high"),
    ("present", "steps"),
    ("memory_used_bytes", "max"),
    ("sm_active_ratio", "high"),
    (HELD, "steps"),
    *((signal, "increase") for signal in GROWN_RARE),
)
"""Family and operation of what is kept of whole windows: what advice needs of every GPU."""
APART = "_apart"
"""Of a family of a whole window: its GPUs that are not as all of their node are, which has one."""
OTHERWISE: Mapping[str, tuple[str, str]] = {
    "utilization_broken": ("utilization_ratio", "broken"),
    "utilization_present": ("utilization_samples", "partial"),
    "pcie_width": ("pcie_link_width", "unusual"),
}
"""Signals of which a whole window keeps only the GPUs that are not as usual: whose samples are NaN
or infinite, that were not measured throughout, or have not 16 lanes.
"""
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
    whole: str = "",
) -> Iterator[Question]:
    """How those of the signals that are recorded are asked.

    `window` is a duration, `steps` how many steps of 5 minutes are in it, and `whole` its name
    where it is kept whole. What nearly all GPUs have alike is asked for where it is otherwise: a
    series for each GPU is what costs time.
    """

    series = _Series(exporter, step, window, whole)
    texts = _of_the_window(series, steps, percentile)
    texts |= {signal: (series.now(family), "nodes") for signal, family in NOW.items()}
    for signal in RARE[: RARE.index(TELLS_ONLY)]:
        recent = f"last_over_time({series.of(signal, 'last', FRESH, '5m')})"
        grown = series.over(signal, "increase")
        texts[signal] = recent if signal in RARE_NOW else grown, "gpus"
    if series.whole:
        texts |= {signal: (series.otherwise(signal), texts[signal][1]) for signal in OTHERWISE}
    if series.whole and MEASURED in signals:
        texts["present"] = series.alike("present"), "nodes"
    for signal, (text, form) in texts.items():
        if signal in signals:
            yield Question(signal, text, True, form)
    if signals.intersection(RARE):
        yield Question(TOLD, series.now(TOLD), True, "nodes")


def recent_peaks(exporter: str, window: str, whole: str) -> str:
    """Of utilization, over the steps of 5 minutes in a short window; only those above its peak of
    the whole one, where that is kept.
    """
    of = ABOVE if whole else "max"
    return _Series(exporter, "5m", window, "").over(PEAKS["utilization_max"], "max", of)


@dataclass(frozen=True, slots=True)
class _Series:
    """How one exporter's recorded series are selected."""

    exporter: str
    step: str
    window: str
    whole: str

    def over(self, family: str, operation: str, of: str = "") -> str:
        """Of the window, whole where it is kept so, else over its steps' `of`."""
        if self.whole and (family, operation) in OF_WHOLE:
            return f"last_over_time({self.of(family, operation, WHOLE_FRESH, self.whole)})"
        return f"{OVER[operation]}({self.of(family, of or operation)})"

    def high(self, family: str, percentile: float) -> str:
        if percentile == PERCENTILE and self.whole and (family, "high") in OF_WHOLE:
            return f"last_over_time({self.of(family, 'high', WHOLE_FRESH, self.whole)})"
        return f"quantile_over_time({percentile:g}, {self.of(family, 'max')})"

    def of(self, family: str, operation: str, span: str = "", step: str = "") -> str:
        name = metric(family, operation, step or self.step)
        return f'{name}{{exporter="{self.exporter}"}}{span or f"[{self.window}]"}'

    def seen(self, family: str) -> str:
        if self.step == "5m":
            return f"count_over_time({self.of(family, COUNTED_BY[family])})"
        return self.over(family, "steps")

    def alike(self, family: str) -> str:
        """Of a whole window: a node's where all its GPUs are alike, and those that are apart."""
        node = self.of(family, "steps", WHOLE_FRESH, self.whole).replace(PREFIX, NODE_PREFIX)
        apart = self.of(f"{family}{APART}", "steps", WHOLE_FRESH, self.whole)
        return f"last_over_time({node}) or last_over_time({apart})"

    def otherwise(self, signal: str) -> str:
        family, operation = OTHERWISE[signal]
        return f"last_over_time({self.of(family, operation, WHOLE_FRESH, self.whole)})"

    def now(self, family: str) -> str:
        gpu = self.of(family, "last", FRESH, "5m")
        return f"last_over_time({gpu.replace(PREFIX, NODE_PREFIX)}) or last_over_time({gpu})"


def _of_the_window(series: _Series, steps: int, percentile: float) -> dict[str, tuple[str, Form]]:
    texts: dict[str, tuple[str, Form]] = {}
    for signal, family in PEAKS.items():
        texts[signal] = series.over(family, "max"), "gpus"
    for signal, family in HIGHS.items():
        texts[signal] = series.high(family, percentile), "gpus"
    for signal, family in MEANS.items():
        texts[signal] = series.over(family, "avg"), "gpus"
    broken = f"group by (cluster, node, uuid) ({texts['utilization_mean'][0]} * 0 != 0)"
    for signal, family in GROWN.items():
        texts[signal] = series.over(family, "increase"), "gpus"
    held = series.over(HELD, "steps", "last" if series.step == "5m" else "steps")
    texts |= {
        "utilization_broken": (broken, "gpus"),
        "pcie_width": (f"{texts['pcie_width'][0]} != {USUAL_LANES:g}", "unusual"),
        "present": (series.seen("present"), "gpus"),
        "held": (held, "gpus"),
        "utilization_present": (f"{series.seen('utilization_samples')} < {steps}", "partial"),
    }
    return texts
