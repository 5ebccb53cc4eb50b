"""Whether a node could take a pod: kube-scheduler's hard filters that this version models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agentaflow_advisor.model import Gpu, Node, Taint, Toleration, Usage, Workload
from agentaflow_advisor.model.names import HOSTNAME

HARD_EFFECTS = frozenset({"NoSchedule", "NoExecute"})


@dataclass(frozen=True, slots=True)
class EvidenceSettings:
    """When a measurement counts. An older or thinner one is treated as missing."""

    max_age_seconds: float = 300.0
    min_samples: int = 2


def refusal(workload: Workload, node: Node) -> str | None:
    """The first reason, capacity aside, why this node cannot take the pod; None when it can."""
    return (
        closed(node)
        or untolerated(workload.tolerations, node.taints)
        or next(
            (
                mismatch(key, value)
                for key, value in sorted(workload.node_selector.items())
                if node.labels.get(key) != value
            ),
            None,
        )
    )


def closed(node: Node) -> str | None:
    """Why it takes no pod at all."""
    if not node.known:
        return "not known to Kubernetes"
    if not node.ready:
        return "not ready"
    if not node.schedulable:
        return "cordoned"
    if HOSTNAME not in node.labels:
        return f"no label {HOSTNAME} to select it by"
    return None


def untolerated(tolerations: Sequence[Toleration], taints: Sequence[Taint]) -> str | None:
    """That the first hard one of these taints is not tolerated."""
    for taint in taints:
        if taint.effect in HARD_EFFECTS and not any(
            toleration.tolerates(taint) for toleration in tolerations
        ):
            return f"taint {taint.key}={taint.value}:{taint.effect} is not tolerated"
    return None


def mismatch(key: str, value: str) -> str:
    """That the node has another label, or none."""
    return f"nodeSelector {key}={value} does not match"


def unusable(node: Node, gpus: Sequence[Gpu], *, pods_are_known: bool) -> int:
    """How many GPUs no pod can use although Kubernetes counts them as free.

    They are lost, unless the device plugin has already taken them off what the node offers; or a
    process that belongs to no pod holds them, which can only be told where the join metric tells
    which pod holds what.
    """
    free = [gpu for gpu in gpus if not gpu.pods]
    lost = sum(gpu.up is False for gpu in free)
    already_off = max(0, len(gpus) - node.gpus)
    held = sum(bool(gpu.processes) for gpu in free if gpu.up is not False)
    return max(0, lost - already_off) + (held if pods_are_known else 0)


def measured(
    gpus: tuple[Gpu, ...], needs: frozenset[str], settings: EvidenceSettings
) -> tuple[Gpu, ...]:
    """Those of the GPUs for which every signal that the strategy needs is there and fresh."""
    return tuple(
        gpu for gpu in gpus if all(_is_fresh(getattr(gpu, signal), settings) for signal in needs)
    )


def _is_fresh(usage: Usage | None, settings: EvidenceSettings) -> bool:
    return (
        usage is not None
        and usage.samples >= settings.min_samples
        and usage.newest_age_seconds <= settings.max_age_seconds
    )
