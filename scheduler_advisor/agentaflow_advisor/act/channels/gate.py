"""The scheduling-gate channel: one patch takes our gate off a pod and sends it to the chosen node.

Kubernetes lets a gate only be removed and a nodeSelector or required affinity only be added to
(KEP-3521, KEP-3838), so what is done stays done; the kube-scheduler still has the last word on
whether the pod fits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lightkube import Client
from lightkube.resources.core_v1 import Pod

from agentaflow_advisor.act import api
from agentaflow_advisor.act.channels.channel import Channel
from agentaflow_advisor.act.facts import node_and_pods, read_pod
from agentaflow_advisor.act.precondition import marked, marker_settles
from agentaflow_advisor.decide.guards import Context
from agentaflow_advisor.decide.guards.pods import (
    gang_whole,
    node_has_room,
    node_usable,
    pod_gated,
)
from agentaflow_advisor.model import (
    Action,
    Decision,
    PlacePod,
    Settled,
    State,
    Target,
    Verification,
    Workload,
)
from agentaflow_advisor.model.names import HOSTNAME


def settled(action: PlacePod, decision: Decision, target: Target) -> Settled | None:
    if found := marker_settles(action, decision, target):
        return found
    if target.pod and action.gate not in target.pod.gates:
        reason = f"someone else took gate {action.gate} off pod {target.ref}"
        return Settled(State.SUPERSEDED, reason)
    return None


def write(
    client: Client, action: PlacePod, decision: Decision, target: Target, dry_run: bool
) -> None:
    pod = target.pod
    others = [{"name": gate} for gate in (pod.gates if pod else ()) if gate != action.gate]
    patch = marked(decision, target)
    patch["spec"] = {"schedulingGates": others or None, **_pin(action, target)}
    api.patch(client, Pod, target, patch, dry_run=dry_run)


def _pin(action: PlacePod, target: Target) -> Mapping[str, object]:
    """The node's host name as nodeSelector, or as an affinity beside the rules that are there."""
    if action.how == "node-selector":
        return {"nodeSelector": {HOSTNAME: action.hostname}}
    there = _node_affinity(target)
    term = {"key": HOSTNAME, "operator": "In", "values": [action.hostname]}
    if action.how == "preference":
        preferred = "preferredDuringSchedulingIgnoredDuringExecution"
        ours = {"weight": 100, "preference": {"matchExpressions": [term]}}
        rules = {**there, preferred: [*there.get(preferred, ()), ours]}
    else:
        required = "requiredDuringSchedulingIgnoredDuringExecution"
        terms = there.get(required, {}).get("nodeSelectorTerms") or [{}]
        pinned = [
            {**one, "matchExpressions": [*one.get("matchExpressions", ()), term]} for one in terms
        ]
        rules = {**there, required: {"nodeSelectorTerms": pinned}}
    return {"affinity": {"nodeAffinity": rules}}


def _node_affinity(target: Target) -> dict[str, Any]:
    spec = target.object.to_dict().get("spec", {}) if target.object is not None else {}
    rules: dict[str, Any] = spec.get("affinity", {}).get("nodeAffinity", {})
    return rules


def gather(client: Client, action: Action, _: Target, context: Context) -> Context:
    return node_and_pods(client, action.node, context)


def verify(client: Client, action: PlacePod, decision: Decision) -> Verification:
    """Was the pod bound where the decision said; a preference is kept by any node."""
    found = verify_bound(client, action, decision)
    if found.state is State.FAILED and action.how == "preference":
        return replace(found, state=State.VERIFIED)
    return found


def verify_bound(client: Client, action: Action, decision: Decision) -> Verification:
    """Was the pod bound to the node of the decision."""
    found = read_pod(client, action)
    where = f"pod {action.ref}"
    pod: Workload | None = found.pod if isinstance(found, Target) else None
    if pod is None or pod.uid != action.uid:
        return Verification(State.SUPERSEDED, f"{where} was gone before it was seen bound")
    if pod.node is None:
        return Verification(decision.state, f"{where} is not bound yet")
    if pod.node != action.node:
        return Verification(State.FAILED, f"{where} was bound to {pod.node}, not {action.node}")
    return Verification(State.VERIFIED, f"{where} was bound to {pod.node}")


SCHEDULING_GATE = Channel(
    action=PlacePod,
    does=(
        "one patch takes the gate `agentaflow.io/placement` off a pod and pins it to the chosen "
        "node by `nodeSelector`, or by node affinity; kube-scheduler binds it"
    ),
    needs=("get pods", "list pods", "patch pods"),
    guards=(pod_gated, gang_whole, node_usable, node_has_room),
    read=read_pod,
    settled=settled,
    write=write,
    awaits="to be bound",
    verify=verify,
    gather=gather,
)
