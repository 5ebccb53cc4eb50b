"""What a row of a cost report is called: the GPU's, its node's, or its holder's name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from agentaflow_advisor.analyze.allocation import Piece
from agentaflow_advisor.model import Snapshot, Workload
from agentaflow_advisor.price import Terms

By = Literal["gpu", "node", "pod", "workload", "namespace", "team", "cluster"]
NO_NAMESPACE = "(none)"
NO_TEAM = "(no team)"
NO_POD = "(pod unknown)"
NO_CLUSTER = "(no cluster label)"
TEMPLATE = "pod-template-hash"


def naming(
    by: By, snapshot: Snapshot, terms: Terms | None = None, team_label: str | None = None
) -> Callable[[Piece], str]:
    """The function that names a piece's row."""
    here = {node.cluster for node in snapshot.nodes if node.known}

    def team(piece: Piece) -> str:
        if not piece.namespace:
            return NO_NAMESPACE
        listed = terms.team_of(piece.namespace) if terms else None
        labels = snapshot.namespaces.get(piece.namespace, {}) if piece.gpu.cluster in here else {}
        return listed or (team_label and labels.get(team_label)) or NO_TEAM

    if by == "team":
        return team
    if by == "workload":
        return _workload_names(snapshot, here)
    return {
        "gpu": lambda piece: f"{piece.gpu.node}/{piece.gpu.index or piece.gpu.uuid}",
        "node": lambda piece: piece.gpu.node,
        "pod": lambda piece: _in_namespace(piece, piece.pod or NO_POD),
        "namespace": lambda piece: piece.namespace or NO_NAMESPACE,
        "cluster": lambda piece: piece.gpu.cluster or NO_CLUSTER,
    }[by]


def _in_namespace(piece: Piece, name: str) -> str:
    return f"{piece.namespace}/{name}" if piece.namespace else NO_NAMESPACE


def _workload_names(snapshot: Snapshot, here: set[str]) -> Callable[[Piece], str]:
    pods = {(pod.namespace, pod.name): pod for pod in snapshot.workloads}

    def name(piece: Piece) -> str:
        if not piece.pod:
            return _in_namespace(piece, NO_POD)
        pod = pods.get((piece.namespace, piece.pod)) if piece.gpu.cluster in here else None
        return _in_namespace(piece, (pod and owner_of(pod)) or f"Pod/{piece.pod}")

    return name


def owner_of(pod: Workload) -> str | None:
    """Kind/name of what made the pod; a Deployment in place of its ReplicaSet of the day."""
    kind, _, name = (pod.owner or "").partition("/")
    revision = f"-{pod.labels.get(TEMPLATE)}"
    if kind == "ReplicaSet" and name.endswith(revision):
        return f"Deployment/{name.removesuffix(revision)}"
    return pod.owner
