"""Suspended Jobs that may start with fewer GPUs, where no node has room for all that they ask for.

A Job says so by the annotation agentaflow.io/min-gpus: so few GPUs are enough for each of its pods.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from agentaflow_advisor.model import Placement, Refusal, ReleaseJob, Snapshot, Workload
from agentaflow_advisor.model.names import MIN_GPUS
from agentaflow_advisor.place import Result

Place = Callable[[Snapshot, Mapping[str, str]], tuple[Result, ...]]
"""From a snapshot, and the node by uid of what is placed already."""


def place_elastic(place: Place, snapshot: Snapshot, held: Mapping[str, str]) -> tuple[Result, ...]:
    """What `place` says; those it refuses are tried with half their GPUs, down to their least."""
    results = place(snapshot, held)
    asked = {each.uid: each for each in snapshot.workloads}
    while True:
        placed = {each.workload.uid: each.node for each in results if isinstance(each, Placement)}
        refused = {each.subject for each in results if isinstance(each, Refusal)}
        smaller = {
            job.uid: made
            for job in snapshot.workloads
            if job.ref in refused and job.uid not in placed and (made := _smaller(job))
        }
        if not smaller:
            return results
        workloads = tuple(smaller.get(each.uid, each) for each in snapshot.workloads)
        snapshot = replace(snapshot, workloads=workloads)
        found = {
            each.workload.ref: _told(each, asked[each.workload.uid])
            for each in place(snapshot, {**held, **placed})
            if isinstance(each, Placement) and each.workload.uid in smaller
        }
        rest = (r for r in results if not (isinstance(r, Refusal) and r.subject in found))
        results = (*rest, *found.values())


def _smaller(job: Workload) -> Workload | None:
    """With half the GPUs, but no fewer than are enough; None where that is no fewer."""
    least = job.annotations.get(MIN_GPUS, "")
    if job.released_by != ReleaseJob.channel or not (least.isascii() and least.isdigit()):
        return None
    each = job.gpus // job.pods if job.pods else 0
    fewer = max(int(least), each // 2, 1)
    return replace(job, gpus=fewer * job.pods) if fewer < each else None


def _told(placement: Placement, asked: Workload) -> Placement:
    fewer, all_ = placement.workload.gpus // asked.pods, asked.gpus // asked.pods
    told = f"{placement.why}; with {fewer} of {all_} GPUs a pod, which {MIN_GPUS} allows"
    return replace(placement, why=told)
