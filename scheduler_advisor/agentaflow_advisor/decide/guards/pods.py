"""Guards of channels that move or end pods: room, gangs, age, replicas and disruption budgets."""

from __future__ import annotations

from collections.abc import Iterable

from agentaflow_advisor.decide.guards.context import Context, unless
from agentaflow_advisor.model import Allow, Decision, Veto, Workload
from agentaflow_advisor.model.names import GATE, SCHEDULER
from agentaflow_advisor.place.capacity import FINISHED, Capacity, occupancy
from agentaflow_advisor.place.feasibility import refusal
from agentaflow_advisor.place.gangs import OF_THE_NODE, gangs, incomplete

MIRROR = "kubernetes.io/config.mirror"  # annotation of a static pod's mirror in the API


def pod_gated(_: Decision, context: Context) -> Allow | Veto:
    """The pod still waits behind our gate."""
    pod = context.target.pod
    return unless(
        pod is None or GATE not in pod.gates, f"{context.target.described} has no gate {GATE}"
    )


def pod_ours_to_bind(_: Decision, context: Context) -> Allow | Veto:
    """The pod names our scheduler, waits behind no gate, and asks for nothing we cannot judge."""
    pod = context.target.pod
    if pod is None or pod.scheduler != SCHEDULER:
        return Veto(f"{context.target.described} has another scheduler")
    if pod.gates:
        return Veto(f"{context.target.described} waits behind gate {pod.gates[0]}")
    return unless(bool(pod.unmodelled), f"it has constraints: {', '.join(pod.unmodelled)}")


def node_usable(decision: Decision, context: Context) -> Allow | Veto:
    """The node is there, ready, not cordoned, and fits the pod's constraints."""
    node, pod, name = context.node, context.target.pod, decision.action.node
    if node is None:
        return Veto(f"node {name} is gone")
    hostname = getattr(decision.action, "hostname", node.hostname)
    if node.hostname != hostname:
        return Veto(f"node {node.name} has the host name {node.hostname} now")
    reason = refusal(pod, node) if pod else "there is no pod to put there"
    return unless(reason is not None, f"node {node.name}: {reason}")


def node_has_room(decision: Decision, context: Context) -> Allow | Veto:
    """The node has room beside what is bound there or sent there, and the rest of its gang."""
    node, pod = context.node, context.target.pod
    if node is None or pod is None:
        return Veto(f"node {decision.action.node} is gone")
    coming = {pod.uid, *(workload.uid for workload in context.together)}
    others = (
        *(workload for workload in context.others if workload.uid not in coming),
        *(workload for workload in context.together if workload.node == node.name),
    )
    free = occupancy((node,), others, held={}).free[node.name]
    reason = free.shortage(Capacity.of_workload(pod))
    return unless(reason is not None, f"node {node.name}: {reason}")


def gang_whole(decision: Decision, context: Context) -> Allow | Veto:
    """Its gang is complete, and what still waits of it is on its way too; or it has no gang."""
    name = context.target.pod.gang if context.target.pod else ""
    members = [pod for pod in context.siblings if name and pod.gang == name]
    if members and (lacking := incomplete(members)) is not None:
        return Veto(f"its gang cannot start: {lacking}")
    return _rest_agreed(decision, context, (pod for pod in members if pod.released_by))


def gang_leaves_whole(decision: Decision, context: Context) -> Allow | Veto:
    """What would restart with it, its gang or its Job's pods, is to be evicted too."""
    running = [pod for pod in context.siblings if pod.phase not in FINISHED and not pod.released_by]
    names = gangs(running)
    name = names.get(context.target.uid)
    return _rest_agreed(
        decision, context, (pod for pod in running if name and names.get(pod.uid) == name)
    )


def _rest_agreed(decision: Decision, context: Context, members: Iterable[Workload]) -> Allow | Veto:
    missing = sorted(
        pod.name
        for pod in members
        if pod.uid != decision.action.uid and pod.uid not in context.agreed
    )
    return unless(bool(missing), f"the rest of its gang is not approved: {', '.join(missing[:3])}")


def pod_of_its_own(_: Decision, context: Context) -> Allow | Veto:
    """No DaemonSet, node or static file makes the pod: those would only make it again."""
    target = context.target
    kind = target.owner.partition("/")[0]
    return unless(
        kind in OF_THE_NODE or MIRROR in target.annotations,
        f"{target.described} belongs to its node",
    )


def pod_old_enough(_: Decision, context: Context) -> Allow | Veto:
    """The pod has had time to show what it does."""
    age, least = context.now - context.target.created_at, context.policy.min_pod_age_seconds
    return unless(
        age < least, f"{context.target.described} is {age:.0f} s old, the least is {least:g} s"
    )


def replicas_enough(_: Decision, context: Context) -> Allow | Veto:
    """Its ReplicaSet or StatefulSet has as many running pods as the settings ask for."""
    owner, least = context.target.owner, context.policy.min_replicas
    if not owner or owner.partition("/")[0] not in ("ReplicaSet", "StatefulSet"):
        return Allow()
    running = sum(
        pod.owner == owner and pod.phase == "Running" and not pod.deleting
        for pod in context.siblings
    )
    return unless(running < least, f"{owner} has {running} running pods, {least} are needed")


def budget_allows(_: Decision, context: Context) -> Allow | Veto:
    """Its PodDisruptionBudgets are known and let it go."""
    pod = context.target.pod
    reason = context.disruptions.objection(pod) if pod else "it is no pod"
    return unless(reason is not None, reason or "")
