"""GPUWorkloads: each becomes a suspended Job, which the suspended-job channel places and starts."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, cast

from lightkube import Client
from lightkube.resources.batch_v1 import Job
from lightkube.types import PatchType

from agentaflow_advisor.act.api import read, write
from agentaflow_advisor.act.errors import Conflict
from agentaflow_advisor.act.resources.kinds import API_VERSION, WORKLOAD
from agentaflow_advisor.model.names import FIELD_MANAGER, HOSTNAME, MANAGED, PRODUCT
from agentaflow_advisor.observe.resources import GPU

Body = dict[str, Any]


def reconcile(client: Client) -> None:
    """A Job for each GPUWorkload that opted in, and its state. Raises ApiTrouble."""
    listed = read(lambda: tuple(client.list(WORKLOAD, namespace="*", labels={MANAGED: "true"})))
    for seen in listed or ():
        _reconcile(client, seen)


def _reconcile(client: Client, seen: Any) -> None:
    name, namespace = seen.metadata.name, seen.metadata.namespace
    job = read(lambda: client.get(Job, name, namespace=namespace))
    if job is None:
        made = cast(Job, Job.from_dict(job_of(seen)))
        with suppress(Conflict):
            write(lambda: client.create(made, field_manager=FIELD_MANAGER))
        return  # its state in the next cycle
    before: Body = seen.get("status") or {}
    status = status_of(job, before, datetime.now(UTC))
    if status != before:
        write(
            lambda: client.patch(
                WORKLOAD.Status,
                name,
                {"status": status},
                namespace=namespace,
                patch_type=PatchType.MERGE,
                field_manager=FIELD_MANAGER,
            )
        )


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


def status_of(job: Job, before: Body, now: datetime) -> Body:
    """Phase, node and conditions, from what the Job says; times stay where nothing changed."""
    phase, reason = _phase(job)
    spec: Any = job.spec
    selector = spec.template.spec.nodeSelector or {}
    status: Body = {
        "phase": phase,
        "job": job.metadata.name if job.metadata else "",
        "conditions": [_condition(phase, reason, before, now)],
    }
    if selector.get(HOSTNAME) and phase != "Pending":
        status["node"] = selector[HOSTNAME]
    return status


def _phase(job: Job) -> tuple[str, str]:
    spec, status = job.spec, job.status
    for condition in (status.conditions if status else None) or ():
        if condition.type in ("Complete", "Failed") and condition.status == "True":
            ended = "Succeeded" if condition.type == "Complete" else "Failed"
            return ended, condition.message or condition.reason or ended
    if spec and spec.suspend:
        return "Pending", "it waits for a place"
    if status and status.ready:
        return "Running", f"{status.ready} of its pods are ready"
    return "Placed", "its Job was started"


def _condition(phase: str, message: str, before: Body, now: datetime) -> Body:
    """Ready while it runs, and after it ended well."""
    made = {
        "type": "Ready",
        "status": "True" if phase in ("Running", "Succeeded") else "False",
        "reason": phase,
        "message": message,
        "lastTransitionTime": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    for old in before.get("conditions") or ():
        if old.get("type") == "Ready" and old.get("status") == made["status"]:
            made["lastTransitionTime"] = old["lastTransitionTime"]
    return made
