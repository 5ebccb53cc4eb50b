"""What a pod needs of the GPU that it holds, from peaks over the window; or why that is not known.

A peak over the window also covers those who held the GPU before: it may be too high for the pod,
never too low, once the pod has held it for long enough to show what it does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from agentaflow_advisor.analyze.idleness import (
    Idle,
    IdleSettings,
    confidence,
    doubt,
    judge,
    span,
)
from agentaflow_advisor.analyze.settings import bounded
from agentaflow_advisor.model import Gpu, PodRef, Refusal, Snapshot, Usage, Workload

DAY = 86_400.0
SM_HIGH = "sm_active_high"


@dataclass(frozen=True, slots=True)
class RightsizingSettings:
    """How much room a smaller home must leave, and how long a pod must have been seen."""

    memory_headroom_ratio: float = 0.2
    """Memory on top of the peak (0 to 4)."""
    max_activity_ratio: float = 0.8
    """How busy the smaller home may get, at worst (0 to 1)."""
    min_held_seconds: float = DAY
    """How long the pod must have held its GPU within the window (seconds). Of real pods' homes by
    an hour of evidence a third was too small later, by 12 h none (`make truth`)."""

    def __post_init__(self) -> None:
        bounded("memory_headroom_ratio", self.memory_headroom_ratio, 0, 4, "a ratio")
        bounded("max_activity_ratio", self.max_activity_ratio, 0.01, 1, "a ratio")
        bounded("min_held_seconds", self.min_held_seconds, 0, 90 * DAY, "seconds")


@dataclass(frozen=True, slots=True)
class Need:
    """Of one pod that alone holds one GPU."""

    gpu: Gpu
    pod: PodRef
    model: str
    memory_bytes: float  # peak with head-room
    total_bytes: float
    activity: float  # ratio 0 to 1
    profiled: bool  # activity is the high percentile of SM activity, else utilization's maximum
    usage: Usage
    confidence: float  # 0 to 1
    workload: Workload | None  # where Kubernetes knows the pod

    @property
    def shown(self) -> str:
        """The activity for people."""
        what = "SM activity" if self.profiled else "utilization"
        return f"{what} up to {self.activity:.0%}"


def needs(
    snapshot: Snapshot, settings: RightsizingSettings, idle: IdleSettings
) -> Iterator[Need | Refusal]:
    """One for each GPU that a pod holds; none for those that are idle, which is told elsewhere.

    A pod that holds several is refused once.
    """
    held = [(gpu, {(pod.namespace, pod.name) for pod in gpu.pods}) for gpu in snapshot.gpus]
    spread = Counter((gpu.cluster, *pod) for gpu, pods in held for pod in pods)
    known = _known(snapshot)
    several: set[tuple[str, str, str]] = set()
    for gpu, pods in held:
        if not pods or isinstance(judge(gpu, snapshot, idle), Idle):
            continue
        name = min(pods)
        workload = known.get((gpu.cluster, gpu.node, *name))
        gpus = max(spread[gpu.cluster, *name], workload.gpus if workload else 0)
        reason = doubt(gpu, snapshot, idle) or _unclear(gpu, len(pods))
        if not reason and gpus > 1:
            if (gpu.cluster, *name) not in several:
                several.add((gpu.cluster, *name))
                yield _linked(gpu.cluster, PodRef(*name), gpus)
            continue
        pod = PodRef(*name)
        seconds = _held_seconds(gpu, pod, workload, snapshot)
        reason = reason or _unmeasured(gpu) or _too_short(seconds, settings)
        yield (
            Refusal(gpu.name, reason)
            if reason
            else _need(gpu, pod, workload, seconds or 0.0, snapshot, settings)
        )


def _known(snapshot: Snapshot) -> Mapping[tuple[str, str, str, str], Workload]:
    """Pods that Kubernetes knows, by cluster, node, namespace and name."""
    clusters = {node.name: node.cluster for node in snapshot.nodes if node.known}
    return {
        (clusters[pod.node], pod.node, pod.namespace, pod.name): pod
        for pod in snapshot.workloads
        if pod.node in clusters
    }


def _linked(cluster: str, pod: PodRef, gpus: int) -> Refusal:
    return Refusal(
        f"{cluster}/{pod}" if cluster else str(pod),
        f"it holds {gpus} GPUs: how much that depends on the links between them is not measured",
    )


def _unclear(gpu: Gpu, pods: int) -> str:
    """Why the GPU's figures do not tell what one pod needs."""
    if pods > 1:
        return f"{pods} pods share it: what each of them needs is not told"
    if gpu.measures.get("mig_enabled", 0.0) > 0:
        return "it is cut into MIG slices: what each of them does is not told"
    return ""


def _unmeasured(gpu: Gpu) -> str:
    if gpu.model is None:
        return "its model is not told"
    if gpu.memory_used_max_bytes is None or not gpu.memory_total_bytes:
        return "how much of its memory was in use is not told"
    return ""


def _held_seconds(
    gpu: Gpu, pod: PodRef, workload: Workload | None, snapshot: Snapshot
) -> float | None:
    """How long the pod held it within the window, at most; None where nobody tells."""
    mine = [each for each in gpu.held if each.namespace == pod.namespace]
    if any(each.pod for each in mine):
        mine = [each for each in mine if each.pod == pod.name]
    told = [sum(each.seconds for each in mine)] if gpu.held else []
    if workload and workload.created_at:
        told.append(max(0.0, snapshot.taken_at - workload.created_at))
    return min(*told, snapshot.window_seconds) if told else None


def _too_short(held: float | None, settings: RightsizingSettings) -> str:
    if held is None:
        return "how long its pod has held it is not told"
    if held < settings.min_held_seconds:
        least = span(settings.min_held_seconds)
        return f"its pod has held it for {span(held)}, {least} is the least"
    return ""


def _need(
    gpu: Gpu,
    pod: PodRef,
    workload: Workload | None,
    held: float,
    snapshot: Snapshot,
    settings: RightsizingSettings,
) -> Need:
    usage, peak, total = gpu.utilization, gpu.memory_used_max_bytes, gpu.memory_total_bytes
    if usage is None or peak is None or total is None or gpu.model is None:
        raise ValueError(f"{gpu.name} lacks what it was checked for")
    profiled = SM_HIGH in gpu.measures
    seen = confidence(usage, snapshot.window_seconds) * min(1.0, held / snapshot.window_seconds)
    seen *= min(1.0, held / DAY)  # of the peaks that come once a day
    return Need(
        gpu=gpu,
        pod=pod,
        model=gpu.model,
        memory_bytes=peak * (1 + settings.memory_headroom_ratio),
        total_bytes=total,
        activity=gpu.measures[SM_HIGH] if profiled else max(usage.maximum, usage.high),
        profiled=profiled,
        usage=usage,
        confidence=seen * (snapshot.percentile if profiled else 1.0),
        workload=workload,
    )
