"""The node-label channel: labels of ours on nodes, for pods that prefer or avoid them."""

from __future__ import annotations

from lightkube import Client
from lightkube.resources.core_v1 import Node

from agentaflow_advisor.act import api
from agentaflow_advisor.act.channels.channel import Channel
from agentaflow_advisor.act.facts import read_node
from agentaflow_advisor.act.precondition import marked, marker_settles, undone, unmarked
from agentaflow_advisor.model import (
    Decision,
    LabelNode,
    Settled,
    State,
    Target,
    Verification,
)


def write(
    client: Client, action: LabelNode, decision: Decision, target: Target, dry_run: bool
) -> None:
    patch = marked(decision, target)
    patch["metadata"]["labels"] = dict(action.labels)
    api.patch(client, Node, target, patch, dry_run=dry_run)


def verify(client: Client, action: LabelNode, decision: Decision) -> Verification:
    found = read_node(client, action)
    if isinstance(found, Settled) or found.uid != action.uid:
        return Verification(State.SUPERSEDED, f"node {action.name} is gone")
    if all(found.labels.get(name) == value for name, value in action.labels.items()):
        return Verification(State.VERIFIED, f"node {action.name} carries the labels")
    return Verification(State.FAILED, f"node {action.name} lost the labels of {decision.id}")


def undo(client: Client, action: LabelNode, decision: Decision) -> Settled:
    found = read_node(client, action)
    if isinstance(found, Settled):
        return found
    if over := undone(decision, found):
        return over
    patch = unmarked(decision, found)
    patch["metadata"]["labels"] = dict.fromkeys(action.labels)
    api.patch(client, Node, found, patch, dry_run=False)
    return Settled(State.REVERTED, f"{found.described} has lost the labels")


NODE_LABEL = Channel(
    action=LabelNode,
    does="writes labels of ours on a node, which pods may prefer or avoid by their affinity",
    needs=("get nodes", "patch nodes"),
    guards=(),
    read=read_node,
    settled=marker_settles,
    write=write,
    verify=verify,
    undo=undo,
)
