"""What a metric is: its declaration, a family of its samples, and the docs table made from both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Literal, NamedTuple

from agentaflow_exporter.driver import Number

GPU_PREFIX = "agentaflow_gpu_"
GPU_LABELS = ("gpu", "uuid")

# What a reading in this unit can be on hardware that exists. NVML's "not available" answers
# (0xFFFFFFFF and its 64-bit kin) lie outside; a board without the sensor answers 0 °C.
_RANGES: Mapping[str, tuple[float, float]] = {
    "bytes": (0, 2**50),
    "celsius": (1, 200),
    "hertz": (0, 1e10),
    "joules": (0, 1e13),
    "ratio": (0, 1),
    "seconds": (0, 1e10),
    "watts": (0, 20_000),
}
_COUNTS = (0, 2**32 - 2)


@dataclass(frozen=True, slots=True, eq=False)
class Metric:
    """A declaration. A reading outside `low`…`high` is nonsense and is not exported."""

    name: str
    help: str
    source: str
    since: str
    labels: tuple[str, ...]
    collector: str
    kind: Literal["gauge", "counter"]
    unit: str
    low: float
    high: float

    @property
    def family(self) -> str:
        """The name without a counter's _total, as OpenMetrics names families."""
        return self.name.removesuffix("_total")


class Family(NamedTuple):
    """A metric and its samples: label values → value, so that no label set can appear twice."""

    metric: Metric
    samples: Mapping[tuple[str, ...], Number]


def declare(
    name: str,
    help_text: str,
    *labels: str,
    source: str = "",
    since: str = "",
    collector: str = "",
    lowest: float | None = None,
    highest: float | None = None,
) -> Metric:
    """Kind, unit and range follow from the name, which says them by Prometheus' conventions."""
    counter = name.endswith("_total")
    last_word = name.removesuffix("_total").rpartition("_")[2]
    unit = last_word if last_word in _RANGES else ""
    low, high = _RANGES.get(unit, _COUNTS if counter else (0, inf))
    return Metric(
        name=name,
        help=help_text,
        source=source,
        since=since,
        labels=labels,
        collector=collector,
        kind="counter" if counter else "gauge",
        unit=unit,
        low=low if lowest is None else lowest,
        high=high if highest is None else highest,
    )


def declare_gpu(
    collector: str,
    name: str,
    help_text: str,
    *labels: str,
    source: str,
    since: str = "",
    lowest: float | None = None,
    highest: float | None = None,
) -> Metric:
    """A reading of one GPU. `since`: the driver or architecture that has it first, if not all."""
    return declare(
        GPU_PREFIX + name,
        help_text,
        *GPU_LABELS,
        *labels,
        source=source,
        since=since,
        collector=collector,
        lowest=lowest,
        highest=highest,
    )


def documentation(metrics: Iterable[Metric]) -> str:
    """The Markdown of docs/metrics.md."""
    lines = [
        "# Metrics of the exporter",
        "",
        "Generated: `python -m agentaflow_exporter.metrics > docs/metrics.md`.",
        "",
        "A reading is absent or true: what a GPU does not support, and what lies outside the",
        "range, is not exported.",
        "",
        "| Metric | Type | Labels | Range | Collector | Meaning | Source | Since |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for metric in metrics:
        labels = " ".join(f"`{label}`" for label in metric.labels)
        span = f"{metric.low:g} … {metric.high:g}" if metric.source and metric.high < inf else ""
        cells = (
            f"`{metric.name}`",
            metric.kind,
            labels,
            span,
            metric.collector,
            metric.help,
            metric.source,
            metric.since,
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
