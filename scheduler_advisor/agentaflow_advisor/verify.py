"""Verification: what the cluster made of each applied decision, by its channel's own look."""

from __future__ import annotations

from contextlib import suppress

from lightkube import Client

from agentaflow_advisor.act.channels import CHANNELS
from agentaflow_advisor.act.errors import Unanswered, Unreadable
from agentaflow_advisor.decide.errors import WrongState
from agentaflow_advisor.decide.journal import Journal
from agentaflow_advisor.model import Decision, State, Verification


def verify(decision: Decision, client: Client) -> Verification:
    """Look at the object of an applied decision. Nothing is written."""
    try:
        return CHANNELS[decision.action.channel].verify(client, decision.action, decision)
    except (Unanswered, Unreadable) as trouble:
        return Verification(decision.state, str(trouble))


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
