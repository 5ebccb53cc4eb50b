"""Who told a GPU: one or several exporters, and which of them is heard on a signal."""

from __future__ import annotations

from dataclasses import dataclass

from agentaflow_advisor.observe.signals import FAMILIES
from agentaflow_advisor.observe.told import GpuKey, Readings

Source = tuple[Readings, GpuKey]
"""A dialect's readings, and under which key it has the GPU."""


@dataclass(frozen=True, slots=True)
class Told:
    """Who told a GPU, the preferred one first; each family of signals is told by one alone."""

    key: GpuKey  # where the GPU is
    sources: tuple[Source, ...]
    doubt: str = ""

    @property
    def dialect(self) -> str:
        return self.sources[0][0].dialect

    def source(self, signal: str) -> Source | None:
        """The first that told anything of the signal's family."""
        if len(self.sources) == 1:
            return self.sources[0]
        family = FAMILIES.get(signal, (signal,))
        for source in self.sources:
            if any(tells(source, name) for name in family):
                return source
        return None

    def get(self, signal: str) -> float | None:
        source = self.source(signal)
        return source[0].get(signal, source[1]) if source else None

    def all(self, signal: str) -> list[float]:
        """By each who told it."""
        told = (readings.get(signal, key) for readings, key in self.sources)
        return [value for value in told if value is not None]


def tells(source: Source, signal: str) -> bool:
    readings, key = source
    return (
        key in readings.values.get(signal, ())
        or key in readings.counts.get(signal, ())
        or (signal == "pods" and key in readings.pods)
        or (signal == "held" and key in readings.held)
        or (signal == "held_pods" and key in readings.held_pods)
        or (signal == "held_slices" and key in readings.held_slices)
    )
