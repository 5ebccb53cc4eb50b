"""The snapshot's nodes: those that Kubernetes knows, and those that only the metrics show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from agentaflow_advisor.model import ClusterState, Gpu, Missing, Node, Refusal

UNTOLD = (
    "which cluster of the metrics it is cannot be told while a partial response leaves clusters "
    "out: name it in the setting kubernetes_cluster"
)


def nodes_of(
    gpus: tuple[Gpu, ...],
    state: ClusterState | None,
    cluster_name: str | None,
    lost: Missing,
) -> tuple[tuple[Node, ...], list[Refusal], Missing]:
    """Kubernetes' nodes under their metrics' cluster, and a node for each that only metrics see.

    Where its cluster cannot be told for what is missing, nothing may rest on its nodes either.
    """
    notes: list[Refusal] = []
    known: tuple[Node, ...] = ()
    cluster = ""
    if state:
        cluster, doubt = _cluster_of(state.nodes, gpus, cluster_name)
        if cluster_name is None and lost.clusters and not lost.why(cluster):
            cluster, doubt = "", [Refusal("Kubernetes", UNTOLD)]
            lost = replace(lost, clusters={**lost.clusters, "": UNTOLD})
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
    return (*known, *made), notes, lost


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
