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

from agentaflow_advisor.act.channels import CHANNELS
from agentaflow_advisor.act.errors import (
    ApiTrouble,
    Conflict,
    Following,
    OverBudget,
    Rejected,
    Unanswered,
    Unreadable,
)
from agentaflow_advisor.act.facts import stopped, surroundings
from agentaflow_advisor.act.points import Point
from agentaflow_advisor.decide.approval import overdue
from agentaflow_advisor.decide.errors import WrongState
from agentaflow_advisor.decide.guards import EVERYWHERE, PACING, Context, vetoes
from agentaflow_advisor.decide.guards.pacing import HOUR
from agentaflow_advisor.decide.journal import Journal
from agentaflow_advisor.decide.policy import Policy
from agentaflow_advisor.model import Decision, Settled, State, Target

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 5.0
LONGEST_RETRY_AFTER_SECONDS = 10.0  # what the API server asks for is kept up to here
BUDGET_TRIES = 3  # of an eviction that a PodDisruptionBudget refuses


@dataclass(frozen=True, slots=True)
class Clock:
    """Time as this room uses it; tests bring their own."""

    now: Callable[[], float] = time.time  # seconds since the epoch
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


def _leading() -> str | None:
    return None


def _unwatched(_: Point) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Applier:
    """All that carrying decisions out needs. `prometheus_now` may raise ObserveError."""

    journal: Journal
    client: Client
    policy: Policy
    prometheus_now: Callable[[], float]  # seconds since the epoch, Prometheus' clock
    actor: str = "agentaflow"
    clock: Clock = field(default_factory=Clock)
    follower: Callable[[], str | None] = _leading  # why another process is the one that acts
    reached: Callable[[Point], None] = _unwatched  # told of each point that is passed


def apply_decision(applier: Applier, decision: Decision) -> Decision:
    """Carry out an approved decision, or go on with an intended one; its new state is the answer.

    Where the API server cannot be read, or a guard of pace holds it back, the state stays, `reason`
    says why, and a later call or recover() goes on. Raises JournalError: WrongState where it is not
    approved.
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


def revert(applier: Applier, decision: Decision, reason: str) -> Decision:
    """Take an applied or verified decision back. The state stays where the API did not answer.

    Raises JournalError: WrongState where there is nothing to take back, or nothing that could.
    """
    with applier.journal.acting():
        decision = applier.journal.get(decision.id)
        channel = CHANNELS[decision.action.channel]
        if channel.undo is None:
            raise WrongState(f"decision {decision.id}: {channel.name} cannot be taken back")
        if decision.state not in (State.APPLIED, State.VERIFIED):
            raise WrongState(
                f"decision {decision.id} is {decision.state}, so there is nothing to take back"
            )
        try:
            if why := stopped(applier.client, applier.policy.namespace) or applier.follower():
                return replace(decision, reason=why)
            applier.reached(Point.BEFORE_UNDO)
            undone = channel.undo(applier.client, decision.action, decision)
        except ApiTrouble as trouble:
            return replace(decision, reason=str(trouble))
        applier.reached(Point.AFTER_UNDO)
        return _settle(applier, decision, replace(undone, reason=f"{reason}: {undone.reason}"))


def _intend(applier: Applier, decision: Decision) -> Decision:
    """Judged before it is intended, so that a veto leaves no trace of an intent."""
    if reason := overdue(decision, applier.policy, applier.clock.now()):
        return _settle(applier, decision, Settled(State.EXPIRED, reason))
    try:
        judged = _judge(applier, decision)
    except (Unanswered, Unreadable) as trouble:
        return replace(decision, reason=str(trouble))
    if isinstance(judged, Settled):
        if judged.state is not State.APPLIED:
            return _settle(applier, decision, judged)
    elif held := vetoes(decision, judged, PACING):
        return replace(decision, reason=f"waits: {_reasons(held)}")
    applier.reached(Point.BEFORE_INTENT)
    intended = _settle(applier, decision, Settled(State.INTENDED, ""))
    applier.reached(Point.AFTER_INTENT)
    return intended


def _carry_out(applier: Applier, decision: Decision) -> Decision:
    """Read, judge, rehearse, write; again while nobody can tell whether it happened."""
    pause = FIRST_PAUSE_SECONDS
    rehearsed = False
    trouble: ApiTrouble | None = None
    refusals = 0
    for _ in _attempts(applier):
        try:
            judged = _judge(applier, decision)
            if isinstance(judged, Settled):
                return _settle(applier, decision, _after_intent(decision, judged, trouble))
            if not rehearsed:
                _write(applier, decision, judged.target, dry_run=True)
                rehearsed = True
                applier.reached(Point.AFTER_REHEARSAL)
                if stop := _still_ours(applier):
                    return _settle(applier, decision, _after_intent(decision, stop))
            _write(applier, decision, judged.target, dry_run=False)
            applier.reached(Point.AFTER_WRITE)
            return _settle(
                applier, decision, Settled(State.APPLIED, "the API server took the change")
            )
        except Conflict as conflict:
            trouble = conflict  # judged anew on what is there now, never pushed through
        except Unanswered as silence:
            trouble = silence
            _wait(applier, silence.retry_after_seconds, pause)
            pause *= 2
        except OverBudget as refusal:
            trouble, refusals = refusal, refusals + 1
            if refusals == BUDGET_TRIES or refusal.retry_after_seconds is None:
                return _refused(applier, decision, refusal)
            _wait(applier, refusal.retry_after_seconds, pause)
        except Rejected as refusal:
            return _refused(applier, decision, refusal)
        except Unreadable as refusal:
            return replace(decision, reason=str(refusal))
    return _give_up(applier, decision, trouble)


def _still_ours(applier: Applier) -> Settled | None:
    """The lease and the kill switch, right before the write. Raises Following, Unanswered."""
    if why := applier.follower():
        raise Following(why)
    if why := stopped(applier.client, applier.policy.namespace):
        return Settled(State.VETOED, f"kill_switch: {why}", (("kill_switch", why),))
    return None


def _wait(applier: Applier, asked_seconds: float | None, pause_seconds: float) -> None:
    """As long as the API server asked for, or as the attempts before suggest; both bounded."""
    if asked_seconds is not None:
        applier.clock.sleep(min(asked_seconds, LONGEST_RETRY_AFTER_SECONDS))
    else:
        applier.clock.sleep(min(pause_seconds, LONGEST_PAUSE_SECONDS))


def _refused(applier: Applier, decision: Decision, refusal: Rejected | OverBudget) -> Decision:
    """Failed, unless the object says that an earlier attempt went through after all."""
    try:
        judged = _judge(applier, decision)
    except (Unanswered, Unreadable) as still:
        return replace(decision, reason=str(still))
    if isinstance(judged, Settled) and judged.state is State.APPLIED:
        return _settle(applier, decision, judged)
    return _settle(applier, decision, Settled(State.FAILED, str(refusal)))


def _attempts(applier: Applier) -> Iterator[None]:
    deadline = applier.clock.monotonic() + applier.policy.deadline_seconds
    for _ in range(applier.policy.attempts):
        yield
        if applier.clock.monotonic() >= deadline:
            return


def _judge(applier: Applier, decision: Decision) -> Context | Settled:
    """The facts, with the object as it is now, if the write may go out; else what became of it.

    Raises Unanswered or Unreadable: then nothing is known, and nothing ends.
    """
    if why := applier.follower():
        raise Following(why)
    channel, client = CHANNELS[decision.action.channel], applier.client
    target = channel.read(client, decision.action)
    if isinstance(target, Settled):
        return target
    if settled := channel.settled(decision.action, decision, target):
        return settled
    now = applier.clock.now()
    context = Context(
        policy=applier.policy,
        target=target,
        now=now,
        recent=applier.journal.carried_out_since(now - HOUR, but=decision.id),
        agreed=applier.journal.agreed(),
    )
    context = channel.gather(client, decision.action, target, context)
    context = surroundings(client, context, applier.prometheus_now)
    # the kill switch is read last, nearest to the write
    context = replace(context, stopped=stopped(client, applier.policy.namespace))
    if found := vetoes(decision, context, (*EVERYWHERE, *channel.guards)):
        return Settled(State.VETOED, _reasons(found), found)
    applier.reached(Point.AFTER_JUDGEMENT)
    return context


def _reasons(found: tuple[tuple[str, str], ...]) -> str:
    return "; ".join(f"{guard}: {why}" for guard, why in found)


def _after_intent(
    decision: Decision, settled: Settled, trouble: ApiTrouble | None = None
) -> Settled:
    """Once intended, a veto means that the world moved on: superseded.

    But where a budget has refused already, that is why it failed: our guard only sees it by now.
    """
    if settled.state is State.VETOED:
        if isinstance(trouble, OverBudget):
            return replace(settled, state=State.FAILED, reason=str(trouble))
        return replace(settled, state=State.SUPERSEDED)
    return CHANNELS[decision.action.channel].gone_after_intent(decision.action, settled)


def _write(applier: Applier, decision: Decision, target: Target, *, dry_run: bool) -> None:
    channel = CHANNELS[decision.action.channel]
    channel.write(applier.client, decision.action, decision, target, dry_run)


def _give_up(applier: Applier, decision: Decision, trouble: ApiTrouble | None) -> Decision:
    """Expired only when a last read shows that it did not happen."""
    try:
        judged = _judge(applier, decision)
    except (Unanswered, Unreadable) as still:
        return replace(decision, reason=str(still))
    if isinstance(judged, Settled):
        return _settle(applier, decision, _after_intent(decision, judged))
    limit = f"{applier.policy.attempts} attempts and {applier.policy.deadline_seconds:g} s"
    reason = f"not carried out within {limit}: {trouble}"
    return _settle(applier, decision, Settled(State.EXPIRED, reason))


def _settle(applier: Applier, decision: Decision, settled: Settled) -> Decision:
    applier.reached(Point.BEFORE_SETTLING)
    settled_as = applier.journal.transition(
        decision.id,
        settled.state,
        actor=applier.actor,
        at=applier.clock.now(),
        reason=settled.reason,
        vetoes=settled.vetoes,
    )
    applier.reached(Point.AFTER_SETTLING)
    return settled_as
