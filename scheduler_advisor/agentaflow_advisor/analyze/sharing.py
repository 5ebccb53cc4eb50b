"""Two pods on one GPU: where their peaks together fit, one of their GPUs gets free.

Peaks need not come at the same time, so their sums are upper bounds: of memory for certain, of
activity for all but twice the part of the time that a high percentile leaves out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from agentaflow_advisor.analyze.findings import stable_id
from agentaflow_advisor.analyze.grounds import grounds
from agentaflow_advisor.analyze.needs import SM_HIGH, Need, RightsizingSettings
from agentaflow_advisor.model import (
    HOURS_PER_MONTH,
    Recommendation,
    Saving,
    Snapshot,
    Where,
)
from agentaflow_advisor.price import NodePrice

KIND = "share-gpu"
EVIDENCE = ("utilization_high", "utilization_samples", "memory_used_max", "held", SM_HIGH)
FORMULA = "per_gpu_hour_residual x 730 h"
RISK = (
    "Saves only if others use the GPU that gets free, or its node goes. Pods that share by "
    "time-slicing or MPS are not kept apart: one that takes more memory than it ever did ends the "
    "other, and work at the same moment takes longer."
)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two pods on GPUs of one model on one node."""

    stays: Need
    moves: Need
    price: NodePrice

    @property
    def memory_bytes(self) -> float:
        """Both peaks with head-room: they never needed more together."""
        return self.stays.memory_bytes + self.moves.memory_bytes

    @property
    def activity(self) -> float:
        """Both high percentiles (0 to 2)."""
        return _high(self.stays) + _high(self.moves)


def pairs(
    alone: Iterable[tuple[Need, NodePrice]], settings: RightsizingSettings
) -> tuple[Pair, ...]:
    """Each pod in one pair at most. By names, so that tomorrow's figures do not change partners."""
    places: defaultdict[tuple[str, str, str], list[tuple[Need, NodePrice]]] = defaultdict(list)
    for need, price in alone:
        places[need.gpu.cluster, need.gpu.node, need.model].append((need, price))
    found: list[Pair] = []
    for place in sorted(places):
        left = sorted(places[place], key=lambda each: (str(each[0].pod), each[0].gpu.uuid))
        while left:
            stays, price = left.pop(0)
            made = (Pair(stays, moves, price) for moves, _ in left)
            pair = next((each for each in made if _fits(each, settings)), None)
            if pair:
                found.append(pair)
                left = [each for each in left if each[0] is not pair.moves]
    return tuple(found)


def _high(need: Need) -> float:
    return need.activity if need.profiled else need.usage.high


def _fits(pair: Pair, settings: RightsizingSettings) -> bool:
    room = min(pair.stays.total_bytes, pair.moves.total_bytes)
    return pair.memory_bytes <= room and pair.activity <= settings.max_activity_ratio


def recommend(pair: Pair, snapshot: Snapshot) -> Recommendation:
    """About the GPU that would get free."""
    gpu, pod, other = pair.moves.gpu, pair.moves.pod, pair.stays
    together = max(0.0, 2 * snapshot.percentile - 1)
    return Recommendation(
        id=stable_id(KIND, gpu.cluster, gpu.node, *sorted((str(pod), str(other.pod)))),
        kind=KIND,
        what=(
            f"{pod} on GPU {gpu.index or gpu.uuid} and {other.pod} on GPU "
            f"{other.gpu.index or other.gpu.uuid} of {gpu.node} ({other.model}) would fit one of "
            f"them: {pair.memory_bytes / 2**30:.1f} GiB with head-room and {pair.activity:.0%} "
            "activity together at most, if their peaks ever met"
        ),
        where=Where(gpu.cluster, gpu.node, gpu.index, gpu.uuid, pod.namespace, pod.name),
        saves=_saving(pair),
        confidence=min(pair.stays.confidence, pair.moves.confidence) * together,
        evidence=grounds(gpu, snapshot, EVIDENCE),
        enforceable="none",
        risk=RISK,
    )


def _saving(pair: Pair) -> Saving:
    residual = pair.price.per_gpu_hour_residual
    return Saving(
        per_month=residual * HOURS_PER_MONTH,
        formula=FORMULA,
        inputs={
            "per_gpu_hour_residual": str(residual.rounded(4)),
            "memory_gib_at_most": f"{pair.memory_bytes / 2**30:.2f}",
            "activity_at_most": f"{pair.activity:.3f}",
            "hours_per_month": str(HOURS_PER_MONTH),
            "price": pair.price.how,
        },
    )
