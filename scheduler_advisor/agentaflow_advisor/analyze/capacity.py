"""When the GPUs of a cluster run out, should its demand go on as it is forecast."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from agentaflow_advisor.analyze.findings import Findings, ordered, stable_id
from agentaflow_advisor.analyze.forecast import Forecast, ForecastSettings, forecast
from agentaflow_advisor.model import Demand, Evidence, Recommendation, Refusal, Snapshot, Where

KIND = "capacity-runs-out"
RISK = (
    "A forecast is no promise: it knows no plans, only the past. Pods that wait for a GPU are not "
    "in it, so that the need may be larger."
)


def analyze(snapshot: Snapshot, horizon_seconds: float, settings: ForecastSettings) -> Findings:
    """Nothing at all where the demand over time was not asked for."""
    if snapshot.demand is None:
        return Findings((), ())
    return judge(snapshot.demand, horizon_seconds, settings)


def judge(demand: Demand, horizon_seconds: float, settings: ForecastSettings) -> Findings:
    """A recommendation for each cluster whose forecast reaches its number of GPUs."""
    found: list[Recommendation] = []
    refused: list[Refusal] = []
    for series in demand.series:
        if series.name:
            continue
        told = forecast(series, horizon_seconds, settings)
        capacity = demand.capacity.get(series.cluster)
        if isinstance(told, Refusal):
            refused.append(told)
        elif capacity is None:
            subject = f"capacity of cluster {series.cluster}".strip()
            refused.append(Refusal(subject, "how many GPUs it has is not told"))
        elif recommendation := runs_out(told, capacity, demand):
            found.append(recommendation)
    return ordered(found, refused)


def runs_out(told: Forecast, capacity: float, demand: Demand) -> Recommendation | None:
    """None where the forecast stays below the capacity until its end."""
    if capacity <= 0:
        return None
    expected = _first(told, told.point, capacity)
    if expected is None:
        return None
    earliest = _first(told, told.high, capacity) or told.start
    latest = _first(told, told.low, capacity)
    band = f"{_day(earliest)} to {_day(latest) if latest else f'after {_day(told.end)}'}"
    where = f"cluster {told.cluster}" if told.cluster else "the cluster"
    return Recommendation(
        id=stable_id(KIND, told.cluster),
        kind=KIND,
        what=(
            f"GPUs of {where} run out on {_day(expected)} ({told.coverage:.0%} band: {band}): "
            f"{told.lately:.0f} of {capacity:.0f} are held now"
        ),
        where=Where(cluster=told.cluster),
        saves=None,
        confidence=_confidence(told, capacity),
        evidence=Evidence(
            promql=demand.promql,
            evaluated_at=demand.evaluated_at,
            newest_age_seconds=max(0.0, demand.evaluated_at - told.start),
            samples=round(told.history_seconds / told.step_seconds),
        ),
        enforceable="none",
        risk=RISK,
    )


def _first(told: Forecast, values: Sequence[float], capacity: float) -> float | None:
    """When they first reach it, in seconds since the epoch."""
    for step, value in enumerate(values):
        if value >= capacity:
            return told.start + step * told.step_seconds
    return None


def _confidence(told: Forecast, capacity: float) -> float:
    """From where the capacity lies in the band, read as if errors were even within it: 0.5 to 0.9.

    Of the step that reaches farthest beyond it: one half where the point just reaches it, and up
    to the band's own level where its lower end does.
    """
    level = (1 + told.coverage) / 2
    best = 0.5
    for point, low in zip(told.point, told.low, strict=True):
        if point >= capacity:
            depth = 1.0 if point == low else min(1.0, (point - capacity) / (point - low))
            best = max(best, 0.5 + (level - 0.5) * depth)
    return best


def _day(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d}"
