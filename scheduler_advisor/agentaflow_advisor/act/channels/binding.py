"""The binding channel: binds a pod of our own schedulerName, past every filter of kube-scheduler.

The last resort: nobody but our guards checks that it fits, and a bound pod stays where it is.
"""

from __future__ import annotations

from lightkube import Client
from lightkube.models.core_v1 import ObjectReference
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import PodBinding

from agentaflow_advisor.act import api
from agentaflow_advisor.act.channels.channel import Channel
from agentaflow_advisor.act.channels.gate import gather, verify_bound
from agentaflow_advisor.act.facts import read_pod
from agentaflow_advisor.act.precondition import marker_settles
from agentaflow_advisor.decide.guards.pods import (
    gang_whole,
    node_has_room,
    node_usable,
    pod_ours_to_bind,
)
from agentaflow_advisor.model import BindPod, Decision, Settled, State, Target
from agentaflow_advisor.model.names import DECISION, FIELD_MANAGER


class Binding(PodBinding):
    """lightkube reads the answer as what was sent, and the API server's is a Status."""

    target: ObjectReference | None = None  # type: ignore[assignment]


def settled(action: BindPod, decision: Decision, target: Target) -> Settled | None:
    if found := marker_settles(action, decision, target):
        return found
    if target.pod and target.pod.node:
        reason = f"{target.described} was bound to {target.pod.node} by someone else"
        return Settled(State.SUPERSEDED, reason)
    return None


def write(
    client: Client, action: BindPod, decision: Decision, target: Target, dry_run: bool
) -> None:
    """A Binding's annotations are merged into the pod; its uid and resourceVersion must hold."""
    binding = Binding(
        metadata=ObjectMeta(
            name=target.name,
            namespace=target.namespace,
            uid=target.uid,
            resourceVersion=target.resource_version,
            annotations={DECISION: decision.id},
        ),
        target=ObjectReference(apiVersion="v1", kind="Node", name=action.node),
    )
    api.write(
        lambda: client.create(
            binding,
            target.name,
            namespace=target.namespace,
            field_manager=FIELD_MANAGER,
            dry_run=dry_run,
        )
    )


BINDING = Channel(
    action=BindPod,
    does="binds a pod whose schedulerName is `agentaflow`; no filter of kube-scheduler sees it",
    needs=("get pods", "list pods", "create pods/binding"),
    guards=(pod_ours_to_bind, gang_whole, node_usable, node_has_room),
    read=read_pod,
    settled=settled,
    write=write,
    awaits="to be bound",
    verify=verify_bound,
    gather=gather,
)
