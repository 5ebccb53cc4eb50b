"""Zombies: GPUs that no living pod holds and that are yet not free.

A process without a pod that works, or may: those that do nothing are idle.py's, under the same id.
And pods that are over: gone by Kubernetes' word, or long past their grace period, and still shown
as the holder; they are told here also where they do nothing, and idle.py leaves them out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from agentaflow_advisor.analyze.allocation import attributed_clusters, seen_seconds
from agentaflow_advisor.analyze.findings import Findings, ordered, stable_id
from agentaflow_advisor.analyze.grounds import grounds
from agentaflow_advisor.analyze.holding import Holders, unattributed
from agentaflow_advisor.analyze.idleness import USAGE, Idle, IdleSettings, judge, span
from agentaflow_advisor.analyze.settings import bounded
from agentaflow_advisor.model import (
    HOURS_PER_MONTH,
    Gpu,
    Recommendation,
    Refusal,
    Saving,
    Snapshot,
    Where,
    Workload,
)
from agentaflow_advisor.place.capacity import FINISHED
from agentaflow_advisor.price import NodeKey, NodePrice

SIGNALS = frozenset(USAGE) | {
    "info",
    "up",
    "pods",
    "held",
    "present",
    "processes",
    "memory_used_max",
}
PROCESS = "forgotten-process"
ENDED = "ended-pod"
EVIDENCE = ("pods", "held", "present", "processes", "memory_used_max")
FORMULA = "per_gpu_hour_residual x 730 h"
PROCESS_RISK = (
    "Kubernetes takes this GPU for free and may give it to a pod, which then fails or slows down. "
    "Find the process on the node: it may be somebody's work, and ending it loses that."
)
RISKS: Mapping[str, str] = {
    "deleting": "Something keeps it from ending: a finalizer, a process that ignores signals, or a "
    "kubelet that does not answer. Forcing it away may leave the process on the GPU.",
    "gone": "Seen at one look, which a pod that ended just now passes for: look again. Restarting "
    "the device plugin or the kubelet brings its list up to date; a process that stays must be "
    "ended on the node.",
}


@dataclass(frozen=True, slots=True)
class ZombieSettings:
    """How long something must have been over to be told."""

    min_seconds: float = 3600.0
    """A pod past its grace period, and a process without a pod, for less are not told (seconds)."""

    def __post_init__(self) -> None:
        bounded("min_seconds", self.min_seconds, 60, 30 * 86_400, "seconds")


@dataclass(frozen=True, slots=True)
class Ending:
    """Why none of a GPU's pods is alive."""

    how: Literal["deleting", "gone"]
    overdue_seconds: float  # since the grace period's end, of the newest


class Endings:
    """GPUs whose holders are over, in one snapshot."""

    def __init__(self, snapshot: Snapshot, settings: ZombieSettings) -> None:
        self._at = snapshot.taken_at
        self._least = settings.min_seconds
        self._known = {(node.cluster, node.name) for node in snapshot.nodes if node.known}
        self._alive: dict[tuple[str | None, str, str], Workload] = {
            (pod.node, pod.namespace, pod.name): pod
            for pod in snapshot.workloads
            if pod.phase not in FINISHED
        }

    def of(self, gpu: Gpu) -> Ending | None:
        """None where one of its pods lives, or where Kubernetes does not tell."""
        if not gpu.pods or (gpu.cluster, gpu.node) not in self._known:
            return None
        overdue: list[float] = []
        for pod in gpu.pods:
            alive = self._alive.get((gpu.node, pod.namespace, pod.name))
            if alive is None:
                continue
            if not alive.deleting or alive.deletes_at is None:
                return None
            overdue.append(self._at - alive.deletes_at)
        if overdue:
            return Ending("deleting", min(overdue)) if min(overdue) >= self._least else None
        held = sum(each.seconds for each in gpu.held)
        return Ending("gone", 0.0) if held >= self._least else None


def owned(snapshot: Snapshot, settings: ZombieSettings) -> frozenset[str]:
    """UUIDs of GPUs whose pods are over: told here and nowhere else."""
    endings = Endings(snapshot, settings)
    return frozenset(gpu.uuid for gpu in snapshot.gpus if gpu.up is True and endings.of(gpu))


def analyze(
    snapshot: Snapshot,
    prices: Mapping[NodeKey, NodePrice | Refusal],
    settings: ZombieSettings,
    idle: IdleSettings,
) -> Findings:
    """A recommendation for each GPU that no living pod holds, or a refusal."""
    holders, endings = Holders(snapshot, idle), Endings(snapshot, settings)
    told = attributed_clusters(snapshot)
    found: list[Recommendation] = []
    refused: list[Refusal] = list(unattributed(snapshot))
    for gpu in snapshot.gpus:
        if gpu.up is not True:
            continue
        if ending := endings.of(gpu):
            price = prices.get((gpu.cluster, gpu.node))
            if isinstance(price, NodePrice):
                found.append(_ended(gpu, ending, price, snapshot, settings))
            else:
                refused.append(price or Refusal(gpu.name, "its node has no price"))
            continue
        if holders.of(gpu) != "process" or isinstance(judge(gpu, snapshot, idle), Idle):
            continue
        free = _podless(gpu, told=gpu.cluster in told)
        reason = _doubt(gpu, free, settings)
        if reason:
            refused.append(Refusal(gpu.name, reason))
        else:
            found.append(_process(gpu, free or 0.0, snapshot))
    return ordered(found, refused)


def _podless(gpu: Gpu, *, told: bool) -> float | None:
    """For how much of the window it was seen in no pod; None where that is not told."""
    if gpu.present_seconds is None or not told:
        return None
    return max(0.0, seen_seconds(gpu) - sum(each.seconds for each in gpu.held))


def _doubt(gpu: Gpu, free: float | None, settings: ZombieSettings) -> str:
    if gpu.doubt:
        return gpu.doubt
    if free is None:
        return "a process without a pod holds it, but since when is not told"
    if gpu.processes is None and gpu.held:
        return "its processes are not told, and its memory in use may have been a pod's"
    if free < settings.min_seconds:
        return f"a process without a pod holds it, but pods did until {span(free)} ago at most"
    return ""


def _process(gpu: Gpu, free: float, snapshot: Snapshot) -> Recommendation:
    memory = gpu.memory_used_max_bytes
    held = f", with up to {memory / 2**30:.1f} GiB of its memory in use" if memory else ""
    return Recommendation(
        id=stable_id(PROCESS, gpu.cluster, gpu.node, gpu.uuid),
        kind=PROCESS,
        what=(
            f"GPU {gpu.index or gpu.uuid}{_model(gpu)} on {gpu.node} is held by a process and by "
            f"no pod{held}; it was in no pod for {span(free)} of {span(snapshot.window_seconds)}, "
            "and it was not idle all the time"
        ),
        where=Where(gpu.cluster, gpu.node, gpu.index, gpu.uuid),
        saves=None,
        confidence=min(1.0, free / snapshot.window_seconds),
        evidence=grounds(gpu, snapshot, EVIDENCE),
        enforceable="none",
        risk=PROCESS_RISK,
    )


def _ended(
    gpu: Gpu, ending: Ending, price: NodePrice, snapshot: Snapshot, settings: ZombieSettings
) -> Recommendation:
    pods = sorted({str(pod) for pod in gpu.pods})
    one = gpu.pods[0] if len(pods) == 1 else None
    per_gpu = price.per_gpu_hour_residual
    gone = ending.how == "gone"
    said = (
        "which Kubernetes does not have there any more, or has as finished"
        if gone
        else f"which should have ended {span(ending.overdue_seconds)} ago"
    )
    return Recommendation(
        id=stable_id(ENDED, gpu.cluster, gpu.node, gpu.uuid, *pods),
        kind=ENDED,
        what=(
            f"GPU {gpu.index or gpu.uuid}{_model(gpu)} on {gpu.node} is still held by "
            f"{', '.join(pods)}, {said}"
        ),
        where=Where(
            gpu.cluster,
            gpu.node,
            gpu.index,
            gpu.uuid,
            one.namespace if one else "",
            one.name if one else "",
        ),
        saves=Saving(
            per_month=per_gpu * HOURS_PER_MONTH,
            formula=FORMULA,
            inputs={
                "per_gpu_hour_residual": str(per_gpu.exact),
                "hours_per_month": str(HOURS_PER_MONTH),
                "overdue_seconds": f"{ending.overdue_seconds:.0f}",
                "price": price.how,
            },
        ),
        confidence=0.5 if gone else max(0.5, 1 - settings.min_seconds / ending.overdue_seconds),
        evidence=grounds(gpu, snapshot, EVIDENCE),
        enforceable="none" if gone else "node",
        risk=RISKS[ending.how],
    )


def _model(gpu: Gpu) -> str:
    return f" ({gpu.model})" if gpu.model else ""
