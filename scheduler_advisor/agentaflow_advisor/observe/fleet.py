"""One GPU of the snapshot from what one or several exporters told about it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from agentaflow_advisor.model import Gpu, Held, Usage
from agentaflow_advisor.observe.dialects import grid_points
from agentaflow_advisor.observe.signals import COUNTS, FAMILIES, MEASURES
from agentaflow_advisor.observe.told import GpuKey, Holding, Readings

NOTHING: Mapping[GpuKey, float] = {}
_MEASURES = sorted(MEASURES)
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
        if len(self.sources) == 1:
            readings, key = self.sources[0]
            return readings.values.get(signal, NOTHING).get(key)
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


def gpu_of(told: Told, window: float, at: float) -> Gpu:
    """`window` in seconds, ending at `at`."""
    up = told.all("up")
    processes = told.get("processes")
    present = _present_seconds(told, "present", window, at)
    holders = told.source("pods")
    pods = holders[0].pods.get(holders[1], set()) if holders else set()
    points, most = _points(holders, window, at) if holders else ({}, 1)
    return Gpu(
        cluster=told.key.cluster,
        node=told.key.node,
        index=next((r.indices[key] for r, key in told.sources if key in r.indices), ""),
        uuid=told.key.uuid,
        model=next((r.models[key] for r, key in told.sources if key in r.models), None),
        up=min(up) == 1.0 if up else None,
        memory_total_bytes=told.get("memory_total"),
        memory_used_max_bytes=told.get("memory_used_max"),
        utilization=_usage(told, window, at),
        power_mean_watts=told.get("power_mean"),
        energy_joules=told.get("energy"),
        temperature_max_celsius=told.get("temperature_max"),
        processes=None if processes is None else int(processes),
        pods=tuple(sorted(pods)),
        present_seconds=present,
        held=_held(points, present, window, window / most),
        measures=_measures(told),
        counts=_counts(told),
        dialect=told.dialect,
        doubt=told.doubt,
    )


def _measures(told: Told) -> Mapping[str, float]:
    if len(told.sources) == 1:
        readings, key = told.sources[0]
        return readings.measures(key)
    found: dict[str, float] = {}
    for name in _MEASURES:
        value = told.get(name)
        if value is not None:
            found[name] = value
    return found


def _counts(told: Told) -> Mapping[str, Mapping[str, float]]:
    """A name that is there was told, even where it holds no number."""
    found: dict[str, Mapping[str, float]] = {}
    for name, counted in COUNTS.items():
        if (source := told.source(name)) and tells(source, name):
            numbers = source[0].counts[name][source[1]]
            found[name] = {
                label: value for label, value in numbers.items() if value or counted.zeros
            }
    return found


def _usage(told: Told, window: float, at: float) -> Usage | None:
    """All of it or nothing: where one part is absent or was NaN, the others are in doubt too."""
    maximum = told.get("utilization_max")
    high = told.get("utilization_high")
    mean = told.get("utilization_mean")
    samples = told.get("utilization_samples")
    age = told.get("utilization_age")
    covered = _present_seconds(told, "utilization_present", window, at)
    if maximum is None or high is None or mean is None or samples is None or covered is None:
        return None
    newest = math.inf if age is None else max(0.0, age)
    return Usage(maximum, high, mean, int(samples), newest, covered)


def _present_seconds(told: Told, signal: str, window: float, at: float) -> float | None:
    """In recorded steps where these were asked, in points of the grid elsewhere."""
    source = told.source(signal)
    points = source[0].get(signal, source[1]) if source else None
    if source and points is not None and source[0].steps:
        return window * min(1.0, points / source[0].steps)
    return _grid_seconds(points, window, at)


def _grid_seconds(points: float | None, window: float, at: float) -> float | None:
    """The part of the window that so many points of the presence grid stand for."""
    return None if points is None else window * min(1.0, points / grid_points(window, at))


def _points(holders: Source, window: float, at: float) -> tuple[Holding, int]:
    """Of slices and of pods, where they were asked for; and how many the window has.

    Only namespaces are recorded: the rest is asked on the grid.
    """
    readings, key = holders
    on_grid = readings.held_slices.get(key) or readings.held_pods.get(key)
    if on_grid or not readings.steps:
        return on_grid or readings.held.get(key, {}), grid_points(window, at)
    return readings.held.get(key, {}), readings.steps


def _held(points: Holding, present: float | None, window: float, step: float) -> tuple[Held, ...]:
    """Seconds by holder, from steps of so many seconds. Those of the whole GPU never come to more
    than it was there; each slice has seconds of its own.
    """
    there = window if present is None else present
    whole = sum(part for (*_, profile), part in points.items() if not profile) * step
    scale = min(1.0, there / whole) if whole else 1.0
    return tuple(
        Held(namespace, part * step * (1.0 if profile else scale), pod, profile)
        for (namespace, pod, profile), part in sorted(points.items())
    )
