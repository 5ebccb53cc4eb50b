"""Measurements over time: evenly spaced values, with gaps where nobody told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Series:
    """GPUs held, at `start` and every `step_seconds` after it. None: not told, which is not 0."""

    cluster: str
    name: str  # namespace; empty for all of the cluster
    start: float  # seconds since the epoch
    step_seconds: float
    values: tuple[float | None, ...]

    @property
    def end(self) -> float:
        """When the newest value's step ends."""
        return self.start + len(self.values) * self.step_seconds


@dataclass(frozen=True, slots=True)
class Demand:
    """The demand of clusters or of their namespaces, and how many GPUs each cluster has now."""

    series: tuple[Series, ...] = ()
    capacity: Mapping[str, float] = field(default_factory=dict)  # cluster → GPUs
    promql: tuple[str, ...] = ()
    evaluated_at: float = 0.0  # seconds since the epoch, Prometheus' clock
