"""Proposals: a placement becomes a decision that waits for its approval."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

from agentaflow_advisor.model import (
    Action,
    AdmitWorkload,
    BindPod,
    Decision,
    Evidence,
    Placement,
    PlacePod,
    ReleaseJob,
    Snapshot,
    Workload,
)
from agentaflow_advisor.model.actions import PinBy
from agentaflow_advisor.model.names import CHECK, DECISION, GATE


def propose(
    placement: Placement,
    snapshot: Snapshot,
    now: float,
    actor: str = "agentaflow",
    *,
    pin_by: PinBy = "node-selector",
) -> Decision:
    """`now` is seconds since the epoch, `pin_by` how a gated pod is sent to its node. Nothing is
    written: `Journal.add` does that.
    """
    pod = placement.workload
    return Decision(
        id=uuid7(now),
        proposed_at=now,
        strategy=placement.strategy,
        action=_release(_asked(pod, snapshot), placement, pin_by),
        evidence=_evidence(placement, snapshot),
        why=placement.why,
        actor=actor,
        state_at=now,
    )


def _asked(placed: Workload, snapshot: Snapshot) -> Workload:
    """As it was seen: a Job may have been placed with fewer GPUs than it asks for."""
    if placed.released_by != ReleaseJob.channel:
        return placed
    return next((each for each in snapshot.workloads if each.uid == placed.uid), placed)


def _release(pod: Workload, placement: Placement, pin_by: PinBy) -> Action:
    """What lets it run on that node, by the channel that holds it back."""
    at: dict[str, Any] = {
        "namespace": pod.namespace,
        "name": pod.name,
        "uid": pod.uid,
        "resource_version": pod.resource_version,
        "spec_hash": pod.spec_hash,
        "marker": pod.annotations.get(DECISION),
        "owner": pod.owner or "",
        "gang": pod.gang,
        "node": placement.node,
        "hostname": placement.hostname,
    }
    match pod.released_by:
        case ReleaseJob.channel:
            placed = placement.workload.gpus
            return ReleaseJob(**at, gpus=None if placed == pod.gpus else placed // pod.pods)
        case AdmitWorkload.channel:
            return AdmitWorkload(**at, check=CHECK)
        case BindPod.channel:
            return BindPod(**at)
        case _:
            return PlacePod(**at, gate=GATE, how=pin_by)


def _evidence(placement: Placement, snapshot: Snapshot) -> Evidence:
    """What was asked, and how old the worst of the chosen node's newest samples was."""
    usages = [
        gpu.utilization
        for gpu in snapshot.gpus
        if gpu.node == placement.node and gpu.utilization is not None
    ]
    return Evidence(
        promql=tuple(query.promql for query in snapshot.queries),
        evaluated_at=snapshot.taken_at,
        newest_age_seconds=max((usage.newest_age_seconds for usage in usages), default=0.0),
        samples=sum(usage.samples for usage in usages),
    )


def uuid7(now: float) -> str:
    """RFC 9562: 48 bits of milliseconds, then random ones; ids sort by time."""
    bits = (int(now * 1000) & (1 << 48) - 1) << 80 | secrets.randbits(80)
    bits = bits & ~(0xF << 76) | 0x7 << 76  # version
    bits = bits & ~(0b11 << 62) | 0b10 << 62  # variant
    return "-".join(_groups(f"{bits:032x}"))


def _groups(digits: str) -> Iterator[str]:
    for length in (8, 4, 4, 4, 12):
        yield digits[:length]
        digits = digits[length:]
