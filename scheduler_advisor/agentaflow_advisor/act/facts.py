"""The facts of this moment that guards judge, read from the Kubernetes API and from Prometheus."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from lightkube import Client
from lightkube.resources.core_v1 import ConfigMap, Namespace, Node, Pod
from lightkube.resources.policy_v1 import PodDisruptionBudget

from agentaflow_advisor import model
from agentaflow_advisor.act.api import read
from agentaflow_advisor.act.errors import Unreadable
from agentaflow_advisor.decide.guards import Context
from agentaflow_advisor.model import Action, Disruptions, Settled, State, Target, Workload
from agentaflow_advisor.model.names import KILL_SWITCH
from agentaflow_advisor.observe import kubernetes
from agentaflow_advisor.observe.errors import ObserveError
from agentaflow_advisor.place.capacity import Capacity, occupancy
from agentaflow_advisor.place.feasibility import refusal

CRASHING = "CrashLoopBackOff"


def read_pod(client: Client, action: Action) -> Target | Settled:
    """The pod that a decision is about, as it is now. Raises Unanswered or Unreadable."""
    seen = read(lambda: client.get(Pod, action.name, namespace=action.namespace))
    if seen is None:
        return Settled(State.SUPERSEDED, "the pod is gone", gone=True)
    pod = kubernetes.workload(seen)
    return target("Pod", seen, spec_hash=pod.spec_hash, pod=pod)


def read_node(client: Client, action: Action) -> Target | Settled:
    """The node that a decision is about, as it is now. Raises Unanswered or Unreadable."""
    seen = read(lambda: client.get(Node, action.name))
    if seen is None:
        return Settled(State.SUPERSEDED, "the node is gone", gone=True)
    return target("Node", seen, spec_hash=kubernetes.node(seen).spec_hash)


def target(kind: str, seen: Any, *, spec_hash: str, pod: Workload | None = None) -> Target:
    """An object as the API server gave it."""
    meta = seen.metadata
    owners = meta.ownerReferences or ()
    return Target(
        kind=kind,
        namespace=meta.namespace or "",
        name=meta.name or "",
        uid=meta.uid or "",
        resource_version=meta.resourceVersion or "",
        labels=meta.labels or {},
        annotations=meta.annotations or {},
        created_at=meta.creationTimestamp.timestamp() if meta.creationTimestamp else 0.0,
        deleting=meta.deletionTimestamp is not None,
        spec_hash=spec_hash,
        owner=next((f"{one.kind}/{one.name}" for one in owners if one.controller), ""),
        pod=pod,
        object=seen,
    )


def in_trouble(pod: Pod, patience_seconds: float) -> str | None:
    """That kube-scheduler has found no node for it for longer than that, or that it crashes."""
    meta, status = pod.metadata, pod.status
    where = f"pod {meta.namespace}/{meta.name}" if meta else "a pod"
    for condition in (status.conditions if status else None) or ():
        since = condition.lastTransitionTime
        if condition.reason == "Unschedulable" and condition.status == "False" and since:
            waited = time.time() - since.timestamp()
            if waited > patience_seconds:
                return f"{where} has found no node for {waited:.0f} s"
    for container in (status.containerStatuses if status else None) or ():
        waiting = container.state.waiting if container.state else None
        if waiting and waiting.reason == CRASHING:
            return f"{where} crashes again and again"
    return None


def kept_out(
    client: Client, node: model.Node, patience_seconds: float, concerned: Callable[[Pod], bool]
) -> str | None:
    """A pod that waits in vain and would have a place on that node, if it is one of those."""
    free = occupancy((node,), pods(client, node=node.name), held={}).free[node.name]
    waiting = read(lambda: tuple(client.list(Pod, namespace="*", fields={"spec.nodeName": ""})))
    for pod in waiting or ():
        asks = kubernetes.workload(pod)
        fits = refusal(asks, node) is None and free.shortage(Capacity.of_workload(asks)) is None
        if fits and concerned(pod) and (why := in_trouble(pod, patience_seconds)):
            return f"{why}, and would fit on {node.name}"
    return None


def disruptions(client: Client, namespace: str) -> Disruptions:
    """The disruption budgets of a namespace, or why they are not known."""
    try:
        budgets = read(
            lambda: tuple(
                kubernetes.disruption_budget(one)
                for one in client.list(PodDisruptionBudget, namespace=namespace)
            )
        )
    except Unreadable as refusal:
        return Disruptions(unknown=str(refusal))
    return Disruptions(budgets or ())


def surroundings(client: Client, context: Context, prometheus_now: Callable[[], float]) -> Context:
    """The facts that every channel's guards judge, but for the kill switch."""
    return replace(
        context,
        namespace_labels=_namespace_labels(client, context.target.namespace),
        prometheus_now=_time(prometheus_now),
    )


def node_and_pods(client: Client, node: str, context: Context) -> Context:
    """The node, the pods on it, and those not bound yet: some of them may have been sent there.

    The pods of the target's namespace too, where it is of a gang.
    """
    pod = context.target.pod
    return replace(
        context,
        node=read(lambda: kubernetes.node(client.get(Node, node))),
        others=(*pods(client, node=node), *pods(client, node="")),
        siblings=pods(client, namespace=pod.namespace) if pod and pod.gang else (),
    )


def pods(client: Client, *, node: str | None = None, namespace: str = "*") -> tuple[Workload, ...]:
    """The pods of a namespace, on that node only where one is given ("": not bound yet)."""

    def found() -> tuple[Workload, ...]:
        fields: Any = {} if node is None else {"spec.nodeName": node}
        listed = client.list(Pod, namespace=namespace, fields=fields)
        return tuple(kubernetes.workload(pod) for pod in listed)

    return read(found) or ()


def stopped(client: Client, namespace: str) -> str | None:
    """Why the kill switch says stop. Only an absent one, or its "false", lets anything through."""
    where = f"ConfigMap {namespace}/{KILL_SWITCH}"
    try:
        switch = read(lambda: client.get(ConfigMap, KILL_SWITCH, namespace=namespace))
    except Unreadable as refusal:
        return f"{where} cannot be read ({refusal})"
    if switch is None or (switch.data or {}).get("stop") == "false":
        return None
    return f"{where} says stop"


def _namespace_labels(client: Client, name: str) -> Mapping[str, str] | None:
    if not name:
        return None
    namespace = read(lambda: client.get(Namespace, name))
    if namespace is None:
        return None
    return (namespace.metadata and namespace.metadata.labels) or {}


def _time(prometheus_now: Callable[[], float]) -> float | None:
    try:
        return prometheus_now()
    except ObserveError:
        return None
