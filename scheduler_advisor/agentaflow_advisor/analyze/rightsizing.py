"""Right-sizing: pods that a cheaper GPU, a MIG slice or a shared GPU would do for.

Only peaks count. Where nobody tells how many multiprocessors work, the highest utilization stands
for it; a smaller home is taken to be slower by the worse of two published peaks, bandwidth and
tensor throughput. A GPU is in one recommendation at most.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from agentaflow_advisor.analyze import sharing
from agentaflow_advisor.analyze.findings import Findings, ordered, stable_id
from agentaflow_advisor.analyze.grounds import grounds
from agentaflow_advisor.analyze.holding import unattributed
from agentaflow_advisor.analyze.idleness import USAGE, IdleSettings
from agentaflow_advisor.analyze.needs import SM_HIGH, Need, RightsizingSettings, needs
from agentaflow_advisor.analyze.smaller import Homes, Smaller
from agentaflow_advisor.model import (
    HOURS_PER_MONTH,
    Money,
    Recommendation,
    Refusal,
    Saving,
    Snapshot,
    Where,
)
from agentaflow_advisor.price import NodeKey, NodePrice, PriceTable
from agentaflow_advisor.price.slices import Slice, slices_of

SIGNALS = frozenset(USAGE) | {
    "info",
    "up",
    "pods",
    "held",
    "memory_total",
    "memory_used_max",
    "mig_enabled",
    SM_HIGH,
}
EVIDENCE = ("utilization_max", "utilization_samples", "memory_used_max", "held", SM_HIGH)
SMALLER, SLICE = "smaller-gpu", "mig-slice"
BY_DATA_SHEET, SAME_SILICON = 0.8, 0.9
"""Ours, not measured: another GPU's speed is by published peaks, a slice's by its part."""
UNPROFILED = (
    "it needs less than half of its memory, but utilization does not tell how much of the GPU "
    f"works, and nobody tells {SM_HIGH}"
)
SLICE_FORMULA = "per_gpu_hour_residual x (1 - share) x 730 h"
SLICE_RISK = (
    "Saves only if others use the rest of the GPU. Changing to MIG mode empties the GPU first; a "
    "program in a slice cannot use NVLink or other GPUs, and its peaks take longer."
)


@dataclass(frozen=True, slots=True)
class _Option:
    kind: str
    said: str
    saves: Saving
    risk: str
    certainty: float  # that what has room by these figures does in practice, 0 to 1
    enforceable: bool = False


def analyze(
    snapshot: Snapshot,
    prices: Mapping[NodeKey, NodePrice | Refusal],
    table: PriceTable | None,
    settings: RightsizingSettings,
    idle: IdleSettings,
) -> Findings:
    """One recommendation for a GPU at most; a refusal for each held one that cannot be judged."""
    found: list[Recommendation] = []
    refused: list[Refusal] = list(unattributed(snapshot))
    homes = Homes(snapshot, table, settings)
    alone: list[tuple[Need, NodePrice]] = []
    for need in sorted(needs(snapshot, settings, idle), key=_name):
        price = prices.get((need.gpu.cluster, need.gpu.node)) if isinstance(need, Need) else None
        if isinstance(need, Refusal):
            refused.append(need)
        elif not isinstance(price, NodePrice):
            refused.append(price or Refusal(need.gpu.name, "its node has no price"))
        elif option := _best(need, price, homes, settings):
            found.append(_recommend(need, option, snapshot))
        else:
            alone.append((need, price))
    pairs = sharing.pairs(alone, settings)
    taken = {one.gpu.uuid for pair in pairs for one in (pair.stays, pair.moves)}
    found += [sharing.recommend(pair, snapshot) for pair in pairs]
    refused += [
        Refusal(need.gpu.name, UNPROFILED)
        for need, _ in alone
        if need.gpu.uuid not in taken and _hidden(need, settings)
    ]
    return ordered(found, refused)


def _name(need: Need | Refusal) -> tuple[str, str]:
    if isinstance(need, Refusal):
        return (need.subject, "")
    return (need.gpu.name, need.gpu.uuid)


def _hidden(need: Need, settings: RightsizingSettings) -> bool:
    """Whether memory has room, and only a high utilization, which says little, stands against."""
    high = need.activity > settings.max_activity_ratio
    return not need.profiled and high and need.memory_bytes <= need.total_bytes / 2


def _best(
    need: Need, price: NodePrice, homes: Homes, settings: RightsizingSettings
) -> _Option | None:
    options = [
        option
        for option in (_smaller(need, price, homes), _slice(need, price, settings))
        if option and option.saves.per_month.amount > 0
    ]
    return max(options, key=lambda each: (each.saves.per_month.amount, each.kind), default=None)


def _smaller(need: Need, price: NodePrice, homes: Homes) -> _Option | None:
    home = homes.cheapest(need, price)
    if home is None:
        return None
    return _Option(
        SMALLER,
        f"one {home.name} has room for that: {home.price.instance_type} with one costs "
        f"{home.price.per_hour} an hour, this one's part of its node "
        f"{price.per_gpu_hour_whole}",
        home.saving(price),
        _risk(need, home),
        BY_DATA_SHEET,
        home.here,
    )


def _risk(need: Need, home: Smaller) -> str:
    asks = "" if need.workload else " What CPU and memory it asks for is not known here."
    node = (
        "The bill falls when the node goes: once its other pods have moved too, or others use the "
        "GPU that gets free."
    )
    return (
        f"{node} Work takes up to {home.slowdown:.3g} times longer at its peaks (by data sheet); "
        f"older GPUs lack number formats (bf16, fp8) and fast double precision.{asks} Try it first."
    )


def _slice(need: Need, price: NodePrice, settings: RightsizingSettings) -> _Option | None:
    chosen = next((each for each in slices_of(need.model) if _holds(each, need, settings)), None)
    if chosen is None:
        return None
    return _Option(
        SLICE,
        f"a slice {chosen.profile} has room for that, {chosen.share:.0%} of the GPU",
        Saving(
            per_month=_month(price, 1 - chosen.share),
            formula=SLICE_FORMULA,
            inputs={
                "per_gpu_hour_residual": str(price.per_gpu_hour_residual.exact),
                "profile": chosen.profile,
                "share": f"{chosen.share:.9f}",
                "hours_per_month": str(HOURS_PER_MONTH),
                "price": price.how,
            },
        ),
        SLICE_RISK,
        SAME_SILICON,
    )


def _holds(each: Slice, need: Need, settings: RightsizingSettings) -> bool:
    memory = need.memory_bytes <= float(each.memory) * need.total_bytes
    return memory and need.activity <= settings.max_activity_ratio * float(each.compute)


def _month(price: NodePrice, part: Decimal) -> Money:
    return price.per_gpu_hour_residual * (part * HOURS_PER_MONTH)


def _recommend(need: Need, option: _Option, snapshot: Snapshot) -> Recommendation:
    gpu, pod = need.gpu, need.pod
    peak = (gpu.memory_used_max_bytes or 0.0) / 2**30
    return Recommendation(
        id=stable_id(option.kind, gpu.cluster, gpu.node, gpu.uuid, str(pod)),
        kind=option.kind,
        what=(
            f"{pod} holds GPU {gpu.index or gpu.uuid} ({need.model}) on {gpu.node} and used "
            f"{peak:.1f} GiB of its memory at most, {need.shown}; {option.said}"
        ),
        where=Where(gpu.cluster, gpu.node, gpu.index, gpu.uuid, pod.namespace, pod.name),
        saves=option.saves,
        confidence=need.confidence * option.certainty,
        evidence=grounds(gpu, snapshot, EVIDENCE),
        enforceable="node" if option.enforceable else "none",
        risk=option.risk,
    )
