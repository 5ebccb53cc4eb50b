"""From recommendations to decisions: which of them a channel can carry out, and on which object."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from agentaflow_advisor.decide.proposal import uuid7
from agentaflow_advisor.model import (
    Action,
    CordonNode,
    Decision,
    Device,
    EvictPod,
    LabelNode,
    Node,
    Recommendation,
    Refusal,
    Snapshot,
    TaintDevice,
    Workload,
)
from agentaflow_advisor.model.actions import CloseBy
from agentaflow_advisor.model.names import DECISION, SICK, SUSPECT
from agentaflow_advisor.place.queue import opted_in

Built = Action | Refusal | None  # None: it is done already
Build = Callable[[Recommendation, "Seen"], Built]


class Seen:
    """The objects of a snapshot by the names that recommendations give."""

    def __init__(
        self, snapshot: Snapshot, devices: Mapping[str, Device], close_by: CloseBy
    ) -> None:
        self.pods = {(pod.namespace, pod.name): pod for pod in snapshot.workloads}
        self.nodes = {node.name: node for node in snapshot.nodes if node.known}
        self.namespaces = snapshot.namespaces
        self.devices = devices  # by the GPU's uuid
        self.close_by: CloseBy = close_by  # how a node is closed


def propose_recommended(
    recommendations: Iterable[Recommendation],
    snapshot: Snapshot,
    channels: Collection[str],
    *,
    now: float,
    devices: Mapping[str, Device] | None = None,
    actor: str = "agentaflow",
    close_by: CloseBy = "taint",
) -> tuple[tuple[Decision, ...], tuple[Refusal, ...]]:
    """A decision for each that a channel of these can carry out; why not, where its object is not
    to be found. Nothing is written: `Journal.add` does that.
    """
    seen = Seen(snapshot, devices or {}, close_by)
    decisions: dict[str, Decision] = {}
    refusals: list[Refusal] = []
    for each in recommendations:
        build = next((BUILD[channel] for channel in _ways(each, seen) if channel in channels), None)
        if build is None:
            continue
        made = build(each, seen)
        if made is None:
            continue
        if isinstance(made, Refusal):
            refusals.append(made)
        elif made.uid not in decisions:
            decisions[made.uid] = Decision(
                uuid7(now),
                now,
                each.kind,
                made,
                each.evidence,
                each.what,
                actor=actor,
                state_at=now,
            )
    return tuple(decisions.values()), tuple(refusals)


def _ways(each: Recommendation, seen: Seen) -> tuple[str, ...]:
    """The channels that would serve, the gentlest that is enough first."""
    if each.kind == "drain-gpu-node":
        device = (TaintDevice.channel,) if each.where.uuid in seen.devices else ()
        return (*device, CordonNode.channel)
    return {
        "idle-gpu": (EvictPod.channel,),
        "reset-gpu": (LabelNode.channel,),
        "check-gpu": (LabelNode.channel,),
    }.get(each.kind, ())


def _evict(each: Recommendation, seen: Seen) -> Built:
    where = each.where
    pod = seen.pods.get((where.namespace, where.pod))
    if pod is None:
        return Refusal(each.id, "which pod of Kubernetes holds the GPU is not known")
    if pod.deleting:
        return None
    if not (opted_in(pod.labels) and opted_in(seen.namespaces.get(pod.namespace, {}))):
        return Refusal(each.id, f"pod {pod.ref} or its namespace has not opted in")
    return EvictPod(
        namespace=pod.namespace,
        name=pod.name,
        uid=pod.uid,
        resource_version=pod.resource_version,
        spec_hash=pod.spec_hash,
        marker=_marker(pod),
        node=pod.node or "",
        owner=pod.owner or "",
    )


def _cordon(each: Recommendation, seen: Seen) -> Built:
    node = _node(each, seen)
    if isinstance(node, Refusal):
        return node
    if not node.schedulable or any(taint.key == SICK for taint in node.taints):
        return None
    return CordonNode(**_at(node), how=seen.close_by)


def _label(each: Recommendation, seen: Seen) -> Built:
    node = _node(each, seen)
    if isinstance(node, Refusal):
        return node
    return None if SUSPECT in node.labels else LabelNode(**_at(node), labels={SUSPECT: each.kind})


def _node(each: Recommendation, seen: Seen) -> Node | Refusal:
    node = seen.nodes.get(each.where.node)
    if node is None:
        return Refusal(each.id, f"Kubernetes knows no node {each.where.node}")
    if not opted_in(node.labels):
        return Refusal(each.id, f"node {node.name} has not opted in")
    return node


def _at(node: Node) -> dict[str, Any]:
    """What every action on a node says of it."""
    return {
        "name": node.name,
        "uid": node.uid,
        "resource_version": node.resource_version,
        "spec_hash": node.spec_hash,
        "marker": _marker(node),
        "node": node.name,
    }


def _taint_device(each: Recommendation, seen: Seen) -> Built:
    """Without effect at first; with it once a rule of ours has told what that would keep away."""
    device = seen.devices[each.where.uuid]
    if device.effect == "NoSchedule":
        return None
    return TaintDevice(
        name=device.rule,
        uid=f"{device.driver}/{device.pool}/{device.name}",
        resource_version="",
        marker=device.marker,
        node=each.where.node,
        driver=device.driver,
        pool=device.pool,
        device=device.name,
        effect="NoSchedule" if device.effect else "None",
    )


def _marker(seen: Workload | Node) -> str | None:
    return seen.annotations.get(DECISION)


BUILD: Mapping[str, Build] = {
    EvictPod.channel: _evict,
    CordonNode.channel: _cordon,
    LabelNode.channel: _label,
    TaintDevice.channel: _taint_device,
}
