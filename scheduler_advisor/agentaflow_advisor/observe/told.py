"""What one exporter's answers told, by GPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from agentaflow_advisor.model import PodRef, Query, Refusal
from agentaflow_advisor.observe.partial import Warned


class GpuKey(NamedTuple):
    """What tells one GPU from another. The index does not: it may change at a reboot."""

    cluster: str
    node: str
    uuid: str


Place = tuple[str, ...]
"""The labels of a series that say which GPU it is of."""
Holder = tuple[str, str, str]
"""Namespace, pod (empty where only the namespace is told), MIG profile (empty: the whole GPU)."""
Holding = dict[Holder, float]
"""Steps of the grid, or that were recorded."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The series of an answer, and which GPU each is of; None where it names none."""

    metrics: Sequence[bytes]
    keys: Sequence[GpuKey | None]
    distinct: Sequence[GpuKey] = ()  # the same where each names a GPU of its own

    @classmethod
    def of(cls, metrics: Sequence[bytes], keys: Sequence[GpuKey | None]) -> Rows:
        named = [key for key in keys if key]
        distinct = len(set(named)) == len(keys)
        return cls(metrics, keys, named if distinct else ())


@dataclass(slots=True)
class Readings:
    """All that one dialect's queries told, by GPU. Filled by `read`, then only looked at."""

    dialect: str = ""
    values: dict[str, dict[GpuKey, float]] = field(default_factory=dict)
    counts: dict[str, dict[GpuKey, dict[str, float]]] = field(default_factory=dict)
    models: dict[GpuKey, str] = field(default_factory=dict)
    indices: dict[GpuKey, str] = field(default_factory=dict)
    pods: dict[GpuKey, set[PodRef]] = field(default_factory=dict)
    held: dict[GpuKey, Holding] = field(default_factory=dict)
    held_pods: dict[GpuKey, Holding] = field(default_factory=dict)
    held_slices: dict[GpuKey, Holding] = field(default_factory=dict)
    steps: int | None = None  # in the window, where presence is counted in recorded steps
    nodes: dict[str, dict[tuple[str, str], float]] = field(default_factory=dict)
    """Signal → cluster and node → the value of all its GPUs, where nodes were asked."""
    stood_in: set[GpuKey] = field(default_factory=set)  # whose node is the host of `instance`
    series: dict[bytes, GpuKey | None] = field(default_factory=dict)  # by all of a series' labels
    rows: dict[tuple[int, bytes], Rows] = field(default_factory=dict)  # by number and first series
    keys: dict[Place, GpuKey] = field(default_factory=dict)  # by the labels that name one
    known: dict[GpuKey, GpuKey] = field(default_factory=dict)  # so that one GPU is one object
    queries: list[Query] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    warned: list[Warned] = field(default_factory=list)

    def get(self, signal: str, key: GpuKey) -> float | None:
        return self.values.get(signal, {}).get(key)

    def gpus(self) -> set[GpuKey]:
        """Every GPU that is there now or was measured within the window."""
        seen = ("up", "present", "utilization_samples")
        return {*self.models, *(key for signal in seen for key in self.values.get(signal, ()))}
