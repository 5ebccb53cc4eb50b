"""Verification: what the cluster made of each applied decision, and what that really saved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress

from lightkube import Client

from agentaflow_advisor.act.channels import CHANNELS
from agentaflow_advisor.act.errors import Unanswered, Unreadable
from agentaflow_advisor.analyze.effect import Effect, effect
from agentaflow_advisor.decide.errors import WrongState
from agentaflow_advisor.decide.journal import Journal
from agentaflow_advisor.model import Decision, Money, Refusal, State, Verification
from agentaflow_advisor.observe.prometheus import Prometheus
from agentaflow_advisor.observe.waste import waste

SETTLING_SECONDS = 300.0
"""Prometheus looks so far back for a sample: until then it may show what was."""
STEPS = 30  # values on each side of the moment at which a decision took effect


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


def measure_effects(
    journal: Journal,
    prometheus: Prometheus,
    *,
    dialects: Iterable[str],
    hourly: Mapping[str, Money],
    window_seconds: float,
    now: float,
    actor: str = "agentaflow",
) -> tuple[Decision, ...]:
    """Measure each verified decision once its window is over, and write that into the journal.

    `hourly` is the price of a GPU by node name. Raises ObserveError, JournalError.
    """
    known, measured = journal.details(State.VERIFIED), []
    for decision in journal.list((State.VERIFIED,)):
        at = journal.applied_at(decision.id)
        if decision.id in known or at is None or at + window_seconds > now:
            continue
        found = _measure(prometheus, decision, at, window_seconds, tuple(dialects))
        price = hourly.get(decision.action.node)
        if isinstance(found, Refusal):
            reason, detail = f"what it saved is not known: {found.reason}", {}
        else:
            reason = found.told(price)
            detail = {"saved_gpus": found.gpus, "saved_gpus_error": found.error}
        measured.append(
            journal.remark(decision.id, actor=actor, at=now, reason=reason, detail=detail)
        )
    return tuple(measured)


def _measure(
    prometheus: Prometheus,
    decision: Decision,
    at: float,
    window_seconds: float,
    dialects: tuple[str, ...],
) -> Effect | Refusal:
    """The node's GPUs held idle before and after; but not while that settles."""
    node, step = decision.action.node, window_seconds / STEPS
    if not node:
        return Refusal("effect", "it is about no node")
    before, after = (
        waste(prometheus, node=node, start=start, end=end, step_seconds=step, dialects=dialects)
        for start, end in (
            (at - window_seconds, at - 1),
            (at + SETTLING_SECONDS, at + window_seconds),
        )
    )
    return effect(before, after)
