"""Judging a decision on what is true now: its object is read, then the guards are asked."""

from __future__ import annotations

from dataclasses import replace

from agentaflow_advisor.act.applier import Applier
from agentaflow_advisor.act.channels import CHANNELS
from agentaflow_advisor.act.errors import Following
from agentaflow_advisor.act.facts import stopped, surroundings
from agentaflow_advisor.act.points import Point
from agentaflow_advisor.decide.approval import overdue
from agentaflow_advisor.decide.guards import EVERYWHERE, Context, reasons, vetoes
from agentaflow_advisor.decide.guards.pacing import HOUR
from agentaflow_advisor.model import Decision, Settled, State


def judge(applier: Applier, decision: Decision) -> Context | Settled:
    """The facts, with the object as it is now, if the write may go out; else what became of it."""
    context = look(applier, decision)
    return context if isinstance(context, Settled) else judged(applier, decision, context)


def look(applier: Applier, decision: Decision) -> Context | Settled:
    """The facts, with the object as it is now; or what became of it: it may have expired.

    Raises Unanswered or Unreadable: then nothing is known, and nothing ends.
    """
    if reason := overdue(decision, applier.policy, applier.clock.now()):
        return Settled(State.EXPIRED, reason)
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
    return replace(context, stopped=stopped(client, applier.policy.namespace))


def judged(applier: Applier, decision: Decision, context: Context) -> Context | Settled:
    """The facts, if no guard objects to the write."""
    channel = CHANNELS[decision.action.channel]
    if found := vetoes(decision, context, (*EVERYWHERE, *channel.guards)):
        return Settled(State.VETOED, reasons(found), found)
    applier.reached(Point.AFTER_JUDGEMENT)
    return context
