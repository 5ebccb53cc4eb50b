"""Metrics about the advisor itself, made from its status at each scrape."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from typing import get_args

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector, CollectorRegistry

from agentaflow_advisor.model import State
from agentaflow_advisor.web.prices import price_metrics
from agentaflow_advisor.web.recommendations import recommendation_metrics
from agentaflow_advisor.web.status import Measured, Stage, Status

PREFIX = "agentaflow_advisor_"


def registry(status: Callable[[], Status], *, most: int) -> CollectorRegistry:
    """A registry of its own, without the process metrics of prometheus_client's default one.

    So many recommendations at `most` have metrics of their own.
    """
    made = CollectorRegistry()
    made.register(StatusCollector(status, most))
    return made


class StatusCollector(Collector):
    """Turns the newest status into metric families."""

    def __init__(self, status: Callable[[], Status], most: int) -> None:
        self._status = status
        self._most = most

    def describe(self) -> Iterator[Metric]:
        """Nothing, so that registering does not collect."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        status = self._status()
        yield _build_info()
        yield from _loop(status)
        if status.decisions is not None:
            yield _decisions(status.decisions)
            yield from _effects(status.effects)
            yield _notices(status.notices)
        if status.advice:
            yield from recommendation_metrics(status.advice, self._most)
            yield from price_metrics(status.advice)


def _build_info() -> Metric:
    info = GaugeMetricFamily(
        f"{PREFIX}build_info",
        "1, labelled with the versions that run.",
        labels=["version", "python_version"],
    )
    info.add_metric([version("agentaflow"), platform.python_version()], 1)
    return info


def _loop(status: Status) -> Iterator[Metric]:
    yield CounterMetricFamily(
        f"{PREFIX}queries", "PromQL queries that were answered.", value=status.queries
    )
    failures = CounterMetricFamily(
        f"{PREFIX}cycle_failures",
        "Cycles that could not look at the fleet (observe), write down what they found (record), "
        "or act on it (act).",
        labels=["stage"],
    )
    for stage in get_args(Stage):
        failures.add_metric([stage], status.failures.get(stage, 0))
    yield failures
    yield SummaryMetricFamily(
        f"{PREFIX}cycle_duration_seconds",
        "How long the cycles took, failed ones too.",
        count_value=status.cycles,
        sum_value=status.cycle_seconds,
    )
    yield GaugeMetricFamily(
        f"{PREFIX}advice_stale",
        "1 when the newest look failed and older advice is shown.",
        value=int(status.stale),
    )
    if status.observed_at is not None:
        yield GaugeMetricFamily(
            f"{PREFIX}last_success_timestamp_seconds",
            "When the fleet was last looked at with success.",
            value=status.observed_at,
        )


def _effects(effects: Mapping[str, Measured]) -> Iterator[Metric]:
    saved = GaugeMetricFamily(
        f"{PREFIX}saved_gpus",
        "GPUs that are no longer held idle, measured before and after each applied decision.",
        labels=["channel"],
    )
    error = GaugeMetricFamily(
        f"{PREFIX}saved_gpus_error",
        "Half the width of the 95 % interval of agentaflow_advisor_saved_gpus.",
        labels=["channel"],
    )
    measured = GaugeMetricFamily(
        f"{PREFIX}measured_decisions",
        "Applied decisions whose saving was measured.",
        labels=["channel"],
    )
    for channel, found in effects.items():
        saved.add_metric([channel], found.gpus)
        error.add_metric([channel], found.error)
        measured.add_metric([channel], found.decisions)
    yield from (saved, error, measured)


def _notices(counts: Mapping[str, int]) -> Metric:
    notices = CounterMetricFamily(
        f"{PREFIX}notices",
        "Notices of decisions to people: delivered, failed, or dropped where too many waited.",
        labels=["result"],
    )
    for result, number in counts.items():
        notices.add_metric([result], number)
    return notices


def _decisions(counts: Mapping[State, int]) -> Metric:
    decisions = GaugeMetricFamily(
        f"{PREFIX}decisions", "Decisions in the journal, by state.", labels=["state"]
    )
    for state in State:
        decisions.add_metric([state.value], counts.get(state, 0))
    return decisions
