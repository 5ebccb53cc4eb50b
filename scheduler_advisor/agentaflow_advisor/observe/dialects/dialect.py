"""A dialect: a table that says how each signal of a GPU is asked for in PromQL, and its labels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

Table = Mapping[str, str]
"""Canonical signal → PromQL template with placeholders (see `render`)."""

GRID = 48
"""Into how many steps a window is cut where presence, not height, is asked."""

AHEAD = "[10m] offset -11m"
"""Samples 1 to 11 minutes ahead of the evaluation time; Prometheus takes none further ahead."""


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels that tell what a GPU is; of several, the first that is not empty."""

    uuid: str = "uuid"
    uuid_prefix: str = ""  # put before a uuid that lacks it
    node: tuple[str, ...] = ("node",)
    index: str = "gpu"
    model: str = "name"
    profile: str = "profile"  # of a MIG slice


@dataclass(frozen=True, slots=True, eq=False)
class Dialect(Mapping[str, str]):
    """One exporter's names: a mapping of signal → template, in the order in which it is asked."""

    name: str  # as in the settings
    exporter: str  # for people
    probes: tuple[str, ...]  # metrics, any of which tells that this exporter is there
    table: Table
    labels: Labels = Labels()
    lost: str = ""  # the GPUs of `up` that are 0; empty where it tells none

    def __getitem__(self, signal: str) -> str:
        return self.table[signal]

    def __iter__(self) -> Iterator[str]:
        return iter(self.table)

    def __len__(self) -> int:
        return len(self.table)


def step_seconds(window_seconds: float) -> int:
    """The step of the presence grid; whole seconds, since Prometheus aligns it to the epoch."""
    return max(1, round(window_seconds / GRID))


def grid_points(window_seconds: float, at: float) -> int:
    """How many steps of the grid lie in the window that ends at `at`, its left end left out."""
    step = step_seconds(window_seconds)
    return max(1, math.floor(at / step) - math.floor((at - window_seconds) / step))


def render(template: str, *, window_seconds: float, percentile: float) -> str:
    """The PromQL text of a template."""
    return (
        template.replace("{window}", _duration(window_seconds))
        .replace("{step}", _duration(step_seconds(window_seconds)))
        .replace("{step_seconds}", str(step_seconds(window_seconds)))
        .replace("{window_seconds}", f"{window_seconds:.15g}")
        .replace("{percentile}", f"{percentile:g}")
    )


def _duration(seconds: float) -> str:
    """The shortest PromQL duration in a single unit: 7d, 90m, 1500ms."""
    milliseconds = round(seconds * 1000)
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms"
