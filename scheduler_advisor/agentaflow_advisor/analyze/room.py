"""What is left on the nodes that Kubernetes knows, since when, and which GPU pods are typical."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace

from agentaflow_advisor.analyze.allocation import attributed_clusters, seen_seconds
from agentaflow_advisor.model import Evidence, Gpu, Node, Refusal, Snapshot, Workload
from agentaflow_advisor.place.capacity import FINISHED, Capacity, occupancy
from agentaflow_advisor.place.feasibility import unusable
from agentaflow_advisor.price import NodeKey

SIGNALS = frozenset({"info", "up", "pods", "processes", "present", "held"})
COVERED = 0.95  # of the pods, by the typical ones
BLIND = Refusal(
    "fleet", "Kubernetes is not known, so what is left on its nodes is not: give --kubeconfig"
)


@dataclass(frozen=True, slots=True)
class Spare:
    """One node that takes pods, and what is left of it."""

    node: Node
    free: Capacity  # GPUs that are lost or held by a process without a pod left out
    gpus: tuple[Gpu, ...]
    pods: tuple[Workload, ...]  # bound there
    free_seconds: float | None  # GPU seconds of the window in no pod; None where not told

    @property
    def key(self) -> NodeKey:
        return (self.node.cluster, self.node.name)

    @property
    def name(self) -> str:
        """For refusals."""
        return f"node {self.node.cluster}/{self.node.name}".replace(" /", " ")

    def lasted(self, gpus: float, window_seconds: float) -> float | None:
        """The part of the window in which so many of its GPUs were free, 0 to 1."""
        if self.free_seconds is None or gpus <= 0:
            return None
        return min(1.0, self.free_seconds / (gpus * window_seconds))


def spares(snapshot: Snapshot) -> tuple[Spare, ...]:
    """Nodes with GPUs that are ready and not cordoned, in order of names."""
    gpus = snapshot.gpus_by_node
    pods: defaultdict[str | None, list[Workload]] = defaultdict(list)
    for pod in sorted(snapshot.workloads, key=lambda one: (one.ref, one.uid)):
        if pod.phase not in FINISHED:
            pods[pod.node].append(pod)
    attributed = snapshot.attributed | attributed_clusters(snapshot)
    free = occupancy(snapshot.nodes, snapshot.workloads, {}).free
    found: list[Spare] = []
    for node in sorted(snapshot.nodes, key=lambda one: (one.cluster, one.name)):
        if not (node.known and node.ready and node.schedulable and node.gpus > 0):
            continue
        there = gpus.get((node.cluster, node.name), ())
        known = node.cluster in attributed
        broken = unusable(node, there, pods_are_known=known)
        left = free[node.name].minus(Capacity(broken, 0, 0, 0))
        seconds = _free_seconds(there) if known else None
        found.append(Spare(node, left, there, tuple(pods[node.name]), seconds))
    return tuple(found)


def _free_seconds(gpus: Iterable[Gpu]) -> float | None:
    there = [gpu for gpu in gpus if gpu.up is not None]
    if not there:
        return None
    return sum(max(0.0, seen_seconds(gpu) - sum(h.seconds for h in gpu.held)) for gpu in there)


def gpu_pods(snapshot: Snapshot) -> tuple[Workload, ...]:
    """Those that run on GPUs or wait for some."""
    return tuple(pod for pod in snapshot.workloads if pod.gpus > 0 and pod.phase not in FINISHED)


def typical(pods: Iterable[Workload]) -> tuple[Capacity, ...]:
    """The most frequent requests for whole GPUs that together make up 95 % of the pods."""
    counts = Counter(replace(Capacity.of_workload(pod), extended=()) for pod in pods)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], _order(item[0])))
    kept: list[Capacity] = []
    covered = 0
    for ask, count in ranked:
        if covered >= COVERED * counts.total():
            break
        kept.append(ask)
        covered += count
    return tuple(kept)


def least(asks: Iterable[Capacity]) -> tuple[Capacity, ...]:
    """Without those that ask for as many GPUs as another, and for no less of anything else."""
    kept: list[Capacity] = []
    for ask in sorted(asks, key=_order):
        if not any(
            one.gpus == ask.gpus
            and one.cpu_millicores <= ask.cpu_millicores
            and one.memory_bytes <= ask.memory_bytes
            for one in kept
        ):
            kept.append(ask)
    return tuple(kept)


def known_kinds(pods: int) -> float:
    """How far so many pods tell what is typical, 0 to 1: by the rule of three, kinds of which none
    is among n pods make up less than 3/n of all, with 95 % confidence.
    """
    return max(0.0, 1.0 - 3.0 / pods) if pods else 0.0


def evidence(snapshot: Snapshot, pods: int) -> Evidence:
    """Kubernetes' own word of now, and how long the GPUs were free by Prometheus."""
    ages = [gpu.utilization.newest_age_seconds for gpu in snapshot.gpus if gpu.utilization]
    return Evidence(
        promql=tuple(
            query.promql for query in snapshot.queries if query.signal in ("present", "held", "up")
        ),
        evaluated_at=snapshot.taken_at,
        newest_age_seconds=min(ages, default=math.inf),
        samples=pods,
    )


def _order(ask: Capacity) -> tuple[int, int, int]:
    return (ask.gpus, ask.cpu_millicores, ask.memory_bytes)
