"""One look at the fleet: what Prometheus measured joined with what Kubernetes knows."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from agentaflow_advisor.model import ClusterState, Gpu, Held, Node, Refusal, Snapshot, Usage
from agentaflow_advisor.observe.dialects import Dialect, grid_points, ours
from agentaflow_advisor.observe.prometheus import Prometheus
from agentaflow_advisor.observe.readings import GpuKey, Readings, read
from agentaflow_advisor.observe.signals import MEASURES


def take(
    prometheus: Prometheus,
    *,
    window_seconds: float,
    percentile: float,
    cluster_state: ClusterState | None,
    at: float | None = None,
    cluster_name: str | None = None,
    dialect: Dialect = ours.DIALECT,
    signals: Collection[str] | None = None,
) -> Snapshot:
    """Everything at one evaluation time of Prometheus' own clock (`at`, or its now).

    `signals` is what the analyses to come declare (their SIGNALS); without it, all are asked for.
    `cluster_name` is the metrics' `cluster` label of that Kubernetes cluster; without it, it is
    the one whose nodes' names match best. Raises ObserveError.
    """
    taken_at = prometheus.now() if at is None else at
    readings = read(
        prometheus,
        dialect,
        dialect if signals is None else signals,
        window_seconds=window_seconds,
        percentile=percentile,
        at=taken_at,
    )
    keys, notes = _one_place_each(readings, cluster_state)
    gpus = tuple(_gpu(readings, key, window_seconds, taken_at) for key in sorted(keys))
    if not gpus:
        notes.append(_nothing(prometheus))
    state = cluster_state or ClusterState()
    nodes, more = _nodes(gpus, cluster_state, cluster_name)
    return Snapshot(
        taken_at=taken_at,
        window_seconds=window_seconds,
        percentile=percentile,
        gpus=gpus,
        nodes=nodes,
        workloads=state.workloads,
        namespaces=state.namespaces,
        queries=tuple(readings.queries),
        refusals=(*readings.refusals, *notes, *more),
        has_cluster=cluster_state is not None,
    )


def _nothing(prometheus: Prometheus) -> Refusal:
    return Refusal(
        "fleet",
        f"{prometheus.url} has no agentaflow_gpu_… series, now or in the window: "
        "check that it scrapes agentaflow-exporter",
    )


def _one_place_each(
    readings: Readings, state: ClusterState | None
) -> tuple[set[GpuKey], list[Refusal]]:
    """A UUID names one card on earth: two nodes that show it are one GPU under two names."""
    known = {node.name for node in state.nodes} if state else set()
    places: defaultdict[tuple[str, str], list[GpuKey]] = defaultdict(list)
    for key in readings.gpus():
        places[key.cluster, key.uuid].append(key)

    def preference(key: GpuKey) -> tuple[bool, bool, float, str]:
        age = readings.get("utilization_age", key)
        here = readings.get("up", key)
        return (key.node not in known, here is None, math.inf if age is None else age, key.node)

    kept: set[GpuKey] = set()
    notes: list[Refusal] = []
    for (_, uuid), candidates in sorted(places.items()):
        best, *others = sorted(candidates, key=preference)
        kept.add(best)
        if others:
            names = ", ".join(other.node for other in others)
            notes.append(
                Refusal(
                    f"GPU {uuid}",
                    f"is seen on {best.node} and on {names}: counted once, on {best.node}; "
                    "give its targets one node label",
                )
            )
    return kept, notes


def _gpu(readings: Readings, key: GpuKey, window: float, at: float) -> Gpu:
    up = readings.get("up", key)
    processes = readings.get("processes", key)
    present = _grid_seconds(readings.get("present", key), window, at)
    return Gpu(
        cluster=key.cluster,
        node=key.node,
        index=readings.indices.get(key, ""),
        uuid=key.uuid,
        model=readings.models.get(key),
        up=None if up is None else up == 1.0,
        memory_total_bytes=readings.get("memory_total", key),
        memory_used_max_bytes=readings.get("memory_used_max", key),
        utilization=_usage(readings, key, window, at),
        power_mean_watts=readings.get("power_mean", key),
        energy_joules=readings.get("energy", key),
        temperature_max_celsius=readings.get("temperature_max", key),
        processes=None if processes is None else int(processes),
        pods=tuple(sorted(readings.pods.get(key, ()))),
        present_seconds=present,
        held=_held(readings.held.get(key, {}), present, window, at),
        measures=_measures(readings, key),
        counts={name: told[key] for name, told in sorted(readings.counts.items()) if key in told},
        dialect=readings.dialect,
    )


def _measures(readings: Readings, key: GpuKey) -> Mapping[str, float]:
    told = {name: readings.get(name, key) for name in MEASURES}
    return {name: value for name, value in told.items() if value is not None}


def _usage(readings: Readings, key: GpuKey, window: float, at: float) -> Usage | None:
    """All of it or nothing: where one part is absent or was NaN, the others are in doubt too."""
    maximum = readings.get("utilization_max", key)
    high = readings.get("utilization_high", key)
    mean = readings.get("utilization_mean", key)
    samples = readings.get("utilization_samples", key)
    age = readings.get("utilization_age", key)
    covered = _grid_seconds(readings.get("utilization_present", key), window, at)
    if maximum is None or high is None or mean is None or samples is None or covered is None:
        return None
    newest = math.inf if age is None else max(0.0, age)
    return Usage(maximum, high, mean, int(samples), newest, covered)


def _grid_seconds(points: float | None, window: float, at: float) -> float | None:
    """The part of the window that so many points of the presence grid stand for."""
    return None if points is None else window * min(1.0, points / grid_points(window, at))


def _held(
    points: Mapping[str, float], present: float | None, window: float, at: float
) -> tuple[Held, ...]:
    """Seconds by namespace; together never more than the GPU was there."""
    total = sum(points.values()) or 1.0
    held = _grid_seconds(total, window, at) or 0.0
    seconds = min(held, present) if present is not None else held
    return tuple(
        Held(namespace, seconds * part / total) for namespace, part in sorted(points.items())
    )


def _nodes(
    gpus: tuple[Gpu, ...], state: ClusterState | None, cluster_name: str | None
) -> tuple[tuple[Node, ...], list[Refusal]]:
    """Kubernetes' nodes under their metrics' cluster, and a node for each that only metrics see."""
    notes: list[Refusal] = []
    known: tuple[Node, ...] = ()
    cluster = ""
    if state:
        cluster, doubt = _cluster_of(state.nodes, gpus, cluster_name)
        notes += doubt
        known = tuple(replace(node, cluster=cluster) for node in state.nodes)
    names = {(node.cluster, node.name) for node in known}
    seen = Counter((gpu.cluster, gpu.node) for gpu in gpus)
    strangers = sorted(place for place in seen if place not in names)
    notes += [
        Refusal(f"node {name}", f"{seen[place, name]} GPUs in the metrics, no such Kubernetes node")
        for place, name in strangers
        if state and place == cluster
    ]
    made = tuple(Node(place, name, seen[place, name], known=False) for place, name in strangers)
    return (*known, *made), notes


def _cluster_of(
    nodes: Iterable[Node], gpus: Iterable[Gpu], cluster_name: str | None
) -> tuple[str, list[Refusal]]:
    """Which `cluster` label the Kubernetes cluster has in the metrics."""
    if cluster_name is not None:
        return cluster_name, []
    names = {node.name for node in nodes}
    matches = Counter(
        cluster for cluster, node in {(gpu.cluster, gpu.node) for gpu in gpus} if node in names
    )
    best = matches.most_common(2)
    if len(best) == 2 and best[0][1] == best[1][1]:
        clusters = ", ".join(sorted(repr(name) for name in matches))
        return "", [
            Refusal("Kubernetes", f"its nodes fit several clusters of the metrics: {clusters}")
        ]
    return (best[0][0] if best else ""), []
