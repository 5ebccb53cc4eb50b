"""Guards of pace: how much is done at a time. What they hold back stays approved, and waits."""

from __future__ import annotations

from collections.abc import Iterable

from agentaflow_advisor.decide.guards.context import Context, Guard, Recent, unless
from agentaflow_advisor.model import Allow, Decision, State, Veto

HOUR = 3600.0
BAD = frozenset({State.FAILED, State.EXPIRED, State.REVERTED})
ONGOING = frozenset({State.INTENDED, State.APPLIED})  # how it ends is not known yet


def cycle_limit(_: Decision, context: Context) -> Allow | Veto:
    """No more decisions are carried out in one cycle than the settings allow."""
    return _below(
        (one for one in context.recent if one.intended_at >= context.policy.cycle_began_at),
        context.policy.max_per_cycle,
        "in this cycle",
    )


def hour_limit(_: Decision, context: Context) -> Allow | Veto:
    """Nor in one hour."""
    return _below(_last_hour(context), context.policy.max_per_hour, "in the last hour")


def node_limit(decision: Decision, context: Context) -> Allow | Veto:
    """Nor on one node in one hour."""
    node = decision.action.node
    if not node:
        return Allow()
    return _below(
        (one for one in _last_hour(context) if one.decision.action.node == node),
        context.policy.max_per_node_per_hour,
        f"on node {node} in the last hour",
    )


def namespace_limit(decision: Decision, context: Context) -> Allow | Veto:
    """Nor in one namespace in one hour."""
    namespace = decision.action.namespace
    if not namespace:
        return Allow()
    return _below(
        (one for one in _last_hour(context) if one.decision.action.namespace == namespace),
        context.policy.max_per_namespace_per_hour,
        f"in namespace {namespace} in the last hour",
    )


def owner_cooldown(decision: Decision, context: Context) -> Allow | Veto:
    """The pods of one controller are disturbed only now and then; placing new ones is no harm."""
    action, pause = decision.action, context.policy.owner_cooldown_seconds
    if not action.owner or action.channel not in context.policy.disturbing:
        return Allow()
    last = max(
        (
            one.intended_at
            for one in context.recent
            if (one.decision.action.namespace, one.decision.action.owner)
            == (action.namespace, action.owner)
            and one.decision.action.channel in context.policy.disturbing
        ),
        default=None,
    )
    if last is None:
        return Allow()
    since = context.now - last
    return unless(
        since < pause, f"{action.owner} was disturbed {since:.0f} s ago, the pause is {pause:g} s"
    )


def circuit_breaker(_: Decision, context: Context) -> Allow | Veto:
    """The newest decisions did not all go wrong: failed, expired under way, or had to be undone."""
    most = context.policy.breaker_failures
    ended = [one for one in _last_hour(context) if one.decision.state not in ONGOING][:most]
    bad = sum(one.decision.state in BAD for one in ended)
    return unless(
        bad >= most, f"the last {most} decisions went wrong; look at `agentaflow journal list`"
    )


PACING: tuple[Guard, ...] = (
    cycle_limit,
    hour_limit,
    node_limit,
    namespace_limit,
    owner_cooldown,
    circuit_breaker,
)


def _last_hour(context: Context) -> list[Recent]:
    return [one for one in context.recent if context.now - one.intended_at < HOUR]


def _below(recent: Iterable[Recent], most: int, where: str) -> Allow | Veto:
    done = sum(1 for _ in recent)
    return unless(done >= most, f"{done} decisions were carried out {where}, the limit is {most}")
