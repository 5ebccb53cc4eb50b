"""A made-up past for a real Prometheus: OpenMetrics text for promtool, a family at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

Value = Callable[[int], float | str | None]
"""From Unix seconds to a sample; None leaves a gap."""


class History:
    """Series at the given moments (Unix seconds)."""

    def __init__(self, times: Iterable[int]) -> None:
        self.times = tuple(times)
        self._families: dict[str, list[str]] = {}

    def add(
        self, metric: str, labels: Mapping[str, str], value: Value, *, stamped_later: int = 0
    ) -> None:
        """`stamped_later`: seconds by which the clock that stamps the samples is fast."""
        text = ",".join(f'{name}="{label}"' for name, label in labels.items())
        lines = self._families.setdefault(metric, [])
        for at in self.times:
            told = value(at)
            if told is not None:
                lines.append(f"{metric}{{{text}}} {told} {at + stamped_later}\n")

    def write(self, path: Path) -> Path:
        with path.open("w") as out:
            for metric, lines in self._families.items():
                counter = metric.startswith("agentaflow_") and metric.endswith("_total")
                out.write(f"# TYPE {metric.removesuffix('_total')} counter\n" if counter else "")
                out.writelines(lines)
            out.write("# EOF\n")
        return path


def always(value: float) -> Value:
    return lambda _: value


def until(end: float, value: float = 1.0) -> Value:
    return lambda at: value if at <= end else None


def since(start: float, value: float = 1.0) -> Value:
    return lambda at: value if at >= start else None
