"""Fragmentation: GPUs that are idle and of no use to typical pods, by FGD's measure.

F(node) is what is idle on it and useless to each of the cluster's typical pods, weighed by how
often they come (Weng et al., USENIX ATC 2023); here the pods are the cluster's own GPU pods,
running and waiting. The ratio is the sum of F over the idle GPUs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from agentaflow_advisor.analyze import room
from agentaflow_advisor.analyze.findings import Findings, ordered, stable_id
from agentaflow_advisor.analyze.room import Spare
from agentaflow_advisor.analyze.settings import bounded
from agentaflow_advisor.model import (
    HOURS_PER_MONTH,
    Evidence,
    Money,
    Recommendation,
    Refusal,
    Saving,
    Snapshot,
    Where,
    Workload,
)
from agentaflow_advisor.place.demand import WHOLE
from agentaflow_advisor.place.live import demands_of, fleet_of
from agentaflow_advisor.place.scorers.fragmentation import Typical
from agentaflow_advisor.price import NodeKey, NodePrice

SIGNALS = room.SIGNALS
KIND = "fragmentation"
MICRO = Decimal("0.000001")
FORMULA = "per_hour x 730 h; per_hour: fragmented GPUs of each node x its per_gpu_hour_residual"
RISK = (
    "An upper bound: to gather all fragments, pods must move, and a move restarts a pod. Cheaper "
    "is to place new pods better: strategy least_waste or fragmentation; try it with `agentaflow "
    "replay` on your own nodes and pods first."
)


@dataclass(frozen=True, slots=True)
class FragmentationSettings:
    """When fragmentation is worth telling."""

    max_ratio: float = 0.3
    """From this part of the idle GPUs on that is of no use to typical pods (0 to 1)."""
    min_gpus: float = 2.0
    """Fewer fragmented GPUs than this are not told."""

    def __post_init__(self) -> None:
        bounded("max_ratio", self.max_ratio, 0, 1, "a ratio")
        bounded("min_gpus", self.min_gpus, 0, 1e6, "GPUs")


@dataclass(frozen=True, slots=True)
class Measure:
    """Of one cluster. `fragments` is F by node, in GPUs."""

    idle: int  # free GPUs
    useless: int  # of those, the ones that no typical pod at all can take
    fragments: Mapping[NodeKey, Decimal]

    @property
    def fragmented(self) -> Decimal:
        return sum(self.fragments.values(), Decimal(0))

    @property
    def ratio(self) -> Decimal:
        """Of the idle GPUs, 0 to 1."""
        return self.fragmented / self.idle if self.idle else Decimal(0)


def measure(spares: Iterable[Spare], pods: Iterable[Workload]) -> Measure:
    """F over whole GPUs; memory aside, as in the paper."""
    rows = tuple(spares)
    nodes = [spare.node for spare in rows]
    free = {spare.node.name: spare.free for spare in rows}
    fleet = fleet_of(nodes, free, {spare.key: spare.gpus for spare in rows}, {})
    typical = Typical(demands_of(pods, fleet.models), len(fleet.models))
    able = (fleet.left >= WHOLE).sum(axis=1)
    none = np.zeros((len(rows), 1), dtype=np.int64)
    found = typical.fragments(able * WHOLE, fleet.cpu, able[:, None], none, fleet.model) / WHOLE
    useless = able[found >= able - 1e-9].sum()
    return Measure(
        int(able.sum()),
        int(useless),
        {
            spare.key: min(Decimal(count), Decimal(repr(fragment)).quantize(MICRO))
            for spare, fragment, count in zip(rows, found.tolist(), able.tolist(), strict=True)
        },
    )


def analyze(
    snapshot: Snapshot,
    prices: Mapping[NodeKey, NodePrice | Refusal],
    settings: FragmentationSettings,
) -> Findings:
    """A recommendation for each cluster that is too fragmented."""
    spares = room.spares(snapshot)
    if not spares:
        return Findings((), () if snapshot.has_cluster else (room.BLIND,))
    pods = room.gpu_pods(snapshot)
    if not pods:
        return Findings((), (Refusal("fleet", "no pod asks for GPUs: none is typical"),))
    clusters: defaultdict[str, list[Spare]] = defaultdict(list)
    for spare in spares:
        clusters[spare.node.cluster].append(spare)
    found: list[Recommendation] = []
    refused: list[Refusal] = []
    for cluster, its in clusters.items():
        measured = measure(its, pods)
        if measured.ratio < Decimal(str(settings.max_ratio)) or (
            measured.fragmented < Decimal(str(settings.min_gpus))
        ):
            continue
        lasted = _lasted(its, snapshot)
        saving, unpriced = _saving(measured, prices)
        refused += unpriced
        if lasted is None:
            subject = f"cluster {cluster}".strip()
            refused.append(Refusal(subject, "how long its GPUs were free is not told"))
        elif saving:
            confidence = lasted * room.known_kinds(len(pods))
            evidence = room.evidence(snapshot, len(pods))
            found.append(_recommend(cluster, measured, saving, confidence, evidence))
    return ordered(found, refused)


def _lasted(spares: Iterable[Spare], snapshot: Snapshot) -> float | None:
    """The part of the window for which the GPUs that are free now were, 0 to 1."""
    free = [spare for spare in spares if spare.free.gpus > 0]
    told = [spare.lasted(spare.free.gpus, snapshot.window_seconds) for spare in free]
    known = [(part, spare.free.gpus) for part, spare in zip(told, free, strict=True) if part]
    gpus = sum(spare.free.gpus for spare in free)
    if all(part is None for part in told):
        return None
    return sum(part * count for part, count in known) / gpus


def _saving(
    measured: Measure, prices: Mapping[NodeKey, NodePrice | Refusal]
) -> tuple[Saving | None, list[Refusal]]:
    """Where a fragment has no price it is not in the sum, and its node is refused."""
    at_rate: defaultdict[Money, Decimal] = defaultdict(Decimal)
    refused: list[Refusal] = []
    for key, fragment in measured.fragments.items():
        price = prices.get(key)
        if not fragment:
            continue
        if isinstance(price, NodePrice):
            at_rate[price.per_gpu_hour_residual] += fragment
        else:
            refused.append(price or Refusal(f"node {key[1]}", "no price"))
    if not at_rate:
        return None, refused
    hourly = Money(Decimal(0), min(rate.currency for rate in at_rate))
    for rate, gpus in at_rate.items():
        hourly += rate * gpus
    inputs = {
        "fragmentation_ratio": f"{measured.ratio:.4f}",
        "fragmented_gpus": f"{measured.fragmented:.3f}",
        "priced_gpus": f"{sum(at_rate.values(), Decimal(0)):.3f}",
        "idle_gpus": str(measured.idle),
        "useless_gpus": str(measured.useless),
        "per_hour": str(hourly.exact),
        "hours_per_month": str(HOURS_PER_MONTH),
    }
    return Saving(hourly * HOURS_PER_MONTH, FORMULA, inputs), refused


def _recommend(
    cluster: str, measured: Measure, saving: Saving, confidence: float, evidence: Evidence
) -> Recommendation:
    named = f"cluster {cluster}" if cluster else "the cluster"
    return Recommendation(
        id=stable_id(KIND, cluster),
        kind=KIND,
        what=(
            f"{measured.ratio:.0%} of the {measured.idle} idle GPUs of {named} are fragments: "
            f"{measured.fragmented:.1f} GPUs are of no use to its typical pods, "
            f"{measured.useless} of them to none at all"
        ),
        where=Where(cluster),
        saves=saving,
        confidence=confidence,
        evidence=evidence,
        enforceable="node",
        risk=RISK,
    )
