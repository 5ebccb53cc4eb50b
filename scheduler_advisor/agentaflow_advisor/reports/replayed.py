"""The picture of a replay: what was allocated, and what was fragmented, as more was asked for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from agentaflow_advisor.place.replays import LOADS, Outcome
from agentaflow_advisor.place.seeds import Spread
from agentaflow_advisor.reports.curves import Line, Panel, Point, picture

_FULL_FROM = 85  # below it everything fits, and all lines are one
_ASKED = "GPUs asked for, % of all GPUs"


def plot(outcomes: Sequence[Outcome], bound: Mapping[str, Spread] | None = None) -> str:
    """An SVG: medians over the seeds, and bands from the 25th to the 75th percentile. Pure."""
    allocated = [
        Line(one.strategy, number, _points(one.unallocated_percent, of=100.0))
        for number, one in enumerate(outcomes)
    ]
    fragmented = [
        Line(one.strategy, number, _points(one.fragmented_percent))
        for number, one in enumerate(outcomes)
    ]
    if bound is not None:
        most = Line("upper bound", len(outcomes), _points(bound, of=100.0), dashed=True)
        allocated.append(most)
    lowest = min(p.low for line in allocated for p in line.points if p.x >= _FULL_FROM)
    highest = max(point.high for line in fragmented for point in line.points)
    seeds = len(outcomes[0].seeds)
    said = f"median of {seeds} seeds, band 25 to 75 %" if seeds > 1 else "one seed"
    return picture(
        "GPUs allocated and fragmented, by load",
        [
            Panel(
                f"Allocated ({said})", _ASKED, "% of all GPUs", allocated,
                (_FULL_FROM, LOADS[-1]), (5.0 * math.floor(lowest / 5), 100.0),
            ),
            Panel(
                "Fragmented: idle, and useless to the typical pods", _ASKED, "% of all GPUs",
                fragmented, (0.0, LOADS[-1]), (0.0, math.ceil(max(1.0, highest))),
            ),
        ],
    )  # fmt: skip


def _points(by_load: Mapping[str, Spread], of: float | None = None) -> list[Point]:
    """`of`: what is not left of this much."""
    spreads = [(load, by_load[str(load)]) for load in LOADS]
    if of is None:
        return [Point(load, one.p50, one.p25, one.p75) for load, one in spreads]
    return [Point(load, of - one.p50, of - one.p75, of - one.p25) for load, one in spreads]
