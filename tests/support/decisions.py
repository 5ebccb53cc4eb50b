"""Builders of placements, decisions and guard contexts on top of the fleet's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from agentaflow_advisor.act.channels import CHANNELS
from agentaflow_advisor.decide.guards import EVERYWHERE, PACING, Context, vetoes
from agentaflow_advisor.decide.policy import Policy
from agentaflow_advisor.decide.proposal import propose
from agentaflow_advisor.model import Decision, Placement, PlacePod, Target, Workload
from tests.support.fleet import OPTED_IN, gated_pod, gpus_of, node, snapshot

NOW = 1_800_000_000.0
ACTING = Policy(channels=frozenset({PlacePod.channel}))


def placement(pod: Workload, on: str = "node-0") -> Placement:
    """A strategy's answer that puts the pod on that node."""
    return Placement(pod, on, on, "best_fit", 1.0, None, {}, f"{on} fits best")


def decision(pod: Workload | None = None, on: str = "node-0", now: float = NOW) -> Decision:
    """A fresh proposal for the pod."""
    seen = snapshot([node(on)], gpus=gpus_of(on, 0.1, 0.2))
    return propose(placement(pod or gated_pod("train"), on), seen, now)


def target(pod: Workload) -> Target:
    """The pod as a channel reads it."""
    return Target(
        "Pod",
        pod.namespace,
        pod.name,
        pod.uid,
        pod.resource_version,
        labels=pod.labels,
        annotations=pod.annotations,
        created_at=pod.created_at,
        deleting=pod.deleting,
        spec_hash=pod.spec_hash,
        owner=pod.owner or "",
        pod=pod,
    )


def context(pod: Workload | None = None, **changes: Any) -> Context:
    """Facts that nothing can be said against, except for the changes."""
    made = Context(
        policy=ACTING,
        target=target(pod or gated_pod("train")),
        now=NOW,
        namespace_labels=OPTED_IN,
        node=node("node-0"),
        others=(),
        stopped=None,
        prometheus_now=NOW,
    )
    return replace(made, **changes)


def names(vetoes: Iterable[tuple[str, str]]) -> list[str]:
    """Which guards spoke."""
    return [guard for guard, _ in vetoes]


def judged(made: Decision, facts: Context) -> tuple[tuple[str, str], ...]:
    """What all guards that judge its channel have against it."""
    own = CHANNELS[made.action.channel].guards
    return vetoes(made, facts, (*EVERYWHERE, *own, *PACING))
