"""Guards of channels that close nodes: enough of them stay open."""

from __future__ import annotations

from agentaflow_advisor.decide.guards.context import Context, unless
from agentaflow_advisor.model import Allow, Decision, Node, Veto
from agentaflow_advisor.place.feasibility import HARD_EFFECTS


def enough_nodes_left(decision: Decision, context: Context) -> Allow | Veto:
    """Of the nodes with GPUs, no more are closed than the settings allow."""
    nodes = [node for node in context.nodes if node.gpus]
    closed = [node for node in nodes if node.name != decision.action.name and _closed(node)]
    most = context.policy.max_closed_ratio * len(nodes)
    return unless(
        len(closed) + 1 > most,
        f"{len(closed)} of {len(nodes)} nodes with GPUs are closed, at most {most:g} may be",
    )


def _closed(node: Node) -> bool:
    return not node.schedulable or any(taint.effect in HARD_EFFECTS for taint in node.taints)
