"""How good forecasts were: made again and again in the past, beside seasonal-naive's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from agentaflow_advisor.analyze.seasonal import WEEK, Floats
from agentaflow_advisor.analyze.trial import half_widths, try_out


@dataclass(frozen=True, slots=True)
class Score:
    """Means over the origins and over the steps from `first` until before `last`.

    mase: absolute error over that of seasonal-naive one week ahead in the history before
    (Hyndman and Koehler 2006). pinball: of the band's two ends and the point, in the same unit.
    coverage: the part of the real values in the band. `naive_…` is seasonal-naive with a band
    from its own errors, made in the same way.
    """

    first: int
    last: int
    origins: int
    mase: float
    naive_mase: float
    pinball: float
    naive_pinball: float
    coverage: float
    naive_coverage: float


@dataclass(frozen=True, slots=True)
class _Run:
    """What came of one origin, by step ahead."""

    error: Floats
    pinball: Floats
    inside: Floats


def backtest(
    values: Sequence[float],
    *,
    step_seconds: float,
    ahead: int,
    origins: Iterable[int],
    buckets: Sequence[tuple[int, int]],
    history: int,
    coverage: float = 0.8,
) -> tuple[Score, ...]:
    """One score for each bucket of steps. An origin knows the `history` steps before it only."""
    series = np.asarray(values, dtype=float)
    season = round(WEEK / step_seconds)
    ours: list[_Run] = []
    naive: list[_Run] = []
    for origin in origins:
        past, real = series[max(0, origin - history) : origin], series[origin : origin + ahead]
        trial = try_out(past, ahead, step_seconds)
        scale = max(1e-9, float(np.abs(past[season:] - past[:-season]).mean()))
        width = half_widths(trial.errors, coverage, step_seconds)
        ours.append(_run(real, trial.point, width, scale, coverage))
        width = half_widths(trial.naive_errors, coverage, step_seconds)
        naive.append(_run(real, trial.naive, width, scale, coverage))
    return tuple(_score(ours, naive, *bucket) for bucket in buckets)


def _run(real: Floats, point: Floats, width: Floats, scale: float, coverage: float) -> _Run:
    low, middle, high = (np.maximum(0.0, point + side * width) for side in (-1, 0, 1))
    tail = (1 - coverage) / 2
    losses = [
        _pinball(real, low, tail),
        _pinball(real, middle, 0.5),
        _pinball(real, high, 1 - tail),
    ]
    inside = (real >= low - 1e-9) & (real <= high + 1e-9)
    return _Run(
        np.abs(real - middle) / scale, np.mean(losses, axis=0) / scale, inside.astype(float)
    )


def _pinball(real: Floats, told: Floats, level: float) -> Floats:
    return np.maximum(level * (real - told), (level - 1) * (real - told))


def _score(ours: Sequence[_Run], naive: Sequence[_Run], first: int, last: int) -> Score:
    def mean(runs: Sequence[_Run], name: str) -> float:
        return float(np.mean([getattr(run, name)[first:last] for run in runs]))

    return Score(
        first=first,
        last=last,
        origins=len(ours),
        mase=mean(ours, "error"),
        naive_mase=mean(naive, "error"),
        pinball=mean(ours, "pinball"),
        naive_pinball=mean(naive, "pinball"),
        coverage=mean(ours, "inside"),
        naive_coverage=mean(naive, "inside"),
    )
