"""One look at the fleet: what Prometheus measured joined with what Kubernetes knows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from itertools import chain

from agentaflow_advisor.collector import without_collector
from agentaflow_advisor.model import ClusterState, Gpu, Missing, Refusal, Snapshot
from agentaflow_advisor.model.snapshot import UNKNOWN_DISRUPTIONS
from agentaflow_advisor.observe.detect import AUTO, Detected, detect
from agentaflow_advisor.observe.dialects import DIALECTS
from agentaflow_advisor.observe.fleet import gpus_of
from agentaflow_advisor.observe.merge import merge
from agentaflow_advisor.observe.nodes import nodes_of
from agentaflow_advisor.observe.partial import missing, refusals, remarks
from agentaflow_advisor.observe.prometheus import Prometheus
from agentaflow_advisor.observe.readings import read
from agentaflow_advisor.observe.recording import Span, choose
from agentaflow_advisor.observe.told import Readings

CLOCK = "utilization_ahead"  # asked for beside utilization_age, where the time is now


@without_collector()
def take(
    prometheus: Prometheus,
    *,
    window_seconds: float,
    percentile: float,
    cluster_state: ClusterState | None,
    at: float | None = None,
    cluster_name: str | None = None,
    dialect: str = AUTO,
    signals: Collection[str] | None = None,
) -> Snapshot:
    """Everything at one evaluation time of Prometheus' own clock (`at`, or its now).

    `signals` is what the analyses to come declare (their SIGNALS); without it, all are asked for.
    `dialect` is an exporter's (DIALECTS), or `auto`: those whose metrics are there.
    The snapshot's window may be shorter than the one that was asked for: then a refusal says why.
    `cluster_name` is the metrics' `cluster` label of that Kubernetes cluster; without it, it is
    the one whose nodes' names match best. Raises ObserveError.
    """
    taken_at = prometheus.now() if at is None else at
    asked = _asked(signals, now=at is None)
    found = detect(prometheus, dialect, window_seconds=window_seconds, at=taken_at)
    span = choose(found.found, window_seconds, taken_at)
    window_seconds = span.window_seconds
    readings = _readings(prometheus, found, span, asked, percentile, taken_at)
    told, notes = merge(readings, cluster_state)
    lost, warnings = _lost(prometheus, found, readings)
    gpus = tuple(_doubted(gpu, lost) for gpu in gpus_of(told, window_seconds, taken_at))
    if not gpus and not lost:
        notes.append(_nothing(prometheus, dialect))
    state = cluster_state or ClusterState()
    nodes, more, lost = nodes_of(gpus, cluster_state, cluster_name, lost)
    return Snapshot(
        taken_at=taken_at,
        window_seconds=window_seconds,
        percentile=percentile,
        gpus=gpus,
        nodes=nodes,
        workloads=state.workloads,
        namespaces=state.namespaces,
        queries=(*found.queries, *chain(*(each.queries for each in readings))),
        refusals=(*span.notes, *_refusals(readings), *notes, *warnings, *more),
        has_cluster=cluster_state is not None,
        dialects=tuple(each.name for each in found.dialects),
        asked=asked - {CLOCK},
        missing=lost,
        disruptions=state.disruptions if cluster_state else UNKNOWN_DISRUPTIONS,
        succeeded=state.succeeded,
    )


def _readings(
    prometheus: Prometheus,
    found: Detected,
    span: Span,
    asked: frozenset[str],
    percentile: float,
    at: float,
) -> list[Readings]:
    return [
        read(
            prometheus,
            each,
            asked,
            window_seconds=span.window_seconds,
            percentile=percentile,
            at=at,
            recorded=span.recorded.get(each.name),
        )
        for each in found.dialects
    ]


def _refusals(readings: Iterable[Readings]) -> Iterator[Refusal]:
    return chain(*(each.refusals for each in readings))


def _lost(
    prometheus: Prometheus, found: Detected, readings: Iterable[Readings]
) -> tuple[Missing, list[Refusal]]:
    """What partial responses left out, and all that was warned of, in lines."""
    warned = [*found.warned, *chain(*(each.warned for each in readings))]
    lost = missing(warned, prometheus.stores())
    return lost, [*refusals(lost), *remarks(warned)]


def _doubted(gpu: Gpu, lost: Missing) -> Gpu:
    """In doubt where a partial response may have left out what would speak for it."""
    why = lost.why(gpu.cluster)
    return replace(gpu, doubt=why) if why else gpu


def _asked(signals: Collection[str] | None, *, now: bool) -> frozenset[str]:
    every = frozenset(signal for dialect in DIALECTS for signal in dialect)
    asked = every if signals is None else frozenset(signals)
    return asked | {CLOCK} if now and "utilization_age" in asked else asked - {CLOCK}


def _nothing(prometheus: Prometheus, dialect: str) -> Refusal:
    looked = [each for each in DIALECTS if dialect in (AUTO, each.name)]
    metrics = ", ".join(each.probes[0] for each in looked)
    exporters = " or ".join(each.exporter for each in looked)
    return Refusal(
        "fleet",
        f"{prometheus.url} has no series of a GPU, now or in the window (looked for {metrics}): "
        f"check that it scrapes {exporters}",
    )
