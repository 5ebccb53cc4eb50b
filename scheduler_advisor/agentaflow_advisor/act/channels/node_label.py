"""The node-label channel: labels of ours on nodes, for pods that prefer or avoid them."""

from __future__ import annotations

from lightkube import Client
from lightkube.models.core_v1 import NodeSelectorRequirement
from lightkube.resources.core_v1 import Node, Pod

from agentaflow_advisor.act import api
from agentaflow_advisor.act.channels.channel import Channel
from agentaflow_advisor.act.facts import kept_out, read_node
from agentaflow_advisor.act.precondition import marked, marker_settles, undone, unmarked
from agentaflow_advisor.model import (
    Decision,
    LabelNode,
    Settled,
    State,
    Target,
    Verification,
)
from agentaflow_advisor.observe import kubernetes


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


def harm(client: Client, action: LabelNode, patience_seconds: float) -> str | None:
    """A pod that has to avoid what we wrote, waits in vain and would have a place here."""
    seen = read_node(client, action)
    if isinstance(seen, Settled):
        return None

    def avoids(pod: Pod) -> bool:
        required = _required(pod)
        return any(one.key in action.labels for term in required for one in term)

    return kept_out(client, kubernetes.node(seen.object), patience_seconds, avoids)


def _required(pod: Pod) -> list[list[NodeSelectorRequirement]]:
    """What its node affinity asks of a node, by term."""
    affinity = pod.spec.affinity if pod.spec else None
    rules = affinity.nodeAffinity if affinity else None
    required = rules.requiredDuringSchedulingIgnoredDuringExecution if rules else None
    return [
        term.matchExpressions or [] for term in (required.nodeSelectorTerms if required else ())
    ]


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
    needs=("get nodes", "patch nodes", "list pods"),
    guards=(),
    read=read_node,
    settled=marker_settles,
    write=write,
    verify=verify,
    harm=harm,
    undo=undo,
)
