"""Idle GPUs: held by a pod that does nothing, by a process without a pod, or by nobody."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import lru_cache

from agentaflow_advisor.analyze.findings import Findings, evidence, ordered, stable_id
from agentaflow_advisor.analyze.holding import Holder, Holders
from agentaflow_advisor.analyze.idleness import (
    EVIDENCE,
    USAGE,
    Busy,
    Idle,
    IdleSettings,
    Unknown,
    judge,
    span,
)
from agentaflow_advisor.model import (
    HOURS_PER_MONTH,
    Gpu,
    Recommendation,
    Refusal,
    Saving,
    Snapshot,
    Where,
)
from agentaflow_advisor.price import NodeKey, NodePrice

SIGNALS = frozenset(USAGE) | {"info", "up", "memory_used_max", "processes", "pods", "mig_enabled"}
KINDS: Mapping[Holder, str] = {
    "pod": "idle-gpu",
    "process": "forgotten-process",
    "nobody": "unallocated-gpu",
    "unknown": "idle-gpu",
}
RISKS: Mapping[Holder, str] = {
    "pod": "Ask its owner first: state in GPU memory is lost when the pod ends.",
    "process": "Find the process on the node first: ending it loses what it holds.",
    "nobody": "None while it waits; it only saves money if its node can go or pods can come.",
    "unknown": "Find out first who uses it: pods are not known here.",
}
NODE_STAYS = "One GPU cannot be handed back: the bill falls only when its whole node goes."
FORMULA = "per_gpu_hour_residual x 730 h"


def analyze(
    snapshot: Snapshot,
    prices: Mapping[NodeKey, NodePrice | Refusal],
    settings: IdleSettings,
    told: Collection[str] = frozenset(),
) -> Findings:
    """A recommendation for each idle GPU, a refusal for each that cannot be judged.

    `told` are UUIDs of which another analysis says more: they are left to it.
    """
    holders = Holders(snapshot, settings)
    found: list[Recommendation] = []
    refused: list[Refusal] = []
    for gpu in snapshot.gpus:
        match judge(gpu, snapshot, settings):
            case Idle() if gpu.uuid in told:
                pass
            case Idle() as idle:
                price = prices.get((gpu.cluster, gpu.node))
                if isinstance(price, Refusal):
                    refused.append(price)
                found.append(_recommend(gpu, idle, holders.of(gpu), price, snapshot))
            case Unknown(reason):
                refused.append(Refusal(gpu.name, reason))
            case Busy():
                pass
    return ordered(found, refused)


def _recommend(
    gpu: Gpu, idle: Idle, holder: Holder, price: NodePrice | Refusal | None, snapshot: Snapshot
) -> Recommendation:
    kind = KINDS[holder]
    pods = sorted({str(pod) for pod in gpu.pods})
    one = gpu.pods[0] if len(pods) == 1 else None
    return Recommendation(
        id=stable_id(kind, gpu.cluster, gpu.node, gpu.uuid, *pods),
        kind=kind,
        what=_what(gpu, holder, pods, snapshot),
        where=Where(
            gpu.cluster,
            gpu.node,
            gpu.index,
            gpu.uuid,
            one.namespace if one else "",
            one.name if one else "",
        ),
        saves=_saving(price) if isinstance(price, NodePrice) else None,
        confidence=idle.confidence,
        evidence=evidence(snapshot, idle.usage, EVIDENCE, gpu.dialect),
        enforceable="none",
        risk=f"{RISKS[holder]} {NODE_STAYS}",
    )


def _what(gpu: Gpu, holder: Holder, pods: list[str], snapshot: Snapshot) -> str:
    did = f"did nothing for {span(snapshot.window_seconds)}"
    model = f" ({gpu.model})" if gpu.model else ""
    subject = f"GPU {gpu.index or gpu.uuid}{model} on {gpu.node}"
    memory = gpu.memory_used_max_bytes
    held = f", with up to {memory / 2**30:.1f} GiB of its memory" if memory else ""
    match holder:
        case "pod":
            return f"{subject} {did}; {', '.join(pods)} holds it{held}"
        case "process":
            return f"{subject} {did}; no pod holds it, yet a process does{held}"
        case "nobody":
            return f"{subject} {did}; it is free for pods to take"
        case _:
            return f"{subject} {did}; which pod holds it is not known"


@lru_cache  # nodes of one kind cost the same
def _saving(price: NodePrice) -> Saving:
    """The GPU's own share, which is the smaller figure: its CPU and memory may serve others."""
    residual = price.per_gpu_hour_residual * HOURS_PER_MONTH
    whole = price.per_gpu_hour_whole * HOURS_PER_MONTH
    return Saving(
        per_month=residual,
        formula=FORMULA,
        inputs={
            "per_gpu_hour_residual": str(price.per_gpu_hour_residual.rounded(4)),
            "per_gpu_hour_whole": str(price.per_gpu_hour_whole.rounded(4)),
            "per_month_residual": str(residual),
            "per_month_whole": str(whole),
            "hours_per_month": str(HOURS_PER_MONTH),
            "instance_type": price.instance_type,
            "price": price.how,
        },
    )
