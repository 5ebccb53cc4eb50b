"""The facts of this moment that guards judge, read from the Kubernetes API and from Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from lightkube import Client
from lightkube.resources.core_v1 import ConfigMap, Namespace, Node, Pod

from agentaflow_advisor.act.api import read
from agentaflow_advisor.act.errors import Unreadable
from agentaflow_advisor.decide.guards import Context
from agentaflow_advisor.decide.policy import Policy
from agentaflow_advisor.model import Action, Workload
from agentaflow_advisor.model.names import KILL_SWITCH
from agentaflow_advisor.observe import kubernetes
from agentaflow_advisor.observe.errors import ObserveError


def read_pod(client: Client, action: Action) -> Workload | None:
    """The decision's target as it is now; None where no pod has its name."""
    return read(
        lambda: kubernetes.workload(client.get(Pod, action.name, namespace=action.namespace))
    )


def read_context(
    client: Client,
    action: Action,
    pod: Workload,
    policy: Policy,
    prometheus_now: Callable[[], float],
) -> Context:
    """Raises Unanswered or Unreadable. The kill switch is read last, nearest to the write."""
    return Context(
        policy=policy,
        pod=pod,
        namespace_labels=_namespace_labels(client, action.namespace),
        node=read(lambda: kubernetes.node(client.get(Node, action.node))),
        others=_others(client, action.node),
        prometheus_now=_time(prometheus_now),
        stopped=_stopped(client, policy.namespace),
    )


def _namespace_labels(client: Client, name: str) -> Mapping[str, str] | None:
    namespace = read(lambda: client.get(Namespace, name))
    if namespace is None:
        return None
    return (namespace.metadata and namespace.metadata.labels) or {}


def _others(client: Client, node: str) -> tuple[Workload, ...]:
    """The pods on the node, and those not bound yet: some of them may have been sent there."""
    return (*_pods_on(client, node), *_pods_on(client, ""))


def _pods_on(client: Client, node: str) -> tuple[Workload, ...]:
    found = read(
        lambda: tuple(
            kubernetes.workload(pod)
            for pod in client.list(Pod, namespace="*", fields={"spec.nodeName": node})
        )
    )
    return found or ()


def _time(prometheus_now: Callable[[], float]) -> float | None:
    try:
        return prometheus_now()
    except ObserveError:
        return None


def _stopped(client: Client, namespace: str) -> str | None:
    """Only an absent switch, or one that says "false", lets anything through."""
    where = f"ConfigMap {namespace}/{KILL_SWITCH}"
    try:
        switch = read(lambda: client.get(ConfigMap, KILL_SWITCH, namespace=namespace))
    except Unreadable as refusal:
        return f"{where} cannot be read ({refusal})"
    if switch is None or (switch.data or {}).get("stop") == "false":
        return None
    return f"{where} says stop"
