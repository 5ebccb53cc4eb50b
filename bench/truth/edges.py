"""GPUs just on either side of the limits: what is right for each was worked out by hand.

An H100 has 81,559 MiB. Idle is at most 5 % ever and 2 % at the 95th percentile. A home has a fifth
of memory to spare and is at most 80 % busy: an L40S (45,776 MiB, 3350/864 times slower) takes
38,146 MiB and 20.6 %; a slice 4g.40gb (half of the memory, 4/7 of the compute) 33,982 MiB and
45.7 %; a 1g.10gb 8,495 MiB and 11.4 %. Two on one GPU: 67,965 MiB and 80 % of percentiles together.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from bench.truth.advisor import HOUR, IDLE_KINDS, RIGHTSIZING_KINDS, advice, folder, stored
from bench.truth.score import Score
from bench.truth.written import Names, Written
from tests.support.history import Value, always

STEP = 120
IDLE, HOME, SHARE = "idle", "home", "share"


def _at_times(share: float, high: float, low: float) -> Value:
    """`high` for this share of the samples, spread evenly, and `low` else."""
    every = round(1 / share)
    return lambda at: high if at // STEP % every == 0 else low


@dataclass(frozen=True, slots=True)
class Edge:
    """A GPU, or with `on` one of two on a node; what is right for it, and nothing if empty."""

    right: str
    use: Value
    mib: float = 2_000
    on: str = ""  # a node that it shares with another
    held_hours: float = 25


EDGES: Mapping[str, Edge] = {
    # Idle, and not.
    "zero": Edge(IDLE, always(0.0)),
    "hum": Edge(IDLE, always(0.02)),
    "murmur": Edge(HOME, always(0.03)),
    "five": Edge(IDLE, _at_times(1 / 40, 0.05, 0.0)),
    "six": Edge(HOME, _at_times(1 / 40, 0.06, 0.0)),
    "often-four": Edge(HOME, _at_times(1 / 16, 0.04, 0.0)),
    "one-burst": Edge("", _at_times(1 / 720, 0.9, 0.0)),
    # Of one memory or another, at 20 % and at 45 %.
    "l40s": Edge(HOME, always(0.2), 38_100),
    "l40s-memory": Edge("", always(0.2), 38_200),
    "l40s-busy": Edge("", always(0.21), 38_100),
    "slice": Edge(HOME, always(0.45), 33_900),
    "slice-memory": Edge("", always(0.45), 34_100),
    "slice-busy": Edge("", always(0.46), 33_900),
    "small-slice": Edge(HOME, always(0.11), 8_400),
    # In bursts: the peak counts, however short it is.
    "bursts": Edge("", _at_times(1 / 180, 0.6, 0.1), 8_400),
    "low-bursts": Edge(HOME, _at_times(1 / 180, 0.45, 0.01), 8_400),
    "new": Edge("", always(0.1), 8_400, held_hours=22),  # seen on a grid of half hours
    # Two on a node: together they fit, lack memory, or are too busy.
    "a1": Edge("", always(0.30), 40_000, "pair"),
    "a2": Edge(SHARE, always(0.47), 27_900, "pair"),
    "b1": Edge("", always(0.30), 40_000, "memory"),
    "b2": Edge("", always(0.47), 28_000, "memory"),
    "c1": Edge("", always(0.34), 40_000, "busy"),
    "c2": Edge("", always(0.47), 27_900, "busy"),
    "d1": Edge("", always(0.30), 40_000, "seldom"),
    "d2": Edge(SHARE, _at_times(1 / 40, 0.9, 0.47), 27_900, "seldom"),
    "e1": Edge("", always(0.30), 40_000, "often"),
    "e2": Edge("", _at_times(1 / 16, 0.9, 0.47), 27_900, "often"),
}


def edges(names: Names) -> tuple[Score, Score]:
    """Idle, and right-sizing with sharing, which is told of the GPU that gets free."""
    now = int(time.time())
    written = Written(names, range(now - 25 * HOUR, now, STEP))
    taken: dict[str, int] = {}
    for name, edge in EDGES.items():
        since = now - edge.held_hours * HOUR
        index = taken[edge.on] = taken.get(edge.on, -1) + 1
        held = always(1.0) if edge.held_hours >= 25 else _since(since)
        written.gpu(
            name, edge.use, node=edge.on, gpu=index if edge.on else 0, mib=edge.mib, held=held
        )
    with folder() as at, stored(at, written.write(at / "history.om")) as url:
        said = advice(url, "24h", rightsizing_min_held_seconds="23h30m")
    told = {(one["where"]["uuid"].removeprefix("GPU-"), _what(one["kind"])) for one in said}
    right = {(name, edge.right) for name, edge in EDGES.items() if edge.right}
    return (
        Score.of(_only(told, IDLE), _only(right, IDLE), len(EDGES)),
        Score.of(_only(told, HOME, SHARE), _only(right, HOME, SHARE), len(EDGES)),
    )


def _since(start: float) -> Value:
    return lambda at: 1.0 if at >= start else None


def _what(kind: str) -> str:
    if kind in IDLE_KINDS:
        return IDLE
    if kind == "share-gpu":
        return SHARE
    return HOME if kind in RIGHTSIZING_KINDS else kind


def _only(pairs: set[tuple[str, str]], *what: str) -> set[tuple[str, str]]:
    return {pair for pair in pairs if pair[1] in what}
