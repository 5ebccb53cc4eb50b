"""Defragmentation of a real cluster: its snapshot as a fleet with pods, and the plan for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from agentaflow_advisor.model import Node, Refusal, Snapshot, Workload
from agentaflow_advisor.model.names import GATE
from agentaflow_advisor.place.board import Pod
from agentaflow_advisor.place.capacity import FINISHED, Capacity, occupancy
from agentaflow_advisor.place.defragmentation import Move, Plan, plan
from agentaflow_advisor.place.feasibility import refusal, unusable
from agentaflow_advisor.place.fleet import Booleans
from agentaflow_advisor.place.gangs import gangs
from agentaflow_advisor.place.live import demand_of, fleet_of
from agentaflow_advisor.place.movable import MoveSettings, protections
from agentaflow_advisor.place.queue import unjudged
from agentaflow_advisor.place.search import Progress

UNKNOWN = "Kubernetes is not known, so which pods wait and run is not: give --kubeconfig"


@dataclass(frozen=True, slots=True)
class Proposal:
    """The plan for one cluster, why pods are left alone, and what could not be judged."""

    cluster: str
    plan: Plan
    waiting: tuple[Workload, ...]  # without room as things are
    moved: Mapping[str, Workload]  # by namespace/name
    protected: Mapping[str, int]  # why → number of pods with GPUs
    refusals: tuple[Refusal, ...]


def propose(
    snapshot: Snapshot, settings: MoveSettings, progress: Progress | None = None
) -> Proposal | Refusal:
    """What moves would make room for the pods that wait for GPUs, in the Kubernetes cluster."""
    nodes = sorted((node for node in snapshot.nodes if node.known), key=lambda node: node.name)
    if not snapshot.has_cluster or not nodes:
        return Refusal("fleet", UNKNOWN)
    cluster = nodes[0].cluster
    if why := snapshot.missing.why(cluster):
        return Refusal(f"cluster {cluster}".strip(), why)
    if why := snapshot.disruptions.unknown:
        subject = f"cluster {cluster}".strip()
        return Refusal(subject, f"no pod may be moved, PodDisruptionBudgets are not known: {why}")
    scene = _Scene(snapshot, nodes, settings)
    without = plan(scene.fleet, scene.pods, budget=0, groups=scene.groups)
    roomy = {admission.pod for admission in without.admissions}
    waiting = tuple(pod for pod in scene.waiting if pod.ref not in roomy)
    found = without
    if waiting and any(pod.movable and pod.row >= 0 for pod in scene.pods):
        budget = settings.budget(sum(pod.row >= 0 for pod in scene.pods))
        found = plan(
            scene.fleet,
            scene.pods,
            budget=budget,
            groups=scene.groups,
            ruins=0,  # they find little where GPUs are not shared
            progress=progress,
        )
    named = {pod.ref: pod for pod in snapshot.workloads}
    return Proposal(
        cluster,
        _without(found, roomy),
        waiting,
        {step.pod: named[step.pod] for step in found.moves},
        scene.protected,
        scene.refusals,
    )


def _without(found: Plan, roomy: set[str]) -> Plan:
    """The plan as what it adds: pods that had room all along are no merit of it."""
    steps = tuple(step for step in found.steps if isinstance(step, Move) or step.pod not in roomy)
    gained = sum(step.gpu_count for step in steps if not isinstance(step, Move))
    return replace(found, steps=steps, unallocated_before=found.unallocated_after + gained)


class _Scene:
    """Arrays of the nodes that Kubernetes knows, and all their pods."""

    def __init__(self, snapshot: Snapshot, nodes: list[Node], settings: MoveSettings) -> None:
        live = [pod for pod in snapshot.workloads if pod.phase not in FINISHED]
        candidates = [pod for pod in live if pod.gpus and _waits(pod)]
        self.refusals = tuple(
            Refusal(pod.ref, f"whether moves make room for it is not judged: {why}")
            for pod in candidates
            if (why := _unjudged(pod)) is not None
        )
        self.waiting = [pod for pod in candidates if _unjudged(pod) is None]
        kept = protections(
            live,
            snapshot.disruptions,
            snapshot.taken_at,
            max((pod.priority for pod in self.waiting), default=0),
            settings,
        )
        self._gangs = gangs(live)
        free = occupancy(nodes, live, {}).free
        self.fleet = fleet_of(nodes, free, snapshot.gpus_by_node, _broken(snapshot, nodes))
        self.groups, self._group = _groups(nodes, free, live)
        rows = {node.name: row for row, node in enumerate(nodes)}
        placed = [pod for pod in live if pod.node in rows]
        self.protected = Counter(kept[pod.uid] for pod in placed if pod.gpus and pod.uid in kept)
        taken: Counter[str] = Counter()
        self.pods = [self._pod(pod, -1, (), movable=False) for pod in self.waiting]
        for pod in sorted(placed, key=lambda pod: pod.ref):
            node = pod.node or ""
            slots = tuple(range(taken[node], taken[node] + pod.gpus))
            taken[node] += pod.gpus
            self.pods.append(self._pod(pod, rows[node], slots, movable=pod.uid not in kept))

    def _pod(self, pod: Workload, row: int, slots: tuple[int, ...], *, movable: bool) -> Pod:
        return Pod(
            pod.ref,
            demand_of(pod, self.fleet.models),
            row,
            slots,
            movable,
            self._gangs.get(pod.uid, ""),
            self._group[pod.uid],
        )


def _unjudged(pod: Workload) -> str | None:
    if pod.extended:
        return f"it asks for {', '.join(sorted(pod.extended))}, which moves do not count"
    return unjudged(pod)


def _waits(pod: Workload) -> bool:
    gates = set(pod.gates) - {GATE}
    return pod.phase == "Pending" and pod.node is None and not pod.deleting and not gates


def _broken(snapshot: Snapshot, nodes: Sequence[Node]) -> Mapping[str, int]:
    gpus, attributed = snapshot.gpus_by_node, snapshot.attributed
    return {
        node.name: unusable(
            node,
            gpus.get((node.cluster, node.name), ()),
            pods_are_known=node.cluster in attributed,
        )
        for node in nodes
    }


def _groups(
    nodes: Sequence[Node], free: Mapping[str, Capacity], pods: Sequence[Workload]
) -> tuple[Booleans, Mapping[str, int]]:
    """(groups x nodes) that may take a pod, and each pod's group by uid."""
    number: dict[object, int] = {}
    rows: list[list[bool]] = []
    group: dict[str, int] = {}
    for pod in pods:
        key = (tuple(sorted(pod.node_selector.items())), pod.tolerations)
        if key not in number:
            number[key] = len(rows)
            rows.append([refusal(pod, node) is None and free[node.name].pods > 0 for node in nodes])
        group[pod.uid] = number[key]
    return np.array(rows or [[True] * len(nodes)], dtype=bool), group
