"""The placement run: queue the pods and place one after the other; every answer is explained."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from agentaflow_advisor.model import Placement, Snapshot, Workload
from agentaflow_advisor.model.names import GATE
from agentaflow_advisor.place.feasibility import EvidenceSettings
from agentaflow_advisor.place.queue import eligible, unjudged
from agentaflow_advisor.place.run import Result, Run
from agentaflow_advisor.place.strategy import Aging, Strategy


def place(
    snapshot: Snapshot,
    strategy: Strategy,
    *,
    gate: str = GATE,
    held: Mapping[str, str] | None = None,
    last_node: str | None = None,
    evidence: EvidenceSettings | None = None,
) -> tuple[Result, ...]:
    """Choose a node for each opted-in pod behind `gate`, in the strategy's order.

    `held` is node name by pod uid for decisions that are still open: those pods are not placed
    again and their room counts as taken. `last_node` is where the run before ended.
    """
    held = held or {}
    pods, refusals = eligible(snapshot, gate)
    new = [pod for pod in pods if pod.uid not in held]
    placed = explain(snapshot, strategy, new, held=held, last_node=last_node, evidence=evidence)
    return (*placed, *sorted(refusals, key=lambda refused: refused.subject))


def explain(
    snapshot: Snapshot,
    strategy: Strategy,
    pods: Iterable[Workload],
    *,
    held: Mapping[str, str] | None = None,
    last_node: str | None = None,
    evidence: EvidenceSettings | None = None,
) -> tuple[Result, ...]:
    """The same for any pods, gated or not, in the cluster or only in a file."""
    pods = tuple(pods)
    if isinstance(strategy, Aging):
        there = (pod for pod in snapshot.workloads if pod.gpus)
        strategy = strategy.among({pod.priority for pod in (*there, *pods)}, snapshot.taken_at)
    run = Run(snapshot, strategy, held=held, last_node=last_node, evidence=evidence)
    queued = sorted(pods, key=lambda pod: (strategy.queue(pod), pod.ref, pod.uid))
    return tuple(_place(run, pod) for pod in queued)


def _place(run: Run, pod: Workload) -> Result:
    """A node is kept for a pod that is overdue and found no room."""
    result, strategy = run.place(pod), run.strategy
    if isinstance(result, Placement) or unjudged(pod) is not None:
        return result
    if not isinstance(strategy, Aging) or not strategy.is_overdue(pod):
        return result
    kept = run.keep(pod)
    if kept is None:
        return result
    return replace(result, reason=f"{result.reason}; {kept} is kept for it, since it is overdue")
