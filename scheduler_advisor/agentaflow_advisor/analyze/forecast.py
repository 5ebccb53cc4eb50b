"""The demand to come: how many GPUs will be held, with a band, or why that cannot be said."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agentaflow_advisor.analyze.idleness import span
from agentaflow_advisor.analyze.seasonal import DAY, WEEK, Floats, drift_per_week
from agentaflow_advisor.analyze.settings import bounded
from agentaflow_advisor.analyze.trial import half_widths, quantile, try_out
from agentaflow_advisor.model import Refusal, Series

HOUR = 3600.0
MOST_STEPS = 10_000


@dataclass(frozen=True, slots=True)
class ForecastSettings:
    """How a forecast is made, and how much history that takes. Raises SettingsError."""

    coverage: float = 0.8
    """The part of the real values that the band should hold (0 to 1)."""
    max_gap_ratio: float = 0.2
    """With a larger part of the history missing there is no forecast (0 to 1)."""

    def __post_init__(self) -> None:
        bounded("coverage", self.coverage, 0.5, 0.99, "a ratio")
        bounded("max_gap_ratio", self.max_gap_ratio, 0, 0.5, "a ratio")


@dataclass(frozen=True, slots=True)
class Forecast:
    """GPUs held at `start` and every step after it, and together in GPU hours.

    The band should hold `coverage` of the real values; how well it did and how far the method was
    off was found by going back in the same history. `naive_error` is that of the week before.
    """

    cluster: str
    name: str
    start: float  # seconds since the epoch
    step_seconds: float
    coverage: float
    point: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    gpu_hours: float
    gpu_hours_low: float
    gpu_hours_high: float
    lately: float  # mean GPUs held over the newest day
    drift_per_week: float  # GPUs, of the history
    error: float  # mean absolute one, GPUs
    naive_error: float
    history_seconds: float

    @property
    def end(self) -> float:
        return self.start + len(self.point) * self.step_seconds


def least_history_seconds(horizon_seconds: float) -> float:
    """A week to learn from, and twice the horizon to try the method in."""
    return WEEK + 2 * horizon_seconds


def forecast(
    series: Series, horizon_seconds: float, settings: ForecastSettings
) -> Forecast | Refusal:
    """So far ahead of the series' end."""
    reason = _doubt(series, horizon_seconds, settings)
    if reason:
        return Refusal(_subject(series), reason)
    values = _array(series)
    step = series.step_seconds
    ahead = max(1, round(horizon_seconds / step))
    trial = try_out(values, ahead, step)
    width = half_widths(trial.errors, settings.coverage, step)
    point = np.maximum(0.0, trial.point)
    sums = trial.errors.sum(axis=1)  # NaN where the whole horizon is not known yet
    off = quantile(np.abs(sums), settings.coverage) if not np.isnan(sums).all() else width.sum()
    total, hours = float(trial.point.sum()), step / HOUR
    day = max(1, round(DAY / step))
    return Forecast(
        cluster=series.cluster,
        name=series.name,
        start=series.end,
        step_seconds=step,
        coverage=settings.coverage,
        point=tuple(point.tolist()),
        low=tuple(np.maximum(0.0, trial.point - width).tolist()),
        high=tuple(np.maximum(0.0, trial.point + width).tolist()),
        gpu_hours=float(point.sum()) * hours,
        gpu_hours_low=max(0.0, total - float(off)) * hours,
        gpu_hours_high=max(0.0, total + float(off)) * hours,
        lately=float(np.nanmean(values[-day:])),
        drift_per_week=drift_per_week(_known(values), step),
        error=float(np.nanmean(np.abs(trial.errors))),
        naive_error=float(np.nanmean(np.abs(trial.naive_errors))),
        history_seconds=len(values) * step,
    )


def _array(series: Series) -> Floats:
    return np.array([np.nan if value is None else value for value in series.values], dtype=float)


def _known(values: Floats) -> Floats:
    return values[~np.isnan(values)]


def _subject(series: Series) -> str:
    parts = [f"cluster {series.cluster}" if series.cluster else ""]
    parts.append(f"namespace {series.name}" if series.name else "")
    return f"forecast of {', '.join(filter(None, parts)) or 'the demand'}"


def _doubt(series: Series, horizon_seconds: float, settings: ForecastSettings) -> str:
    """Why there can be no forecast; empty where nothing stands against it."""
    values, step = series.values, series.step_seconds
    if not 60.0 <= step <= DAY or horizon_seconds < step or horizon_seconds / step > MOST_STEPS:
        return f"{span(horizon_seconds)} ahead in steps of {span(step)} is not possible"
    first = next((index for index, value in enumerate(values) if value is not None), len(values))
    history = (len(values) - first) * step
    least = least_history_seconds(horizon_seconds)
    if history < least:
        possible = (history - WEEK) / 2
        said = f"the history is {span(history)}, {span(horizon_seconds)} ahead takes {span(least)}"
        return f"{said}; {span(possible)} would be possible" if possible >= DAY else said
    if any(value is not None and not 0 <= value < np.inf for value in values):
        return "the history holds values that cannot be: negative or not a number"
    gaps = sum(value is None for value in values[first:])
    if gaps * step > settings.max_gap_ratio * history:
        most = f"{settings.max_gap_ratio:.0%}"
        return f"{gaps * step / history:.0%} of the history is missing, {most} is the most"
    if all(value is None for value in values[-max(1, round(6 * HOUR / step)) :]):
        return "nothing was told in the newest part of the history"
    return ""
