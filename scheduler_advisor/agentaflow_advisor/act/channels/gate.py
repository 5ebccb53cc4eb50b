"""The scheduling-gate channel: one patch takes our gate off a pod and pins it to the chosen node.

Kubernetes lets a gate only be removed and a nodeSelector only be added to (KEP-3521, KEP-3838), so
what is done stays done; the kube-scheduler still has the last word on whether the pod fits.
"""

from __future__ import annotations

from collections.abc import Mapping

from agentaflow_advisor.act.channels.channel import Channel, Settled
from agentaflow_advisor.model import Decision, PlacePod, State, Workload
from agentaflow_advisor.model.names import DECISION, HOSTNAME


def settled(decision: Decision, pod: Workload) -> Settled | None:
    """What the pod itself says; None where the patch may still be sent."""
    action, marker = decision.action, pod.annotations.get(DECISION)
    if pod.uid != action.uid:
        return Settled(State.SUPERSEDED, f"pod {pod.ref} was replaced by another of its name")
    if marker == decision.id:
        return Settled(State.APPLIED, f"pod {pod.ref} carries this decision's id")
    if marker != action.marker:
        return Settled(State.SUPERSEDED, f"pod {pod.ref} was placed by decision {marker}")
    if action.gate not in pod.gates:
        return Settled(State.SUPERSEDED, f"someone else took gate {action.gate} off pod {pod.ref}")
    return None


def patch(decision: Decision, pod: Workload) -> Mapping[str, object]:
    """A merge patch with its own preconditions (uid, resourceVersion) and its own marker."""
    action: PlacePod = decision.action
    others = [{"name": gate} for gate in pod.gates if gate != action.gate]
    return {
        "metadata": {
            "uid": action.uid,
            "resourceVersion": pod.resource_version,
            "annotations": {DECISION: decision.id},
        },
        "spec": {
            "schedulingGates": others or None,
            "nodeSelector": {HOSTNAME: action.hostname},
        },
    }


SCHEDULING_GATE = Channel(
    name=PlacePod.channel,
    reversible=False,
    needs=("get pods", "patch pods"),
    settled=settled,
    patch=patch,
)
