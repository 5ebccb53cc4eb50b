"""How far forecasts of GPU demand are off, on real demand, beside seasonal-naive."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from agentaflow_advisor.analyze.backtest import Score, backtest
from bench.table import Row, show, verdict

DATA = Path(__file__).parent.parent / "tests" / "data" / "philly" / "hourly.csv"
HOUR = 3600.0
DAY, WEEK = 24, 168
HISTORY = 8 * WEEK
FIRST_ORIGIN = 5 * WEEK
LAST_HOUR = 94 * DAY
BUCKETS = ((0, DAY), (DAY, WEEK), (WEEK, 2 * WEEK), (0, 2 * WEEK))
NAMES = ("first day", "days 2 to 7", "week 2", "all 14 days")
COVERAGE = 0.8


def main(every: int = 2 * DAY) -> bool:
    """An origin every so many hours."""
    print(
        f"Philly: the goals are held against its first {LAST_HOUR // DAY} days; demand falls to a "
        "seventh after them, as the trace ends. The figures of the whole trace follow."
    )
    met = _goals(_scores(every, LAST_HOUR))
    whole = [found[-1] for found in _scores(every).values()]
    for name, other in (("mase", "naive_mase"), ("pinball", "naive_pinball")):
        print(f"whole trace, {name}: {_of(whole, name):.3f}, naive's {_of(whole, other):.3f}")
    print(f"whole trace, in the band: {_of(whole, 'coverage'):.1%}, asked for: {COVERAGE:.0%}")
    return met


def _scores(every: int, hours: int | None = None) -> Mapping[str, tuple[Score, ...]]:
    scores = {name: score(values, every) for name, values in demands(hours).items()}
    origins = next(iter(scores.values()))[-1].origins
    part = f"{hours // DAY} days of it" if hours else "all of it"
    title = f"14 days ahead from each of {origins} origins, Philly, {part}, GPUs held by the hour"
    show(title, [_row(name, found[-1]) for name, found in scores.items()])
    show("mean of these series, by distance", [_mean(scores, index) for index in range(4)])
    return scores


def _goals(scores: Mapping[str, tuple[Score, ...]]) -> bool:
    last = [found[-1] for found in scores.values()]
    mase, naive = _of(last, "mase"), _of(last, "naive_mase")
    met = verdict(f"MASE: {mase:.3f}", mase < naive, f"below seasonal-naive's {naive:.3f}")
    pinball, other = _of(last, "pinball"), _of(last, "naive_pinball")
    met &= verdict(
        f"pinball: {pinball:.3f}", pinball < other, f"below seasonal-naive's {other:.3f}"
    )
    better = sum(each.mase < each.naive_mase for each in last)
    met &= verdict(f"better on {better} of {len(last)} series", better == len(last), "all")
    inside = _of(last, "coverage")
    goal = f"{COVERAGE:.0%}, give or take 5"
    return verdict(f"in the band: {inside:.1%}", abs(inside - COVERAGE) <= 0.05, goal) and met


def demands(hours: int | None = LAST_HOUR) -> Mapping[str, list[float]]:
    """Name → GPUs held in each of the first hours; None is all."""
    with DATA.open() as lines:
        rows = list(csv.DictReader(lines))
    names = [name for name in rows[0] if name != "hour"]
    return {name: [float(row[name]) for row in rows[:hours]] for name in names}


def score(values: list[float], every: int) -> tuple[Score, ...]:
    return backtest(
        values,
        step_seconds=HOUR,
        ahead=2 * WEEK,
        origins=range(FIRST_ORIGIN, len(values) - 2 * WEEK, every),
        buckets=BUCKETS,
        history=HISTORY,
        coverage=COVERAGE,
    )


def _row(name: str, score: Score) -> Row:
    return {"series": name, **_figures([score])}


def _mean(scores: Mapping[str, tuple[Score, ...]], bucket: int) -> Row:
    return {"ahead": NAMES[bucket], **_figures([found[bucket] for found in scores.values()])}


def _figures(scores: list[Score]) -> Row:
    names = ("mase", "naive_mase", "pinball", "naive_pinball", "coverage", "naive_coverage")
    return {name: f"{_of(scores, name):.3f}" for name in names}


def _of(scores: list[Score], name: str) -> float:
    return float(np.mean([getattr(each, name) for each in scores]))
