"""Guards of every channel: switched on, opted in, not stopped, unchanged, on fresh evidence."""

from __future__ import annotations

from agentaflow_advisor.decide.guards.context import Context, Guard, unless
from agentaflow_advisor.model import Allow, Decision, Veto
from agentaflow_advisor.model.names import MANAGED
from agentaflow_advisor.place import STRATEGIES


def kill_switch(_: Decision, context: Context) -> Allow | Veto:
    """The kill switch is off."""
    return unless(context.stopped is not None, context.stopped or "")


def channel_on(decision: Decision, context: Context) -> Allow | Veto:
    """The channel is switched on in the settings."""
    channel = decision.action.channel
    return unless(
        channel not in context.policy.channels,
        f"channel {channel} is off; switch it on with --channel {channel}",
    )


def namespace_protected(decision: Decision, context: Context) -> Allow | Veto:
    """The namespace is none of the system's."""
    namespace = decision.action.namespace
    return unless(
        namespace in context.policy.protected_namespaces,
        f"namespace {namespace} is never acted in",
    )


def namespace_opted_in(decision: Decision, context: Context) -> Allow | Veto:
    """The namespace opted in by its label, where the object is in one."""
    namespace = decision.action.namespace
    if not namespace:
        return Allow()
    if context.namespace_labels is None:
        return Veto(f"namespace {namespace} is not there")
    return unless(
        context.namespace_labels.get(MANAGED) != "true",
        f'namespace {namespace} lacks the label {MANAGED}: "true"',
    )


def target_opted_in(_: Decision, context: Context) -> Allow | Veto:
    """The object itself opted in by its label."""
    return unless(
        context.target.labels.get(MANAGED) != "true",
        f'{context.target.described} lacks the label {MANAGED}: "true"',
    )


def target_not_deleting(_: Decision, context: Context) -> Allow | Veto:
    """The object is not being deleted."""
    return unless(context.target.deleting, f"{context.target.described} is being deleted")


def target_unchanged(decision: Decision, context: Context) -> Allow | Veto:
    """What the judgement rests on is as it was: requests and constraints, or labels and taints."""
    return unless(
        context.target.spec_hash != decision.action.spec_hash,
        f"what {context.target.described} asks for changed since it was proposed",
    )


def evidence_fresh(decision: Decision, context: Context) -> Allow | Veto:
    """The evidence is not too old, by Prometheus' own clock."""
    if context.prometheus_now is None:
        return Veto("Prometheus does not tell the time, so the evidence's age is not known")
    evidence, limit = decision.evidence, context.policy.max_evidence_age_seconds
    age = context.prometheus_now - evidence.evaluated_at + evidence.newest_age_seconds
    if age < -limit:
        return Veto(f"the evidence is {-age:.0f} s in Prometheus' future")
    # not the other way round: nothing compares with NaN
    return unless(not age <= limit, f"the evidence is {age:.0f} s old, the limit is {limit:g} s")


def evidence_enough(decision: Decision, context: Context) -> Allow | Veto:
    """What rests on metrics has samples enough; a strategy that needs none rests on requests."""
    strategy = STRATEGIES.get(decision.strategy)
    if strategy is not None and not strategy.needs:
        return Allow()
    samples, least = decision.evidence.samples, context.policy.min_evidence_samples
    return unless(samples < least, f"the evidence is {samples} samples, {least} are needed")


EVERYWHERE: tuple[Guard, ...] = (
    kill_switch,
    channel_on,
    namespace_protected,
    namespace_opted_in,
    target_opted_in,
    target_not_deleting,
    target_unchanged,
    evidence_fresh,
    evidence_enough,
)
