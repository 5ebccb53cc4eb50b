"""Which pods may be placed at all: waiting for us, opted in, and without a rule we cannot judge."""

from __future__ import annotations

from collections.abc import Mapping

from agentaflow_advisor.model import Refusal, Snapshot, Workload
from agentaflow_advisor.model.names import MANAGED, STRATEGY
from agentaflow_advisor.place.strategies import STRATEGIES


def opted_in(labels: Mapping[str, str]) -> bool:
    """Whether these labels of a pod or namespace let us act on it."""
    return labels.get(MANAGED) == "true"


def asked_strategy(workload: Workload) -> str:
    """The name of the strategy that it asks for; empty where it asks for none."""
    return workload.annotations.get(STRATEGY, "")


def eligible(snapshot: Snapshot) -> tuple[list[Workload], list[Refusal]]:
    """What waits for us and may be placed, and why the others that wait for us may not."""
    pods: list[Workload] = []
    refusals: list[Refusal] = []
    for workload in snapshot.workloads:
        if not workload.released_by:
            continue
        reason = objection(workload, snapshot.namespaces.get(workload.namespace, {}))
        if reason is None:
            pods.append(workload)
        else:
            refusals.append(Refusal(workload.ref, reason))
    return pods, refusals


def objection(workload: Workload, namespace_labels: Mapping[str, str]) -> str | None:
    """Why one that waits for us may not be placed; None when it may."""
    if not opted_in(workload.labels):
        return f"the {workload.kind.lower()} has not opted in: it lacks the label {MANAGED}=true"
    if not opted_in(namespace_labels):
        return (
            f"namespace {workload.namespace} has not opted in: "
            f"kubectl label namespace {workload.namespace} {MANAGED}=true"
        )
    return unjudged(workload)


def unjudged(workload: Workload) -> str | None:
    """What keeps us from judging this pod; None where we can judge all it says."""
    asked = asked_strategy(workload)
    if asked and asked not in STRATEGIES:
        names = ", ".join(sorted(STRATEGIES))
        return f"its annotation {STRATEGY} names no strategy: {asked!r} is none of {names}"
    constraints = set(workload.unmodelled)
    if workload.has_affinity and not constraints:
        constraints.add("affinity")
    if not constraints:
        return None
    return f"it has constraints that are not evaluated: {', '.join(sorted(constraints))}"
