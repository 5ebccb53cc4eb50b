"""The rules of an hour, from those of 5 minutes, and of whole windows, from those of an hour."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from agentaflow_advisor.observe.recording.families import (
    APART,
    BEFORE_STEP,
    GROWN,
    GROWN_RARE,
    HELD,
    NODE_PREFIX,
    OF_WHOLE,
    OTHERWISE,
    OVER,
    PEAKS,
    PERCENTILE,
    PREFIX,
    USUAL_LANES,
    WHOLE,
    metric,
)

Rule = dict[str, Any]
CLOCK = "agentaflow:recorded_time:seconds"
GPU = "cluster, node, uuid"
STEP_SECONDS = 300
MAXIMA = {
    "utilization_ratio": "utilization_max",
    "memory_used_bytes": "memory_used_max",
    "temperature_celsius": "temperature_max",
    "pcie_link_width": "pcie_width",
    "sm_active_ratio": "sm_active_high",  # at the 1 quantile
}
"""Family → the dialect's signal that is its maximum over 5 minutes."""
MEANS = {
    "utilization_ratio": "utilization_mean",
    "power_watts": "power_mean",
    "sm_active_ratio": "sm_active_mean",
    "tensor_active_ratio": "tensor_active_mean",
    "dram_active_ratio": "dram_active_mean",
}
SAMPLES = "utilization_samples"
MEASURED = ("utilization_ratio", "high")  # what the advisor knows the measured GPUs by
PRESENT = "present"


def hours() -> Iterator[Rule]:
    """Those of an hour, from those of 5 minutes; and of whole windows of hours."""
    for family in MAXIMA:
        yield _hour(family, "max", "max_over_time", "max")
    for family in MEANS:
        yield _hour(family, "avg", "avg_over_time", "avg")
    yield _hour(SAMPLES, "steps", "count_over_time", "count")
    yield _hour(PRESENT, "steps", "count_over_time", "last")
    yield _hour(HELD, "steps", "sum_over_time", "last")
    for family in (*GROWN.values(), *GROWN_RARE):
        yield _hour(family, "increase", "sum_over_time", "increase")
    yield clock(metric(PRESENT, "steps", "1h"), "1h", "")
    for window, name in WHOLE.items():
        yield from _whole(window, name)
    yield _over(PEAKS["utilization_max"], "max", BEFORE_STEP, BEFORE_STEP)


def _hour(family: str, operation: str, function: str, of: str) -> Rule:
    return {
        "record": metric(family, operation, "1h"),
        "expr": f"{function}({metric(family, of, '5m')}[1h])",
    }


def _whole(window: str, name: str) -> Iterator[Rule]:
    """Of all hours of a window: in their group, so that the newest hour is in it."""
    for family, operation in OF_WHOLE:
        yield _over(family, operation, window, name)
    yield from _otherwise(window, name)
    yield from _alike(PRESENT, name)
    yield clock(metric(PRESENT, "steps", name), name, "")


def _over(family: str, operation: str, window: str, name: str) -> Rule:
    return {"record": metric(family, operation, name), "expr": _of_hours(family, operation, window)}


def _of_hours(family: str, operation: str, window: str) -> str:
    """A minute less than the window: before Prometheus 3 both ends of a range are in it."""
    span = f"[{_hours(window) * 60 - 1}m]"
    if operation == "high":
        return f"quantile_over_time({PERCENTILE:g}, {metric(family, 'max', '1h')}{span})"
    return f"{OVER[operation]}({metric(family, operation, '1h')}{span})"


def _hours(window: str) -> int:
    return int(window.removesuffix("h"))


def _otherwise(window: str, name: str) -> Iterator[Rule]:
    """Those of OTHERWISE, from whose hours it is seen."""
    steps = _hours(window) * 3600 // STEP_SECONDS
    mean = _of_hours("utilization_ratio", "avg", window)
    texts = {
        "utilization_broken": f"group by ({GPU}, exporter) ({mean} * 0 != 0)",
        "utilization_present": f"{_of_hours(SAMPLES, 'steps', window)} < {steps}",
        "pcie_width": f"{_of_hours('pcie_link_width', 'max', window)} != {USUAL_LANES:g}",
    }
    for signal, text in texts.items():
        yield {"record": metric(*OTHERWISE[signal], name), "expr": text}


def _alike(family: str, name: str) -> Iterator[Rule]:
    """For a node whose GPUs all have the same one series, and those of the other GPUs.

    All: those that are measured, by which the advisor knows whose the node's is.
    """
    by = "cluster, node, exporter"
    each, measured = metric(family, "steps", name), metric(*MEASURED, name)
    node, apart = each.replace(PREFIX, NODE_PREFIX), metric(f"{family}{APART}", "steps", name)
    same = (
        f"max by ({by}) ({each}) == min by ({by}) ({each}) and "
        f"count by ({by}) ({each}) == count by ({by}) ({measured})"
    )
    yield {"record": node, "expr": same}
    yield {"record": apart, "expr": f"{each} unless on ({by}) {node}"}


def clock(of: str, step: str, exporter: str) -> Rule:
    """When these were last recorded, as a value: how far back they reach is asked of it."""
    selector = f'{of}{{exporter="{exporter}"}}' if exporter else of
    return {
        "record": CLOCK,
        "expr": f"group by (cluster, exporter) ({selector}) * time()",
        "labels": {"step": step},
    }
