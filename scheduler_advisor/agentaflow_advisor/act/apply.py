"""Carrying decisions out: the one module that writes to a cluster, and writes each decision once.

The journal says `intended` before the first byte goes out. The write carries its precondition
(uid, resourceVersion) and its marker (the decision's id), so whatever was lost on the way, a fresh
read of the object tells whether it happened. Only such a read, or the server's no, ends a decision.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from lightkube import Client

from agentaflow_advisor.act import api
from agentaflow_advisor.act.channels import CHANNELS, Settled
from agentaflow_advisor.act.errors import Conflict, Rejected, Unanswered, Unreadable
from agentaflow_advisor.act.facts import read_context, read_pod
from agentaflow_advisor.decide.approval import overdue
from agentaflow_advisor.decide.errors import WrongState
from agentaflow_advisor.decide.guards import vetoes
from agentaflow_advisor.decide.journal import Journal
from agentaflow_advisor.decide.policy import Policy
from agentaflow_advisor.model import Decision, State, Workload

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Clock:
    """Time as this room uses it; tests bring their own."""

    now: Callable[[], float] = time.time  # seconds since the epoch
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True, slots=True)
class Applier:
    """All that carrying decisions out needs. `prometheus_now` may raise ObserveError."""

    journal: Journal
    client: Client
    policy: Policy
    prometheus_now: Callable[[], float]  # seconds since the epoch, Prometheus' clock
    actor: str = "agentaflow"
    clock: Clock = field(default_factory=Clock)


def apply_decision(applier: Applier, decision: Decision) -> Decision:
    """Carry out an approved decision, or go on with an intended one; its new state is the answer.

    Where the API server cannot be read the state stays, `reason` says why, and a later call or
    recover() goes on. Raises JournalError: WrongState where it is not approved.
    """
    with applier.journal.acting():
        decision = applier.journal.get(decision.id)
        if decision.state is State.APPROVED:
            decision = _intend(applier, decision)
        elif decision.state is not State.INTENDED:
            raise WrongState(
                f"decision {decision.id} is {decision.state}, not approved;"
                f" see `agentaflow journal show {decision.id}`"
            )
        return _carry_out(applier, decision) if decision.state is State.INTENDED else decision


def recover(applier: Applier) -> tuple[Decision, ...]:
    """Replay every intended decision first: an earlier process may have died on the way."""
    with applier.journal.acting():
        intended = applier.journal.list((State.INTENDED,))
        return tuple(_carry_out(applier, decision) for decision in intended)


def _intend(applier: Applier, decision: Decision) -> Decision:
    """Judged before it is intended, so that a veto leaves no trace of an intent."""
    if reason := overdue(decision, applier.policy, applier.clock.now()):
        return _settle(applier, decision, Settled(State.EXPIRED, reason))
    try:
        judged = _judge(applier, decision)
    except (Unanswered, Unreadable) as trouble:
        return replace(decision, reason=str(trouble))
    if isinstance(judged, Settled) and judged.state is not State.APPLIED:
        return _settle(applier, decision, judged)
    return _settle(applier, decision, Settled(State.INTENDED, ""))


def _carry_out(applier: Applier, decision: Decision) -> Decision:
    """Read, judge, rehearse, write; again while nobody can tell whether it happened."""
    pause = FIRST_PAUSE_SECONDS
    rehearsed = False
    trouble: Exception | None = None
    for _ in _attempts(applier):
        try:
            judged = _judge(applier, decision)
            if isinstance(judged, Settled):
                return _settle(applier, decision, _after_intent(judged))
            if not rehearsed:
                _write(applier, decision, judged, dry_run=True)
                rehearsed = True
            _write(applier, decision, judged, dry_run=False)
            return _settle(
                applier, decision, Settled(State.APPLIED, "the API server took the patch")
            )
        except Conflict as conflict:
            trouble = conflict  # judged anew on what is there now, never pushed through
        except Unanswered as silence:
            trouble = silence
            applier.clock.sleep(min(silence.retry_after_seconds or pause, LONGEST_PAUSE_SECONDS))
            pause *= 2
        except Rejected as refusal:
            return _settle(applier, decision, Settled(State.FAILED, str(refusal)))
        except Unreadable as refusal:
            return replace(decision, reason=str(refusal))
    return _give_up(applier, decision, trouble)


def _attempts(applier: Applier) -> Iterator[None]:
    deadline = applier.clock.monotonic() + applier.policy.deadline_seconds
    for _ in range(applier.policy.attempts):
        yield
        if applier.clock.monotonic() >= deadline:
            return


def _judge(applier: Applier, decision: Decision) -> Workload | Settled:
    """The pod as it is now if the write may go out, else what became of the decision."""
    pod = read_pod(applier.client, decision.action)
    if pod is None:
        return Settled(State.SUPERSEDED, "the pod is gone")
    if settled := CHANNELS[decision.action.channel].settled(decision, pod):
        return settled
    context = read_context(
        applier.client, decision.action, pod, applier.policy, applier.prometheus_now
    )
    if found := vetoes(decision, context):
        reason = "; ".join(f"{guard}: {why}" for guard, why in found)
        return Settled(State.VETOED, reason, found)
    return pod


def _after_intent(settled: Settled) -> Settled:
    """Once intended, a veto means that the world moved on: superseded."""
    return replace(settled, state=State.SUPERSEDED) if settled.state is State.VETOED else settled


def _write(applier: Applier, decision: Decision, pod: Workload, *, dry_run: bool) -> None:
    patch = CHANNELS[decision.action.channel].patch(decision, pod)
    api.patch_pod(applier.client, pod.namespace, pod.name, patch, dry_run=dry_run)


def _give_up(applier: Applier, decision: Decision, trouble: Exception | None) -> Decision:
    """Expired only when a last read shows that it did not happen."""
    try:
        judged = _judge(applier, decision)
    except (Unanswered, Unreadable) as still:
        return replace(decision, reason=str(still))
    if isinstance(judged, Settled):
        return _settle(applier, decision, _after_intent(judged))
    limit = f"{applier.policy.attempts} attempts and {applier.policy.deadline_seconds:g} s"
    reason = f"not carried out within {limit}: {trouble}"
    return _settle(applier, decision, Settled(State.EXPIRED, reason))


def _settle(applier: Applier, decision: Decision, settled: Settled) -> Decision:
    return applier.journal.transition(
        decision.id,
        settled.state,
        actor=applier.actor,
        at=applier.clock.now(),
        reason=settled.reason,
        vetoes=settled.vetoes,
    )
