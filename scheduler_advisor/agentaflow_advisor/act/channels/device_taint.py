"""The device-taint channel: a DeviceTaintRule for one sick device, where resource.k8s.io serves it.

First with effect None: its status then tells what NoSchedule would keep away, a rehearsal by the
server itself (KEP-5055). NoExecute, which ignores disruption budgets, is never used.
"""

from __future__ import annotations

from typing import Any

from lightkube import Client
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.models.resource_v1 import DeviceTaint, DeviceTaintRuleSpec, DeviceTaintSelector
from lightkube.resources.core_v1 import Node, Pod
from lightkube.resources.resource_v1 import DeviceTaintRule

from agentaflow_advisor.act import api
from agentaflow_advisor.act.channels.channel import Channel
from agentaflow_advisor.act.facts import kept_out, target
from agentaflow_advisor.act.precondition import marked, unmarked
from agentaflow_advisor.model import (
    Decision,
    Settled,
    State,
    TaintDevice,
    Target,
    Verification,
)
from agentaflow_advisor.model.names import DECISION, FIELD_MANAGER, REVERTED, SICK
from agentaflow_advisor.observe import kubernetes

NO_DEVICES = "cannot allocate all claims"  # kube-scheduler, plugin DynamicResources


def read(client: Client, action: TaintDevice) -> Target | Settled:
    """The rule, or the place where it would be; the device's node says whether it opted in."""
    node = api.read(lambda: client.get(Node, action.node))
    if node is None or node.metadata is None:
        return Settled(State.SUPERSEDED, "the node of the device is gone", gone=True)
    labels = node.metadata.labels or {}
    rule = _rule(client, action)
    if rule is None:
        return Target("DeviceTaintRule", "", action.name, action.uid, "", labels=labels)
    meta = rule.metadata or ObjectMeta()
    there = target("DeviceTaintRule", rule, spec_hash="")
    return Target(
        "DeviceTaintRule",
        "",
        action.name,
        meta.uid or "",
        there.resource_version,
        labels=labels,
        annotations=there.annotations,
        deleting=there.deleting,
        object=rule,
    )


def _rule(client: Client, action: TaintDevice) -> DeviceTaintRule | None:
    return api.read(lambda: client.get(DeviceTaintRule, action.name))


def settled(action: TaintDevice, decision: Decision, target: Target) -> Settled | None:
    marker = target.annotations.get(DECISION)
    if marker == decision.id:
        return Settled(State.APPLIED, f"{target.described} carries this decision's id")
    if marker != action.marker:
        reason = f"{target.described} was changed by decision {marker}"
        return Settled(State.SUPERSEDED, reason)
    return None


def write(
    client: Client, action: TaintDevice, decision: Decision, target: Target, dry_run: bool
) -> None:
    if target.object is not None:
        patch = marked(decision, target)
        patch["spec"] = {"taint": {"effect": action.effect}}
        api.patch(client, DeviceTaintRule, target, patch, dry_run=dry_run)
        return
    rule = DeviceTaintRule(
        metadata=ObjectMeta(name=action.name, annotations={DECISION: decision.id}),
        spec=DeviceTaintRuleSpec(
            deviceSelector=DeviceTaintSelector(
                driver=action.driver, pool=action.pool, device=action.device
            ),
            taint=DeviceTaint(key=SICK, value=decision.strategy, effect=action.effect),
        ),
    )
    api.write(lambda: client.create(rule, field_manager=FIELD_MANAGER, dry_run=dry_run))


def verify(client: Client, action: TaintDevice, _: Decision) -> Verification:
    rule = _rule(client, action)
    if rule is None or _taint(rule).effect != action.effect:
        return Verification(State.FAILED, f"DeviceTaintRule {action.name} is not as decided")
    conditions: Any = (rule.status.conditions if rule.status else None) or ()
    told = "; ".join(one.message for one in conditions if one.message)
    where = f"device {action.driver}/{action.pool}/{action.device} has effect {action.effect}"
    return Verification(State.VERIFIED, f"{where}: {told}" if told else where)


def _taint(rule: DeviceTaintRule) -> Any:
    return rule.spec.taint


def harm(client: Client, action: TaintDevice, patience_seconds: float) -> str | None:
    """A pod whose claims find no device anywhere, on a node where it could run but for that."""
    seen = api.read(lambda: client.get(Node, action.node))
    if action.effect == "None" or seen is None:
        return None
    return kept_out(client, kubernetes.node(seen), patience_seconds, _lacks_devices)


def _lacks_devices(pod: Pod) -> bool:
    """By kube-scheduler's own word."""
    conditions = (pod.status.conditions if pod.status else None) or ()
    claims = bool(pod.spec and pod.spec.resourceClaims)
    return claims and any(NO_DEVICES in (one.message or "") for one in conditions)


def undo(client: Client, action: TaintDevice, decision: Decision) -> Settled:
    """Without effect, if it is still as this decision left it; the rule itself stays."""
    rule = _rule(client, action)
    if rule is None or rule.metadata is None:
        return Settled(State.REVERTED, f"DeviceTaintRule {action.name} is gone")
    notes = rule.metadata.annotations or {}
    if notes.get(REVERTED) == decision.id:
        return Settled(State.REVERTED, f"DeviceTaintRule {action.name} has effect None")
    if notes.get(DECISION) != decision.id:
        reason = f"DeviceTaintRule {action.name} was changed by someone else since"
        return Settled(State.SUPERSEDED, reason)
    there = target("DeviceTaintRule", rule, spec_hash="")
    patch = unmarked(decision, there)
    patch["spec"] = {"taint": {"effect": "None"}}
    api.patch(client, DeviceTaintRule, there, patch, dry_run=False)
    return Settled(State.REVERTED, f"DeviceTaintRule {action.name} has effect None")


DEVICE_TAINT = Channel(
    action=TaintDevice,
    does=(
        "makes a DeviceTaintRule for one sick device, first with effect None, whose status tells "
        "what NoSchedule would keep away"
    ),
    needs=(
        "get nodes",
        "get devicetaintrules",
        "create devicetaintrules",
        "patch devicetaintrules",
        "list pods",
    ),
    guards=(),
    read=read,
    settled=settled,
    write=write,
    verify=verify,
    harm=harm,
    undo=undo,
)
