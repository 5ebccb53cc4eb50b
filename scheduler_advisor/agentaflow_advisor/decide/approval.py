"""Approvals: a person's yes to one decision, which lasts only a while."""

from __future__ import annotations

from contextlib import suppress

from agentaflow_advisor.decide.errors import WrongState
from agentaflow_advisor.decide.journal import Journal
from agentaflow_advisor.decide.policy import Policy
from agentaflow_advisor.decide.standing import DAY, agreeing
from agentaflow_advisor.model import Decision, State


def approve(
    journal: Journal, decision_id: str, *, actor: str, now: float, policy: Policy
) -> Decision:
    """Approved; or expired, where it was proposed too long ago. Raises WrongState if not proposed.

    The approval is of the pod as it was proposed: its uid and spec are in the action.
    """
    decision = journal.get(decision_id)
    if decision.state is State.PROPOSED and (reason := overdue(decision, policy, now)):
        return journal.transition(decision.id, State.EXPIRED, actor=actor, at=now, reason=reason)
    return journal.transition(decision.id, State.APPROVED, actor=actor, at=now)


def approve_by_standing(journal: Journal, policy: Policy, *, now: float) -> tuple[Decision, ...]:
    """Say yes to proposals that a standing approval covers, as long as its day's number lasts."""
    given = dict(journal.approvals_since(now - DAY))
    approved = []
    for decision in journal.list((State.PROPOSED,)):
        approval = agreeing(decision, policy.standing, given)
        if approval is None:
            continue
        with suppress(WrongState):  # another process was first
            made = approve(journal, decision.id, actor=approval.actor, now=now, policy=policy)
            approved.append(made)
            if made.state is State.APPROVED:
                given[approval.actor] = given.get(approval.actor, 0) + 1
    return tuple(approved)


def overdue(decision: Decision, policy: Policy, now: float) -> str | None:
    """Why it has waited too long, or None."""
    waits_for, limit = {
        State.PROPOSED: ("approval", policy.proposal_ttl_seconds),
        State.APPROVED: ("being carried out", policy.approval_ttl_seconds),
    }.get(decision.state, ("", float("inf")))
    if now - decision.state_at <= limit:
        return None
    return f"it has waited for {waits_for} longer than {limit:g} s"


def expire_overdue(
    journal: Journal, policy: Policy, *, now: float, actor: str = "agentaflow"
) -> tuple[Decision, ...]:
    """Expire what has waited too long, so that its pod can be proposed anew."""
    expired = []
    for decision in journal.list((State.PROPOSED, State.APPROVED)):
        if reason := overdue(decision, policy, now):
            with suppress(WrongState):  # another process was first
                expired.append(
                    journal.transition(
                        decision.id, State.EXPIRED, actor=actor, at=now, reason=reason
                    )
                )
    return tuple(expired)
