"""Kubernetes objects as this house's values: a Node, and a pod as a Workload."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

from lightkube.models.core_v1 import Affinity, PodSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.batch_v1 import Job
from lightkube.resources.core_v1 import Node as KubernetesNode
from lightkube.resources.core_v1 import Pod
from lightkube.resources.policy_v1 import PodDisruptionBudget

from agentaflow_advisor.model import (
    DisruptionBudget,
    Node,
    Requirement,
    Taint,
    Toleration,
    Workload,
)
from agentaflow_advisor.model.names import GATE, MANAGED, SCHEDULER
from agentaflow_advisor.observe.resources import GPU, NVIDIA, extended, quantity, requests

COUNTED = frozenset({GPU, "cpu", "memory"})
DEFAULT = "default-scheduler"
FINISHED = frozenset({"Succeeded", "Failed"})


def node(seen: KubernetesNode) -> Node:
    """A node with what it can give to pods (allocatable). Its cluster is not known here."""
    spec, status, meta = seen.spec, seen.status, seen.metadata
    free = (status.allocatable if status else None) or {}
    ready = any(
        condition.type == "Ready" and condition.status == "True"
        for condition in (status.conditions if status else None) or ()
    )
    return Node(
        cluster="",
        name=(meta.name if meta else None) or "",
        gpus=int(_amount(free, GPU)),
        cpu_cores=float(_amount(free, "cpu")),
        memory_bytes=float(_amount(free, "memory")),
        pods=int(_amount(free, "pods")) if "pods" in free else 110,
        labels=(meta.labels if meta else None) or {},
        taints=tuple(
            Taint(taint.key, taint.value or "", taint.effect)
            for taint in (spec.taints if spec else None) or ()
        ),
        ready=ready,
        schedulable=not (spec and spec.unschedulable),
        extended=extended(free),
        uid=(meta.uid if meta else None) or "",
        resource_version=(meta.resourceVersion if meta else None) or "",
        annotations=(meta.annotations if meta else None) or {},
    )


def job(seen: Job) -> Workload:
    """A suspended Job as one workload: all the pods that it would run at once, on one node.

    Whether it is suspended is in its phase: one that is not has no need of us.
    """
    meta, spec = seen.metadata, seen.spec
    if not meta or not spec:
        raise ValueError("a Job without metadata or spec")
    one = workload(Pod(metadata=spec.template.metadata or ObjectMeta(), spec=spec.template.spec))
    together = spec.parallelism if spec.parallelism is not None else 1
    return replace(
        one,
        namespace=meta.namespace or "",
        name=meta.name or "",
        uid=meta.uid or "",
        resource_version=meta.resourceVersion or "",
        kind="Job",
        pods=together,
        phase="Pending" if spec.suspend else "Running",
        gpus=one.gpus * together,
        cpu_cores=one.cpu_cores * together,
        memory_bytes=one.memory_bytes * together,
        extended={name: amount * together for name, amount in one.extended.items()},
        created_at=meta.creationTimestamp.timestamp() if meta.creationTimestamp else 0.0,
        labels=meta.labels or {},
        annotations=meta.annotations or {},
        owner=None,
        deleting=meta.deletionTimestamp is not None,
    )


def matters(pod: Pod) -> bool:
    """Takes room on a node, or waits for a GPU, or for us."""
    spec = pod.spec
    if not spec or (pod.status and pod.status.phase in FINISHED):
        return False
    if spec.nodeName or GATE in _gates(spec):
        return True
    labels = (pod.metadata.labels if pod.metadata else None) or {}
    return MANAGED in labels or any(
        name.startswith(NVIDIA) and amount > 0 for name, amount in requests(spec).items()
    )


def workload(pod: Pod) -> Workload:
    """A pod as a placement needs it, with the constraints that we do not evaluate by name."""
    meta, spec = pod.metadata, pod.spec
    if not meta or not spec:
        raise ValueError("a pod without metadata or spec")
    asked = requests(spec)
    nothing = Decimal(0)
    return Workload(
        namespace=meta.namespace or "",
        name=meta.name or "",
        uid=meta.uid or "",
        resource_version=meta.resourceVersion or "",
        phase=(pod.status.phase if pod.status else None) or "Pending",
        node=spec.nodeName,
        gpus=int(asked.get(GPU, nothing)),
        cpu_cores=float(asked.get("cpu", nothing)),
        memory_bytes=float(asked.get("memory", nothing)),
        priority=spec.priority or 0,
        created_at=meta.creationTimestamp.timestamp() if meta.creationTimestamp else 0.0,
        labels=meta.labels or {},
        annotations=meta.annotations or {},
        gates=_gates(spec),
        node_selector=spec.nodeSelector or {},
        tolerations=tuple(
            Toleration(one.key, one.operator or "Equal", one.value, one.effect)
            for one in spec.tolerations or ()
        ),
        owner=next(
            (f"{one.kind}/{one.name}" for one in meta.ownerReferences or () if one.controller),
            None,
        ),
        deleting=meta.deletionTimestamp is not None,
        deletes_at=meta.deletionTimestamp.timestamp() if meta.deletionTimestamp else None,
        has_affinity=any(_affinity(spec.affinity)),
        unmodelled=tuple(sorted({*_affinity(spec.affinity), *_others(spec, asked)})),
        extended=extended(asked),
        scheduler=spec.schedulerName if spec.schedulerName not in (None, DEFAULT) else "",
    )


def disruption_budget(seen: PodDisruptionBudget) -> DisruptionBudget:
    """As its controller counted it last: what it has not looked at yet allows nothing."""
    meta, status = seen.metadata, seen.status
    stale = ((status.observedGeneration if status else 0) or 0) < ((meta and meta.generation) or 0)
    selector = seen.spec.selector if seen.spec else None
    return DisruptionBudget(
        namespace=(meta.namespace if meta else None) or "",
        name=(meta.name if meta else None) or "",
        allowed=0 if stale or not status else status.disruptionsAllowed or 0,
        match_labels=None if selector is None else selector.matchLabels or {},
        match_expressions=tuple(
            Requirement(one.key, one.operator, tuple(one.values or ()))
            for one in (selector.matchExpressions if selector else None) or ()
        ),
    )


def _gates(spec: PodSpec) -> tuple[str, ...]:
    return tuple(gate.name for gate in spec.schedulingGates or ())


def _amount(amounts: dict[str, object], name: str) -> Decimal:
    return quantity(str(amounts.get(name, "0")))


def _affinity(affinity: Affinity | None) -> Iterator[str]:
    """Required rules only: what is merely preferred rules no node out."""
    if not affinity:
        return
    for name, rules in (
        ("node affinity", affinity.nodeAffinity),
        ("pod affinity", affinity.podAffinity),
        ("pod anti-affinity", affinity.podAntiAffinity),
    ):
        if rules and rules.requiredDuringSchedulingIgnoredDuringExecution:
            yield name


def _others(spec: PodSpec, asked: dict[str, Decimal]) -> Iterator[str]:
    spread = spec.topologySpreadConstraints or ()
    if any(one.whenUnsatisfiable == "DoNotSchedule" for one in spread):
        yield "topology spread"
    if spec.resourceClaims:
        yield "resource claims"
    if any(volume.persistentVolumeClaim or volume.ephemeral for volume in spec.volumes or ()):
        yield "persistent volumes"
    if any(port.hostPort for container in spec.containers for port in container.ports or ()):
        yield "host ports"
    if spec.schedulerName not in (None, DEFAULT, SCHEDULER):
        yield f"scheduler {spec.schedulerName}"
    if spec.schedulingGroup:
        yield "scheduling group"
    for name, amount in asked.items():
        if name not in COUNTED and not name.startswith(NVIDIA) and amount > 0:
            yield f"resource {name}"
