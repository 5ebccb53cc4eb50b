"""Guards: each a named function that allows a decision or vetoes it with a reason. Pure.

They judge a Context of facts that were read just now, never what was true when it was proposed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agentaflow_advisor.decide.policy import Policy
from agentaflow_advisor.model import Allow, Decision, Node, Veto, Workload
from agentaflow_advisor.model.names import MANAGED
from agentaflow_advisor.place.capacity import Capacity, occupancy
from agentaflow_advisor.place.feasibility import refusal


@dataclass(frozen=True, slots=True)
class Context:
    """The facts of this moment. None means: could not be told, which never allows."""

    policy: Policy
    pod: Workload
    namespace_labels: Mapping[str, str] | None
    node: Node | None
    others: tuple[Workload, ...]  # at least the pods on the node and those not yet bound
    stopped: str | None  # why the kill switch says stop; None: it is off
    prometheus_now: float | None  # seconds since the epoch, Prometheus' clock


Guard = Callable[[Decision, Context], Allow | Veto]


def kill_switch(_: Decision, context: Context) -> Allow | Veto:
    """The kill switch is off."""
    return _unless(context.stopped is not None, context.stopped or "")


def channel_on(decision: Decision, context: Context) -> Allow | Veto:
    """The channel is switched on in the settings."""
    channel = decision.action.channel
    return _unless(
        channel not in context.policy.channels,
        f"channel {channel} is off; switch it on with --channel {channel}",
    )


def namespace_protected(decision: Decision, context: Context) -> Allow | Veto:
    """The namespace is none of the system's."""
    namespace = decision.action.namespace
    return _unless(
        namespace in context.policy.protected_namespaces,
        f"namespace {namespace} is never acted in",
    )


def namespace_opted_in(decision: Decision, context: Context) -> Allow | Veto:
    """The namespace opted in by its label."""
    namespace = decision.action.namespace
    if context.namespace_labels is None:
        return Veto(f"namespace {namespace} is not there")
    return _unless(
        context.namespace_labels.get(MANAGED) != "true",
        f'namespace {namespace} lacks the label {MANAGED}: "true"',
    )


def pod_opted_in(_: Decision, context: Context) -> Allow | Veto:
    """The pod opted in by its label."""
    return _unless(
        context.pod.labels.get(MANAGED) != "true",
        f'pod {context.pod.ref} lacks the label {MANAGED}: "true"',
    )


def pod_gated(decision: Decision, context: Context) -> Allow | Veto:
    """The pod still waits behind our gate."""
    gate = decision.action.gate
    return _unless(gate not in context.pod.gates, f"pod {context.pod.ref} has no gate {gate}")


def pod_not_deleting(_: Decision, context: Context) -> Allow | Veto:
    """The pod is not being deleted."""
    return _unless(context.pod.deleting, f"pod {context.pod.ref} is being deleted")


def pod_unchanged(decision: Decision, context: Context) -> Allow | Veto:
    """The pod's requests and constraints are those that were judged."""
    return _unless(
        context.pod.spec_hash != decision.action.spec_hash,
        f"the requests or constraints of pod {context.pod.ref} changed since it was proposed",
    )


def evidence_fresh(decision: Decision, context: Context) -> Allow | Veto:
    """The evidence is not too old, by Prometheus' own clock."""
    if context.prometheus_now is None:
        return Veto("Prometheus does not tell the time, so the evidence's age is not known")
    evidence, limit = decision.evidence, context.policy.max_evidence_age_seconds
    age = context.prometheus_now - evidence.evaluated_at + evidence.newest_age_seconds
    if age < -limit:
        return Veto(f"the evidence is {-age:.0f} s in Prometheus' future")
    return _unless(age > limit, f"the evidence is {age:.0f} s old, the limit is {limit:g} s")


def node_usable(decision: Decision, context: Context) -> Allow | Veto:
    """The node is there, ready, not cordoned, and fits the pod's constraints."""
    node, action = context.node, decision.action
    if node is None:
        return Veto(f"node {action.node} is gone")
    if node.hostname != action.hostname:
        return Veto(f"node {node.name} has the host name {node.hostname} now")
    reason = refusal(context.pod, node)
    return _unless(reason is not None, f"node {node.name}: {reason}")


def node_has_room(decision: Decision, context: Context) -> Allow | Veto:
    """The node has room beside what is bound there or sent there."""
    node, pod = context.node, context.pod
    if node is None:
        return Veto(f"node {decision.action.node} is gone")
    others = (workload for workload in context.others if workload.uid != pod.uid)
    free = occupancy((node,), others, held={}).free[node.name]
    reason = free.shortage(Capacity.of_workload(pod))
    return _unless(reason is not None, f"node {node.name}: {reason}")


GUARDS: tuple[Guard, ...] = (
    kill_switch,
    channel_on,
    namespace_protected,
    namespace_opted_in,
    pod_opted_in,
    pod_gated,
    pod_not_deleting,
    pod_unchanged,
    evidence_fresh,
    node_usable,
    node_has_room,
)


def vetoes(
    decision: Decision, context: Context, guards: tuple[Guard, ...] = GUARDS
) -> tuple[tuple[str, str], ...]:
    """(guard's name, reason) of each that forbids it; all are asked, none hides another."""
    answers = ((guard.__name__, guard(decision, context)) for guard in guards)
    return tuple((name, answer.reason) for name, answer in answers if isinstance(answer, Veto))


def _unless(forbidden: bool, reason: str) -> Allow | Veto:
    return Veto(reason) if forbidden else Allow()
