"""The suspended-job channel: pins a suspended Job's template to the chosen node and lets it start.

The template may be changed while the Job is suspended and has no pods (KEP-2926), its requests of
GPUs too where the server allows that (KEP-5440, beta in 1.36).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lightkube import Client
from lightkube.resources.batch_v1 import Job
from lightkube.resources.core_v1 import Pod

from agentaflow_advisor.act import api
from agentaflow_advisor.act.channels.channel import Channel
from agentaflow_advisor.act.facts import in_trouble, node_and_pods, target
from agentaflow_advisor.act.precondition import marked, marker_settles, undone, unmarked
from agentaflow_advisor.decide.guards import Context
from agentaflow_advisor.decide.guards.pods import gang_whole, node_has_room, node_usable
from agentaflow_advisor.model import (
    Decision,
    ReleaseJob,
    Settled,
    State,
    Target,
    Verification,
    Workload,
)
from agentaflow_advisor.model.names import HOSTNAME
from agentaflow_advisor.observe import kubernetes
from agentaflow_advisor.observe.resources import GPU

JOB_NAME = "batch.kubernetes.io/job-name"  # label of its pods


def read(client: Client, action: ReleaseJob) -> Target | Settled:
    seen = api.read(lambda: client.get(Job, action.name, namespace=action.namespace))
    if seen is None:
        return Settled(State.SUPERSEDED, "the Job is gone", gone=True)
    asks = kubernetes.job(seen)
    return target("Job", seen, spec_hash=asks.spec_hash, pod=asks)


def settled(action: ReleaseJob, decision: Decision, target: Target) -> Settled | None:
    if found := marker_settles(action, decision, target):
        return found
    if not target.object.spec.suspend:
        return Settled(State.SUPERSEDED, f"{target.described} is not suspended any more")
    return None


def write(
    client: Client, action: ReleaseJob, decision: Decision, target: Target, dry_run: bool
) -> None:
    template: dict[str, Any] = {}
    if action.hostname:
        template["nodeSelector"] = {HOSTNAME: action.hostname}
    if action.gpus is not None:
        template["containers"] = _with_gpus(target.object, action.gpus)
    patch = marked(decision, target)
    patch["spec"] = {"suspend": False, "template": {"spec": template}}
    api.patch(client, Job, target, patch, dry_run=dry_run)


def _with_gpus(job: Job, gpus: int) -> list[dict[str, Any]]:
    """The template's containers, the one that asks for GPUs with so many of them."""
    containers: list[dict[str, Any]] = job.to_dict()["spec"]["template"]["spec"]["containers"]
    for container in containers:
        for amounts in container.get("resources", {}).values():
            if isinstance(amounts, dict) and GPU in amounts:
                amounts[GPU] = str(gpus)
    return containers


def gather(client: Client, action: ReleaseJob, target: Target, context: Context) -> Context:
    """A Job that is made smaller needs only as much room as it will ask for. Jobs that say so, as
    those of one JobSet, are a gang.
    """
    pod, job = target.pod, target.object
    if pod and action.gpus is not None:
        together = job.spec.parallelism if job.spec.parallelism is not None else 1
        smaller = replace(pod, gpus=action.gpus * together)
        context = replace(context, target=replace(target, pod=smaller))
    context = node_and_pods(client, action.node, context)
    return replace(context, siblings=_jobs(client, action.namespace) if pod and pod.gang else ())


def _jobs(client: Client, namespace: str) -> tuple[Workload, ...]:
    listed = api.read(lambda: tuple(map(kubernetes.job, client.list(Job, namespace=namespace))))
    return listed or ()


def verify(client: Client, action: ReleaseJob, decision: Decision) -> Verification:
    """Do all its pods have a node, and the one that was meant."""
    found = read(client, action)
    where = f"Job {action.ref}"
    if isinstance(found, Settled) or found.uid != action.uid:
        return Verification(State.SUPERSEDED, f"{where} was gone before its pods were seen bound")
    status = found.object.status
    if status and status.succeeded:
        return Verification(State.VERIFIED, f"{where} ran")
    listed = api.read(
        lambda: tuple(
            kubernetes.workload(pod)
            for pod in client.list(Pod, namespace=action.namespace, labels={JOB_NAME: action.name})
        )
    )
    pods = listed or ()
    waiting = sum(pod.node is None for pod in pods)
    if not pods or waiting:
        return Verification(
            decision.state, f"{where}: {len(pods) - waiting} of {len(pods)} pods are bound"
        )
    nodes = sorted({pod.node or "" for pod in pods})
    return Verification(State.VERIFIED, f"{where} runs on {', '.join(nodes)}")


def harm(client: Client, action: ReleaseJob, patience_seconds: float) -> str | None:
    """Pods of it that found no place where it was sent, or that crash again and again."""
    listed = api.read(
        lambda: tuple(client.list(Pod, namespace=action.namespace, labels={JOB_NAME: action.name}))
    )
    return next((why for pod in listed or () if (why := in_trouble(pod, patience_seconds))), None)


def undo(client: Client, action: ReleaseJob, decision: Decision) -> Settled:
    """Suspended again: its pods end, and it waits as before."""
    found = read(client, action)
    if isinstance(found, Settled):
        return found
    if over := undone(decision, found):
        return over
    patch = unmarked(decision, found)
    patch["spec"] = {"suspend": True}
    api.patch(client, Job, found, patch, dry_run=False)
    return Settled(State.REVERTED, f"{found.described} is suspended again")


SUSPENDED_JOB = Channel(
    action=ReleaseJob,
    does=(
        "one patch pins a suspended Job's template to the chosen node, changes its number of GPUs "
        "where that is the advice, and lets it start; it can be suspended again"
    ),
    needs=("get jobs", "list jobs", "patch jobs", "list pods"),
    guards=(gang_whole, node_usable, node_has_room),
    read=read,
    settled=settled,
    write=write,
    awaits="to have all pods bound",
    verify=verify,
    gather=gather,
    harm=harm,
    undo=undo,
)
