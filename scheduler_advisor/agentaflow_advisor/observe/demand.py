"""How many GPUs were held over time, by cluster or namespace: range queries, a week at a time.

Each full hour is sampled once. An hour in which a cluster showed no holder at all is a gap: that
the join metric was missing is likelier than that nobody held anything.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from agentaflow_advisor.model import Demand, Refusal, Series
from agentaflow_advisor.observe.answers import Sample, Track
from agentaflow_advisor.observe.dialects import DIALECTS, Dialect
from agentaflow_advisor.observe.partial import missing, refusals, remarks
from agentaflow_advisor.observe.prometheus import Prometheus

By = Literal["cluster", "namespace"]
STEP_SECONDS = 3600.0
CHUNK_SECONDS = 7 * 86_400.0
"""168 steps x 80,000 GPUs are 13 million samples; Prometheus allows 50 (--query.max-samples)."""
NOBODY = "no pod is known to have held a GPU in the history: no forecast"
GRID_SUM = ("sum_over_time((", ")[{window}:{step}])")
"""How every dialect's `held` begins and ends."""
Key = tuple[str, str]
"""Cluster and namespace."""


@dataclass(slots=True)
class _Hours:
    """(cluster, namespace) → hour → GPUs held."""

    first: int
    count: int
    held: defaultdict[Key, dict[int, float]] = field(default_factory=lambda: defaultdict(dict))
    warnings: set[str] = field(default_factory=set)


def demand(
    prometheus: Prometheus,
    *,
    at: float,
    history_seconds: float,
    by: By,
    dialects: Iterable[str],
) -> tuple[Demand, tuple[Refusal, ...]]:
    """The full hours up to `at`. A cluster's own series always comes, those of namespaces after it.

    A cluster that a partial response left out has no series: an hour of it that is absent is no
    demand of 0. Of several exporters (`dialects`, the preferred one first) the first that knows
    pods tells all.
    Raises ObserveError.
    """
    knowing = [each for each in DIALECTS if each.name in dialects and "held" in each]
    if not knowing:
        return Demand(evaluated_at=at), (Refusal("demand", NOBODY),)
    last = math.floor(at / STEP_SECONDS)
    count = round(history_seconds / STEP_SECONDS)
    hours = _Hours(last - count + 1, count)
    texts = (_held(knowing[0]), _capacity(knowing[0]))
    _ask(prometheus, texts[0], hours)
    now = prometheus.ask(texts[1], at=at)
    hours.warnings.update(now.warnings)
    warned = [("demand", text) for text in sorted(hours.warnings)]
    lost = missing(warned, prometheus.stores())
    whole = tuple(each for each in _series(hours, by) if not lost.why(each.cluster))
    reasons = [] if whole or lost else [NOBODY]
    if len(knowing) > 1:
        names = ", ".join(each.exporter for each in knowing[1:])
        reasons.append(f"only what {knowing[0].exporter} tells is in it, not {names}")
    said = (*refusals(lost), *remarks(warned), *(Refusal("demand", reason) for reason in reasons))
    return Demand(whole, _gpus(now.samples), texts, at), said


def _gpus(samples: Iterable[Sample]) -> Mapping[str, float]:
    """How many each cluster has."""
    return {
        sample.labels.get("cluster", ""): sample.value
        for sample in samples
        if math.isfinite(sample.value)
    }


def _ask(prometheus: Prometheus, promql: str, hours: _Hours) -> None:
    """A week at a time."""
    chunk = int(CHUNK_SECONDS / STEP_SECONDS)
    last = hours.first + hours.count - 1
    for first in range(hours.first, last + 1, chunk):
        tracks, warnings = prometheus.query_range(
            promql,
            start=first * STEP_SECONDS,
            end=min(last, first + chunk - 1) * STEP_SECONDS,
            step_seconds=STEP_SECONDS,
        )
        hours.warnings.update(warnings)
        for track in tracks:
            _add(hours, track)


def held_now(dialect: Dialect) -> str:
    """The dialect's sum over a grid without its grid: what is held at one moment."""
    return dialect["held"].removeprefix(GRID_SUM[0]).removesuffix(GRID_SUM[1])


def _held(dialect: Dialect) -> str:
    """GPUs held by namespace at one moment; a card that several targets see is one card.

    The dialect's sum over a grid without its grid: Prometheus would go through that at each of its
    steps, at every hour of the history.
    """
    text = held_now(dialect)
    spaces = "namespace, exported_namespace"
    return (
        f"sum by (cluster, {spaces}) (max by (cluster, {dialect.labels.uuid}, {spaces}) ({text}))"
    )


def _capacity(dialect: Dialect) -> str:
    """GPUs that answer now."""
    return f"count by (cluster) (count by (cluster, {dialect.labels.uuid}) ({dialect['up']} == 1))"


def _add(hours: _Hours, track: Track) -> None:
    labels = track.labels
    namespace = labels.get("exported_namespace") or labels.get("namespace", "")
    held = hours.held[labels.get("cluster", ""), namespace]
    for at, value in track.points:
        if math.isfinite(value) and value >= 0:
            hour = round(at / STEP_SECONDS)
            held[hour] = held.get(hour, 0.0) + value


def _series(hours: _Hours, by: By) -> tuple[Series, ...]:
    clusters: defaultdict[str, defaultdict[int, float]] = defaultdict(lambda: defaultdict(float))
    for (cluster, _), held in hours.held.items():
        for hour, value in held.items():
            clusters[cluster][hour] += value
    found = []
    for cluster in sorted(clusters):
        told = {hour for hour, value in clusters[cluster].items() if value > 0}
        found.append(_one(hours, (cluster, ""), clusters[cluster], told))
        if by == "namespace":
            names = sorted(name for place, name in hours.held if place == cluster and name)
            found += [
                _one(hours, (cluster, name), hours.held[cluster, name], told) for name in names
            ]
    return tuple(found)


def _one(hours: _Hours, key: Key, held: Mapping[int, float], told: set[int]) -> Series:
    """Where the cluster had holders and this one is not among them, it held 0."""
    values = tuple(
        held.get(hour, 0.0) if hour in told else None
        for hour in range(hours.first, hours.first + hours.count)
    )
    return Series(*key, hours.first * STEP_SECONDS, STEP_SECONDS, values)
