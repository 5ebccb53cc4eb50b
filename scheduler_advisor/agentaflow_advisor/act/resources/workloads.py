"""GPUWorkloads: each becomes a suspended Job, which the suspended-job channel places and starts."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, cast

from lightkube import Client
from lightkube.resources.batch_v1 import Job
from lightkube.types import PatchType

from agentaflow_advisor.act.api import UNPARSABLE, read, write
from agentaflow_advisor.act.errors import ApiTrouble, Conflict, Rejected
from agentaflow_advisor.act.resources.kinds import API_VERSION, WORKLOAD
from agentaflow_advisor.model import Refusal
from agentaflow_advisor.model.names import (
    FIELD_MANAGER,
    HOSTNAME,
    MANAGED,
    MIN_GPUS,
    PRODUCT,
    STRATEGY,
)
from agentaflow_advisor.observe.errors import one_line
from agentaflow_advisor.observe.resources import GPU

Body = dict[str, Any]
FINAL = (400, 422)  # what is refused so would be refused again
ENDED = ("Succeeded", "Failed")
LONGEST = 4096
WAITS = "it waits for a place"


def reconcile(client: Client, refusals: Iterable[Refusal] = ()) -> tuple[str, ...]:
    """A Job for each GPUWorkload, and its state; one that fails leaves the others alone.

    `refusals` are of the placement: one that finds no place says why. The answer has a line for
    each whose state could not be read or written. Raises ApiTrouble where they cannot be listed.
    """
    why = {refusal.subject: refusal.reason for refusal in refusals}
    listed = read(lambda: tuple(client.list(WORKLOAD, namespace="*")))
    troubles = []
    seen: Any
    for seen in listed or ():
        where = f"{seen.metadata.namespace}/{seen.metadata.name}"
        try:
            _reconcile(client, seen, why.get(where, ""))
        except ApiTrouble as trouble:
            troubles.append(f"GPUWorkload {where}: {trouble}")
    return tuple(troubles)


def _reconcile(client: Client, seen: Any, why: str) -> None:
    before: Body = seen.get("status") or {}
    status = _wanted(client, seen, before, why)
    if status is None or status == before:
        return
    write(
        lambda: client.patch(
            WORKLOAD.Status,
            seen.metadata.name,
            {"status": status},
            namespace=seen.metadata.namespace,
            patch_type=PatchType.MERGE,
            field_manager=FIELD_MANAGER,
        )
    )


def _wanted(client: Client, seen: Any, before: Body, why: str) -> Body | None:
    """The state that it should have, after its Job was made where that is due; None: as it is."""
    meta, now = seen.metadata, datetime.now(UTC)
    if before.get("phase") in ENDED:
        return None
    job = read(lambda: client.get(Job, meta.name, namespace=meta.namespace))
    if job is None:
        phase, reason, message = _made(client, seen)
    elif not _owned(job, meta.uid):
        phase, reason = "Pending", "NameTaken"
        message = f"Job {meta.name} is there and not of this workload; submit it by another name"
    else:
        return status_of(job, before, now, why)
    return {"phase": phase, "conditions": [_condition(phase, reason, message, before, now)]}


def _made(client: Client, seen: Any) -> tuple[str, str, str]:
    """What came of making its Job: phase, reason and message."""
    if (asked := (seen.metadata.labels or {}).get(MANAGED, "true")) != "true":
        return "Pending", "NotManaged", f'its label {MANAGED} is "{asked}"; make it "true"'
    try:
        made = cast(Job, Job.from_dict(job_of(seen)))
    except (*UNPARSABLE, AttributeError) as error:
        said = one_line(error) or type(error).__name__
        return "Failed", "Rejected", f"its template cannot be read: {said}"
    try:
        write(lambda: client.create(made, field_manager=FIELD_MANAGER))
    except Conflict:
        pass  # somebody was first; whose it is, is seen in the next cycle
    except Rejected as refusal:
        final = refusal.code in FINAL
        phase, reason = ("Failed", "Rejected") if final else ("Pending", "Refused")
        return phase, reason, str(refusal)
    return "Pending", "Pending", WAITS


def _owned(job: Job, uid: str) -> bool:
    owners = (job.metadata.ownerReferences if job.metadata else None) or ()
    return any(owner.uid == uid for owner in owners)


def job_of(workload: Any) -> Body:
    """The suspended Job of a GPUWorkload, which goes with it."""
    meta, spec = workload.metadata, workload["spec"]
    pod: Body = {"restartPolicy": "Never", **spec["template"]}
    first, *others = pod["containers"]
    limits = {**(first.get("resources") or {}).get("limits", {}), GPU: str(spec["gpus"])}
    for name in ("memory", "cpu"):
        limits |= {name: spec[name]} if spec.get(name) else {}
    resources = {**(first.get("resources") or {}), "limits": limits}
    pod["containers"] = [{**first, "resources": resources}, *others]
    if spec.get("model"):
        pod["nodeSelector"] = {**pod.get("nodeSelector", {}), PRODUCT: spec["model"]}
    if spec.get("priorityClassName"):
        pod["priorityClassName"] = spec["priorityClassName"]
    asked = {STRATEGY: spec["strategy"]} if spec.get("strategy") else {}
    if least := (meta.annotations or {}).get(MIN_GPUS):
        asked[MIN_GPUS] = least
    size = spec.get("gangSize", 1)
    owner = {
        "apiVersion": API_VERSION,
        "kind": "GPUWorkload",
        "name": meta.name,
        "uid": meta.uid,
        "controller": True,
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": meta.name,
            "namespace": meta.namespace,
            "labels": {MANAGED: "true"},
            "annotations": asked,
            "ownerReferences": [owner],
        },
        "spec": {
            "suspend": True,
            "parallelism": size,
            "completions": size,
            "backoffLimit": 0,
            "template": {"spec": pod},
        },
    }


def status_of(job: Job, before: Body, now: datetime, why: str = "") -> Body:
    """Phase, node and conditions, from what the Job says; times stay where nothing changed.

    `why` it found no place, where it is still waiting for one.
    """
    phase, message = _phase(job, why)
    spec: Any = job.spec
    selector = spec.template.spec.nodeSelector or {}
    status: Body = {
        "phase": phase,
        "job": job.metadata.name if job.metadata else "",
        "conditions": [_condition(phase, phase, message, before, now)],
    }
    if selector.get(HOSTNAME) and phase != "Pending":
        status["node"] = selector[HOSTNAME]
    return status


def _phase(job: Job, why: str) -> tuple[str, str]:
    spec, status = job.spec, job.status
    for condition in (status.conditions if status else None) or ():
        if condition.type in ("Complete", "Failed") and condition.status == "True":
            ended = "Succeeded" if condition.type == "Complete" else "Failed"
            return ended, condition.message or condition.reason or ended
    if spec and spec.suspend:
        return "Pending", f"{WAITS}: {why}" if why else WAITS
    if status and status.ready:
        return "Running", f"{status.ready} of its pods are ready"
    return "Placed", "its Job was started"


def _condition(phase: str, reason: str, message: str, before: Body, now: datetime) -> Body:
    """Ready while it runs, and after it ended well."""
    made = {
        "type": "Ready",
        "status": "True" if phase in ("Running", "Succeeded") else "False",
        "reason": reason,
        "message": message[:LONGEST],
        "lastTransitionTime": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    for old in before.get("conditions") or ():
        if old.get("type") == "Ready" and old.get("status") == made["status"]:
            made["lastTransitionTime"] = old["lastTransitionTime"]
    return made
