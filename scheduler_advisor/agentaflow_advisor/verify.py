"""Verification: was the pod bound where the decision said. What it saved is for a later version."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from lightkube import Client

from agentaflow_advisor.act.errors import Unanswered, Unreadable
from agentaflow_advisor.act.facts import read_pod
from agentaflow_advisor.decide.errors import WrongState
from agentaflow_advisor.decide.journal import Journal
from agentaflow_advisor.model import Decision, State


@dataclass(frozen=True, slots=True)
class Verification:
    """The state that an applied decision has come to. APPLIED: still waiting, for that reason."""

    state: State
    reason: str


def verify(decision: Decision, client: Client) -> Verification:
    """Look at the pod of an applied decision. Nothing is written."""
    action = decision.action
    try:
        pod = read_pod(client, action)
    except (Unanswered, Unreadable) as trouble:
        return Verification(decision.state, str(trouble))
    where = f"pod {action.namespace}/{action.name}"
    if pod is None or pod.uid != action.uid:
        return Verification(State.SUPERSEDED, f"{where} was gone before it was seen bound")
    if pod.node is None:
        return Verification(decision.state, f"{where} is not bound yet")
    if pod.node != action.node:
        return Verification(State.FAILED, f"{where} was bound to {pod.node}, not {action.node}")
    return Verification(State.VERIFIED, f"{where} was bound to {pod.node}")


def verify_applied(
    journal: Journal, client: Client, *, now: float, actor: str = "agentaflow"
) -> tuple[tuple[Decision, Verification], ...]:
    """Verify every applied decision; those that are settled come back in their new state."""
    return tuple(
        _record(journal, decision, verify(decision, client), now, actor)
        for decision in journal.list((State.APPLIED,))
    )


def _record(
    journal: Journal, decision: Decision, found: Verification, now: float, actor: str
) -> tuple[Decision, Verification]:
    if found.state is decision.state:
        return decision, found
    with suppress(WrongState):  # another process was first
        journal.transition(decision.id, found.state, actor=actor, at=now, reason=found.reason)
    return journal.get(decision.id), found
