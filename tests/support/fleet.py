"""Builders of nodes, pods, GPUs and snapshots, so that a test says only what it is about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from agentaflow_advisor.model import Gpu, Node, Snapshot, Usage, Workload
from agentaflow_advisor.model.names import GATE, HOSTNAME, MANAGED

GIB = 2.0**30
OPTED_IN: Mapping[str, str] = {MANAGED: "true"}


def node(name: str, gpus: int = 8, **changes: Any) -> Node:
    """A ready node with 64 cores and 512 GiB that Kubernetes knows."""
    labels = {HOSTNAME: name, **changes.pop("labels", {})}
    made = Node("", name, gpus, cpu_cores=64.0, memory_bytes=512 * GIB, labels=labels)
    return replace(made, **changes)


def gated_pod(name: str, gpus: int = 1, **changes: Any) -> Workload:
    """A pod that opted in and waits behind our gate."""
    made = Workload(
        "research",
        name,
        uid=f"uid-{name}",
        resource_version="1",
        gpus=gpus,
        cpu_cores=1.0,
        memory_bytes=GIB,
        labels=OPTED_IN,
        gates=(GATE,),
    )
    return replace(made, **changes)


def running_pod(name: str, on: str, gpus: int = 1, **changes: Any) -> Workload:
    """A pod that is bound and holds its resources."""
    return replace(
        gated_pod(name, gpus), **{"phase": "Running", "node": on, "gates": (), **changes}
    )


def gpus_of(node_name: str, *busy: float, age_seconds: float = 15.0) -> tuple[Gpu, ...]:
    """One GPU for each utilization (0 to 1), measured over a week."""
    return tuple(
        Gpu(
            "",
            node_name,
            str(index),
            f"GPU-{node_name}-{index}",
            utilization=Usage(ratio, ratio, 10_000, age_seconds, 604_800.0, ratio),
        )
        for index, ratio in enumerate(busy)
    )


def snapshot(
    nodes: Iterable[Node], pods: Iterable[Workload] = (), gpus: Iterable[Gpu] = (), **changes: Any
) -> Snapshot:
    """A look at a cluster whose namespace `research` has opted in."""
    made = Snapshot(
        taken_at=1_800_000_000.0,
        window_seconds=604_800.0,
        percentile=0.95,
        gpus=tuple(gpus),
        nodes=tuple(nodes),
        workloads=tuple(pods),
        namespaces={"research": OPTED_IN},
        has_cluster=True,
    )
    return replace(made, **changes)
