"""The cordon channel: keeps new pods from a sick node, and leaves alone what runs there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lightkube import Client
from lightkube.resources.core_v1 import Node

from agentaflow_advisor.act import api
from agentaflow_advisor.act.channels.channel import Channel
from agentaflow_advisor.act.facts import kept_out, read_node
from agentaflow_advisor.act.precondition import marked, marker_settles, undone, unmarked
from agentaflow_advisor.decide.guards import Context
from agentaflow_advisor.decide.guards.nodes import enough_nodes_left
from agentaflow_advisor.model import (
    CordonNode,
    Decision,
    Settled,
    State,
    Target,
    Verification,
)
from agentaflow_advisor.model.names import SICK
from agentaflow_advisor.observe import kubernetes

UNSCHEDULABLE = "node.kubernetes.io/unschedulable"  # the taint that Kubernetes puts on such nodes


def write(
    client: Client, action: CordonNode, decision: Decision, target: Target, dry_run: bool
) -> None:
    patch = marked(decision, target)
    if action.how == "cordon":
        patch["spec"] = {"unschedulable": True}
    else:
        ours = {"key": SICK, "value": decision.strategy, "effect": "NoSchedule"}
        patch["spec"] = {"taints": [*_other_taints(target), ours]}
    api.patch(client, Node, target, patch, dry_run=dry_run)


def _other_taints(target: Target) -> list[dict[str, Any]]:
    taints: list[dict[str, Any]] = target.object.to_dict().get("spec", {}).get("taints", [])
    return [taint for taint in taints if taint["key"] != SICK]


def gather(client: Client, _: CordonNode, __: Target, context: Context) -> Context:
    nodes = api.read(lambda: tuple(kubernetes.node(node) for node in client.list(Node)))
    return replace(context, nodes=nodes or ())


def verify(client: Client, action: CordonNode, decision: Decision) -> Verification:
    found = read_node(client, action)
    if isinstance(found, Settled) or found.uid != action.uid:
        return Verification(State.SUPERSEDED, f"node {action.name} is gone")
    node = kubernetes.node(found.object)
    closed = not node.schedulable or any(taint.key == SICK for taint in node.taints)
    if closed:
        return Verification(State.VERIFIED, f"node {action.name} takes no new pods")
    return Verification(State.FAILED, f"node {action.name} was opened again after {decision.id}")


def harm(client: Client, action: CordonNode, patience_seconds: float) -> str | None:
    """A pod that waits in vain and would have a place here, were the node open."""
    seen = read_node(client, action)
    if isinstance(seen, Settled):
        return None
    node = kubernetes.node(seen.object)
    taints = tuple(taint for taint in node.taints if taint.key not in (SICK, UNSCHEDULABLE))
    opened = replace(node, schedulable=True, taints=taints)
    return kept_out(client, opened, patience_seconds, lambda pod: kubernetes.workload(pod).gpus > 0)


def undo(client: Client, action: CordonNode, decision: Decision) -> Settled:
    found = read_node(client, action)
    if isinstance(found, Settled):
        return found
    if over := undone(decision, found):
        return over
    patch = unmarked(decision, found)
    if action.how == "cordon":
        patch["spec"] = {"unschedulable": None}
    else:
        patch["spec"] = {"taints": _other_taints(found) or None}
    api.patch(client, Node, found, patch, dry_run=False)
    return Settled(State.REVERTED, f"{found.described} takes new pods again")


CORDON = Channel(
    action=CordonNode,
    does="keeps new pods from a sick node, by the taint `agentaflow.io/sick` or by cordoning it",
    needs=("get nodes", "list nodes", "patch nodes", "list pods"),
    guards=(enough_nodes_left,),
    read=read_node,
    settled=marker_settles,
    write=write,
    verify=verify,
    gather=gather,
    harm=harm,
    undo=undo,
)
