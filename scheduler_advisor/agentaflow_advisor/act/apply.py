"""Carrying decisions out: the one module that writes to a cluster, and writes each decision once.

The journal says `intended` before the first byte goes out. The write carries its precondition
(uid, resourceVersion) and its marker (the decision's id), so whatever was lost on the way, a fresh
read of the object tells whether it happened. Only such a read, or the server's no, ends a decision.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from agentaflow_advisor.act import gangs
from agentaflow_advisor.act.applier import Applier, Clock
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
from agentaflow_advisor.act.facts import stopped
from agentaflow_advisor.act.judgement import judge, judged, look
from agentaflow_advisor.act.points import Point
from agentaflow_advisor.decide.errors import WrongState
from agentaflow_advisor.decide.guards import PACING, reasons, vetoes
from agentaflow_advisor.model import Decision, Settled, State, Target

__all__ = ["Applier", "Clock", "apply_decision", "apply_together", "recover", "revert"]
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 5.0
LONGEST_RETRY_AFTER_SECONDS = 10.0  # what the API server asks for is kept up to here
BUDGET_TRIES = 3  # of an eviction that a PodDisruptionBudget refuses


def apply_decision(applier: Applier, decision: Decision) -> Decision:
    """Carry out an approved decision, or go on with an intended one; its new state is the answer.

    The rest of its gang goes with it. Where the API server cannot be read, or a guard of pace holds
    it back, the state stays, `reason` says why, and a later call or recover() goes on. Raises
    JournalError: WrongState where it is not approved.
    """
    done = apply_together(applier, decision)
    return next(each for each in done if each.id == decision.id)


def apply_together(applier: Applier, decision: Decision) -> tuple[Decision, ...]:
    """The same, and the answer is what became of each of its gang."""
    with applier.journal.acting():
        decision = applier.journal.get(decision.id)
        if decision.state not in (State.APPROVED, State.INTENDED):
            raise WrongState(
                f"decision {decision.id} is {decision.state}, not approved;"
                f" see `agentaflow journal show {decision.id}`"
            )
        return _whole(applier, gangs.fellows(applier.journal, decision))


def recover(applier: Applier) -> tuple[Decision, ...]:
    """Replay every intended decision first: an earlier process may have died on the way."""
    done: dict[str, Decision] = {}
    with applier.journal.acting():
        for decision in applier.journal.list((State.INTENDED,)):
            if decision.id not in done:
                gang = _whole(applier, gangs.fellows(applier.journal, decision))
                done |= {each.id: each for each in gang}
    return tuple(done.values())


def revert(applier: Applier, decision: Decision, reason: str) -> Decision:
    """Take an applied or verified decision back; anew where somebody else wrote in between.

    The state stays where the API did not answer, or others wrote each time, and `reason` says so.
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
        trouble = ""
        for _ in _attempts(applier):
            try:
                if why := stopped(applier.client, applier.policy.namespace) or applier.follower():
                    return replace(decision, reason=why)
                applier.reached(Point.BEFORE_UNDO)
                undone = channel.undo(applier.client, decision.action, decision)
            except Conflict as conflict:
                trouble = str(conflict)  # read and judged anew, never pushed through
            except ApiTrouble as silence:
                return replace(decision, reason=str(silence))
            else:
                applier.reached(Point.AFTER_UNDO)
                return _settle(
                    applier, decision, replace(undone, reason=f"{reason}: {undone.reason}")
                )
        return replace(decision, reason=trouble)


def _whole(applier: Applier, gang: Sequence[Decision]) -> tuple[Decision, ...]:
    """A gang goes whole or not at all, as long as none of it has gone."""
    if len(gang) == 1:
        return (_alone(applier, gang[0]),)
    pause, trouble = FIRST_PAUSE_SECONDS, ""
    for _ in _attempts(applier):
        try:
            ended = _prepare(applier, gang)
        except Conflict as conflict:
            trouble = str(conflict)
        except Unanswered as silence:
            trouble = str(silence)
            applier.clock.sleep(min(silence.retry_after_seconds or pause, LONGEST_PAUSE_SECONDS))
            pause *= 2
        except Unreadable as refusal:
            trouble = str(refusal)
            break
        else:
            return ended or _go(applier, gang)
        gang = [applier.journal.get(each.id) for each in gang]
    return tuple(replace(applier.journal.get(each.id), reason=trouble) for each in gang)


def _prepare(applier: Applier, gang: Sequence[Decision]) -> tuple[Decision, ...]:
    """All judged beside each other, intended and rehearsed; or what became of it instead."""
    looked = [look(applier, each) for each in gang]
    verdicts = [
        facts if isinstance(facts, Settled) else judged(applier, each, facts)
        for each, facts in zip(gang, gangs.beside(gang, looked), strict=True)
    ]
    if ends := gangs.none_goes(gang, verdicts):
        return _end(applier, gang, ends)
    if held := gangs.held_back(gang, verdicts):
        return tuple(replace(each, reason=f"waits: {held}") for each in gang)
    gang = [_intended(applier, each) for each in gang]
    for each, facts in zip(gang, verdicts, strict=True):
        if isinstance(facts, Settled):
            continue  # it has gone already
        try:
            _write(applier, each, facts.target, dry_run=True)
        except (Rejected, OverBudget) as refusal:
            return _end(applier, gang, gangs.refused(gang, each, str(refusal)))
        applier.reached(Point.AFTER_REHEARSAL)
    return ()


def _go(applier: Applier, gang: Sequence[Decision]) -> tuple[Decision, ...]:
    """Each is written; one that was refused all the same says who went without it."""
    now = (applier.journal.get(each.id) for each in gang)
    done = [_carry_out(applier, each, rehearsed=True) for each in now]
    for number, reason in gangs.left_behind(done):
        done[number] = applier.journal.remark(
            done[number].id,
            actor=applier.actor,
            at=applier.clock.now(),
            reason=reason,
            detail={},
        )
    return tuple(done)


def _end(
    applier: Applier, gang: Sequence[Decision], ends: Sequence[Settled]
) -> tuple[Decision, ...]:
    done = []
    for decision, settled in zip(gang, ends, strict=True):
        if settled.state is State.APPLIED:
            decision = _intended(applier, decision)
        if decision.state is State.INTENDED:
            settled = _after_intent(decision, settled)
        done.append(_settle(applier, decision, settled))
    return tuple(done)


def _alone(applier: Applier, decision: Decision) -> Decision:
    if decision.state is State.APPROVED:
        decision = _intend(applier, decision)
    return _carry_out(applier, decision) if decision.state is State.INTENDED else decision


def _intend(applier: Applier, decision: Decision) -> Decision:
    """Judged before it is intended, so that a veto leaves no trace of an intent."""
    try:
        verdict = judge(applier, decision)
    except (Unanswered, Unreadable) as trouble:
        return replace(decision, reason=str(trouble))
    if isinstance(verdict, Settled):
        if verdict.state is not State.APPLIED:
            return _settle(applier, decision, verdict)
    elif held := vetoes(decision, verdict, PACING):
        return replace(decision, reason=f"waits: {reasons(held)}")
    return _intended(applier, decision)


def _intended(applier: Applier, decision: Decision) -> Decision:
    if decision.state is State.INTENDED:
        return decision
    applier.reached(Point.BEFORE_INTENT)
    intended = _settle(applier, decision, Settled(State.INTENDED, ""))
    applier.reached(Point.AFTER_INTENT)
    return intended


def _carry_out(applier: Applier, decision: Decision, *, rehearsed: bool = False) -> Decision:
    """Read, judge, rehearse, write; again while nobody can tell whether it happened."""
    pause = FIRST_PAUSE_SECONDS
    trouble: ApiTrouble | None = None
    refusals = 0
    for _ in _attempts(applier):
        try:
            verdict = judge(applier, decision)
            if isinstance(verdict, Settled):
                return _settle(applier, decision, _after_intent(decision, verdict, trouble))
            if not rehearsed:
                _write(applier, decision, verdict.target, dry_run=True)
                rehearsed = True
                applier.reached(Point.AFTER_REHEARSAL)
                if stop := _still_ours(applier):
                    return _settle(applier, decision, _after_intent(decision, stop))
            _write(applier, decision, verdict.target, dry_run=False)
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
    """Failed, unless the object says that an attempt went through after all, or is gone."""
    try:
        verdict = judge(applier, decision)
    except (Unanswered, Unreadable) as still:
        return replace(decision, reason=str(still))
    if isinstance(verdict, Settled) and (verdict.gone or verdict.state is State.APPLIED):
        return _settle(applier, decision, _after_intent(decision, verdict))
    return _settle(applier, decision, Settled(State.FAILED, str(refusal)))


def _attempts(applier: Applier) -> Iterator[None]:
    deadline = applier.clock.monotonic() + applier.policy.deadline_seconds
    for _ in range(applier.policy.attempts):
        yield
        if applier.clock.monotonic() >= deadline:
            return


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
        verdict = judge(applier, decision)
    except (Unanswered, Unreadable) as still:
        return replace(decision, reason=str(still))
    if isinstance(verdict, Settled):
        return _settle(applier, decision, _after_intent(decision, verdict))
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
