"""The admission-check channel: answers our AdmissionCheck on a Kueue Workload, where Kueue runs.

Ready lets Kueue start the job; podSetUpdates send its pods to the chosen node. Retry takes that
back: Kueue evicts the Workload and asks again.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from lightkube import Client
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import Pod

from agentaflow_advisor.act import api
from agentaflow_advisor.act.channels.channel import Channel
from agentaflow_advisor.act.facts import in_trouble, node_and_pods, target
from agentaflow_advisor.act.precondition import marked
from agentaflow_advisor.decide.guards import Context
from agentaflow_advisor.decide.guards.pods import node_has_room, node_usable
from agentaflow_advisor.model import (
    AdmitWorkload,
    Decision,
    Settled,
    State,
    Target,
    Verification,
)
from agentaflow_advisor.model.names import CHECK, CONTROLLER, HOSTNAME
from agentaflow_advisor.observe import kueue

ACTIVE = "Active"  # the condition by which Kueue knows that somebody answers a check


def read(client: Client, action: AdmitWorkload) -> Target | Settled:
    seen = api.read(lambda: client.get(kueue.WORKLOAD, action.name, namespace=action.namespace))
    if seen is None:
        return Settled(State.SUPERSEDED, "the Workload is gone", gone=True)
    asks = kueue.workload(seen)
    return target("Workload", seen, spec_hash=asks.spec_hash, pod=asks)


def settled(action: AdmitWorkload, decision: Decision, target: Target) -> Settled | None:
    """The marker is the check's own message: status and annotations are not written at once."""
    if target.uid != action.uid:
        reason = f"{target.described} was replaced by another of its name"
        return Settled(State.SUPERSEDED, reason, gone=True)
    check = kueue.check_of(target.object, action.check)
    if check is None:
        return Settled(State.SUPERSEDED, f"{target.described} does not ask for {action.check}")
    if check.get("message") == _message(decision):
        return Settled(State.APPLIED, f"{target.described} carries this decision's id")
    if check.get("state") not in ("Pending", "Retry"):
        reason = f"{action.check} of {target.described} was answered by someone else"
        return Settled(State.SUPERSEDED, reason)
    return None


def _message(decision: Decision) -> str:
    return f"agentaflow.io/decision {decision.id}"


def write(
    client: Client, action: AdmitWorkload, decision: Decision, target: Target, dry_run: bool
) -> None:
    updates = [
        {"name": one["name"], "nodeSelector": {HOSTNAME: action.hostname}}
        for one in target.object["spec"]["podSets"]
        if action.hostname
    ]
    answer = _answered("Ready", _message(decision))
    answer |= {"podSetUpdates": updates} if updates else {}
    _answer(client, action, decision, target, answer, dry_run)


def _answered(state: str, message: str) -> dict[str, Any]:
    return {"state": state, "message": message, "lastTransitionTime": _now()}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _answer(
    client: Client,
    action: AdmitWorkload,
    decision: Decision,
    target: Target,
    answer: dict[str, Any],
    dry_run: bool,
) -> None:
    """The list is written whole, under the resourceVersion that it was read at."""
    checks = [
        {**one, **answer} if one["name"] == action.check else one
        for one in target.object["status"]["admissionChecks"]
    ]
    patch = marked(decision, target)
    del patch["metadata"]["annotations"]  # a status write takes none
    patch["status"] = {"admissionChecks": checks}
    api.patch(client, kueue.WORKLOAD.Status, target, patch, dry_run=dry_run)


def gather(client: Client, action: AdmitWorkload, _: Target, context: Context) -> Context:
    return node_and_pods(client, action.node, context)


def verify(client: Client, action: AdmitWorkload, decision: Decision) -> Verification:
    """Has Kueue admitted it."""
    found = read(client, action)
    where = f"Workload {action.ref}"
    if isinstance(found, Settled) or found.uid != action.uid:
        return Verification(State.SUPERSEDED, f"{where} was gone before it was admitted")
    conditions = (found.object.get("status") or {}).get("conditions") or ()
    if any(one.get("type") == "Admitted" and one.get("status") == "True" for one in conditions):
        return Verification(State.VERIFIED, f"{where} was admitted")
    return Verification(decision.state, f"{where} is not admitted yet")


def harm(client: Client, action: AdmitWorkload, patience_seconds: float) -> str | None:
    """Pods of it that found no place where they were sent, or that crash again and again.

    They are owned by what owns the Workload, or are that themselves.
    """
    seen = read(client, action)
    if isinstance(seen, Settled) or seen.uid != action.uid:
        return None
    owners = {one.uid for one in seen.object.metadata.ownerReferences or ()}
    listed = api.read(lambda: tuple(client.list(Pod, namespace=action.namespace)))
    ours = (pod for pod in listed or () if owners & _uids(pod))
    return next((why for pod in ours if (why := in_trouble(pod, patience_seconds))), None)


def _uids(pod: Pod) -> set[str]:
    meta = pod.metadata or ObjectMeta()
    return {meta.uid or "", *(one.uid for one in meta.ownerReferences or ())}


def undo(client: Client, action: AdmitWorkload, decision: Decision) -> Settled:
    found = read(client, action)
    if isinstance(found, Settled):
        return found
    check = kueue.check_of(found.object, action.check) or {}
    taken_back = f"{_message(decision)} was taken back"
    if check.get("message") != taken_back:
        if check.get("message") != _message(decision):
            reason = f"{found.described} was changed by someone else since"
            return Settled(State.SUPERSEDED, reason)
        answer = _answered("Retry", taken_back)
        _answer(client, action, decision, found, answer, dry_run=False)
    return Settled(State.REVERTED, f"{found.described} is asked to try again")


def activate(client: Client) -> None:
    """Tell Kueue that our check is answered: a ClusterQueue whose check is not Active admits none.

    Nothing where there is no AdmissionCheck of ours. Raises ApiTrouble.
    """
    seen = api.read(lambda: client.get(kueue.ADMISSION_CHECK, CHECK))
    if seen is None or seen["spec"].get("controllerName") != CONTROLLER:
        return
    conditions = (seen.get("status") or {}).get("conditions") or []
    if any(one["type"] == ACTIVE and one["status"] == "True" for one in conditions):
        return
    active = {
        "type": ACTIVE,
        "status": "True",
        "reason": ACTIVE,
        "message": "AgentaFlow's channel admission-check is on",
        "lastTransitionTime": _now(),
    }
    found = target("AdmissionCheck", seen, spec_hash="")
    others = [one for one in conditions if one["type"] != ACTIVE]
    precondition = {"uid": found.uid, "resourceVersion": found.resource_version}
    patch = {"metadata": precondition, "status": {"conditions": [*others, active]}}
    api.patch(client, kueue.ADMISSION_CHECK.Status, found, patch, dry_run=False)


ADMISSION_CHECK = Channel(
    action=AdmitWorkload,
    does="answers our AdmissionCheck on a Kueue Workload with Ready and the node for its pods",
    needs=("get workloads", "patch workloads/status", "list pods"),
    guards=(node_usable, node_has_room),
    read=read,
    settled=settled,
    write=write,
    awaits="to be admitted",
    verify=verify,
    gather=gather,
    harm=harm,
    undo=undo,
)
