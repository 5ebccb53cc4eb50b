"""Simple forecasts of a demand that has days, weeks and a drift: what forecast.py mixes.

All are robust (medians, exponential means) and none learns parameters, so that a few weeks of
history suffice. Series are arrays of one value a step without gaps.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DAY = 86_400.0
WEEK = 7 * DAY
HALF_LIVES_SECONDS = (2 * 3600.0, 12 * 3600.0, 2 * DAY, 7 * DAY)
SLOW = 4 * WEEK  # what counts as the usual level
SHORT_TREND_SECONDS, LONG_TREND_SECONDS = 3 * DAY, 60 * DAY  # half-lives: trends do not last
DAILY_SHRINK, WEEKLY_SHRINK = 3.0, 1.0  # as so many days, or weeks, without a pattern


def candidates(past: Floats, ahead: int, step_seconds: float) -> Floats:
    """One row for each way to go on from `past`, `ahead` steps long; the last is seasonal-naive."""
    daily = _profile(past, DAY, step_seconds, DAILY_SHRINK)
    weekly = _profile(past, WEEK, step_seconds, WEEKLY_SHRINK)
    by_day, by_week = _rest(past, daily), _rest(past, weekly)
    day_ahead, week_ahead = _ahead(daily, len(past), ahead), _ahead(weekly, len(past), ahead)
    levels = [_level(by_day, half_life / step_seconds) for half_life in HALF_LIVES_SECONDS]
    short, long = _slope(by_day, step_seconds), _usual_slope(by_day, step_seconds)
    slow = float(np.median(past[-_steps(SLOW, step_seconds) :]))
    return np.stack(
        [
            *(level + day_ahead for level in levels),
            slow + day_ahead,
            levels[1] + day_ahead + _damped(short, ahead, SHORT_TREND_SECONDS / step_seconds),
            levels[1] + day_ahead + _damped(long, ahead, LONG_TREND_SECONDS / step_seconds),
            _level(by_week, HALF_LIVES_SECONDS[1] / step_seconds) + week_ahead,
            _level(by_week, HALF_LIVES_SECONDS[3] / step_seconds) + week_ahead,
            seasonal_naive(past, ahead, step_seconds),
        ]
    )


def seasonal_naive(past: Floats, ahead: int, step_seconds: float) -> Floats:
    """The same hour of the last week, again and again: what a forecast has to beat."""
    season = _steps(WEEK, step_seconds)
    return np.resize(past[-season:], ahead)


def drift_per_week(past: Floats, step_seconds: float) -> float:
    """How much the mean of the newest three days is above that of those a week before."""
    return _slope(past, step_seconds) * WEEK / step_seconds


def _steps(seconds: float, step_seconds: float) -> int:
    return max(1, round(seconds / step_seconds))


def _level(values: Floats, half_life: float) -> float:
    """The exponential mean; `half_life` in steps."""
    weights = 0.5 ** (np.arange(len(values))[::-1] / half_life)
    return float(values @ weights / weights.sum())


def _slope(values: Floats, step_seconds: float) -> float:
    """Per step, from one week to the next; 0 where there are no two weeks."""
    days, week = _steps(3 * DAY, step_seconds), _steps(WEEK, step_seconds)
    if len(values) < days + week:
        return 0.0
    return float(values[-days:].mean() - values[-days - week : -week].mean()) / week


def _usual_slope(values: Floats, step_seconds: float) -> float:
    """Per step, the median of all changes from one week to the next: an outage does not bend it."""
    week = _steps(WEEK, step_seconds)
    newest = values[-_steps(SLOW, step_seconds) :]
    if len(newest) < 2 * week:
        return 0.0
    return float(np.median(newest[week:] - newest[:-week])) / week


def _damped(slope: float, ahead: int, half_life: float) -> Floats:
    """A trend that loses half of its slope in so many steps."""
    grown: Floats = slope * np.cumsum(0.5 ** (np.arange(1, ahead + 1) / half_life))
    return grown


def _profile(past: Floats, period_seconds: float, step_seconds: float, shrink: float) -> Floats:
    """By phase of the period, the median deviation from the moving mean, drawn towards 0."""
    period = _steps(period_seconds, step_seconds)
    whole = min(len(past), _steps(SLOW, step_seconds)) // period * period
    if period < 2 or whole < 2 * period:
        return np.zeros(period)
    newest = past[-whole:]
    padded = np.pad(newest, (period // 2, period - 1 - period // 2), mode="edge")
    usual = np.convolve(padded, np.full(period, 1 / period), "valid")
    phases = np.median((newest - usual).reshape(-1, period), axis=0)
    count = whole / period
    drawn: Floats = (phases - phases.mean()) * count / (count + shrink)
    return np.roll(drawn, (len(past) - whole) % period)


def _rest(past: Floats, profile: Floats) -> Floats:
    return past - np.resize(profile, len(past))


def _ahead(profile: Floats, start: int, ahead: int) -> Floats:
    return profile[(start + np.arange(ahead)) % len(profile)]
