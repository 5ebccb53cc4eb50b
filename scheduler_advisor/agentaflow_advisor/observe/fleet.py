"""The GPUs of the snapshot from what one or several exporters told about them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache

from agentaflow_advisor.model import Gpu, Held, Usage
from agentaflow_advisor.observe.columns import Column, Columns
from agentaflow_advisor.observe.dialects import grid_points
from agentaflow_advisor.observe.sources import Source, Told
from agentaflow_advisor.observe.told import Holder, Holding


def gpus_of(found: Sequence[Told], window: float, at: float) -> list[Gpu]:
    """One for each, in their order; `window` in seconds, ending at `at`."""
    if not found:
        return []
    told = Columns(found)
    present = _seconds(told, "present", window, at)
    columns = (  # in the order of Gpu's fields
        [each.key.cluster for each in found],
        [each.key.node for each in found],
        [index or "" for index in told.indices()],
        [each.key.uuid for each in found],
        told.models(),
        told.up(),
        told.values("memory_total"),
        told.values("memory_used_max"),
        _usages(told, window, at),
        told.values("power_mean"),
        told.values("energy"),
        told.values("temperature_max"),
        [None if number is None else int(number) for number in told.values("processes")],
        told.pods(),
        present,
        _holders(told, present, window, at),
        told.measures(),
        told.counts(),
        [each.dialect for each in found],
        [each.doubt for each in found],
    )
    return list(map(Gpu, *columns))


def _usages(told: Columns, window: float, at: float) -> Iterator[Usage | None]:
    """All of it or nothing: where one part is absent or was NaN, the others are in doubt too."""
    parts = ("max", "high", "samples", "age", "mean", "broken")
    columns = [told.values(f"utilization_{part}") for part in parts]
    covered = _seconds(told, "utilization_present", window, at)
    rows = zip(covered, *columns, strict=True)
    for seconds, maximum, high, samples, age, mean, broken in rows:
        if broken or maximum is None or high is None or samples is None or seconds is None:
            yield None
        else:
            newest = math.inf if age is None else max(0.0, age)
            yield Usage(maximum, high, int(samples), newest, seconds, mean)


def _seconds(told: Columns, signal: str, window: float, at: float) -> Column:
    """The part of the window that the points stand for: recorded steps where these were asked,
    points of the grid elsewhere.
    """
    grid = grid_points(window, at)
    steps = (source[0].steps or grid if source else grid for source in told.sources(signal))
    return [
        None if number is None else window * min(1.0, number / most)
        for number, most in zip(told.values(signal), steps, strict=True)
    ]


def _holders(
    told: Columns, present: Column, window: float, at: float
) -> Iterator[tuple[Held, ...]]:
    grid = grid_points(window, at)
    for source, seconds in zip(told.sources("held"), present, strict=True):
        points, most = _points(source, grid) if source else ({}, grid)
        there = window if seconds is None else seconds
        yield _held(tuple(sorted(points.items())), there, window / most) if points else ()


def _points(holders: Source, grid: int) -> tuple[Holding, int]:
    """Of slices and of pods, where they were asked for; and how many the window has.

    Only namespaces are recorded: the rest is asked on the grid.
    """
    readings, key = holders
    on_grid = readings.held_slices.get(key) or readings.held_pods.get(key)
    if on_grid or not readings.steps:
        return on_grid or readings.held.get(key, {}), grid
    return readings.held.get(key, {}), readings.steps


@lru_cache  # most are held by one namespace, all the time
def _held(points: tuple[tuple[Holder, float], ...], there: float, step: float) -> tuple[Held, ...]:
    """Seconds by holder, from steps of so many seconds. Those of the whole GPU never come to more
    than it was there; each slice has seconds of its own.
    """
    whole = sum(part for (*_, profile), part in points if not profile) * step
    scale = min(1.0, there / whole) if whole else 1.0
    return tuple(
        Held(namespace, part * step * (1.0 if profile else scale), pod, profile)
        for (namespace, pod, profile), part in points
    )
