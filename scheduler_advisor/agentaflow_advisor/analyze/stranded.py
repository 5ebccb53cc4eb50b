"""Stranded GPUs: free, on nodes whose CPU, memory or pod slots are used up by others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agentaflow_advisor.analyze import room
from agentaflow_advisor.analyze.findings import Findings, ordered, stable_id
from agentaflow_advisor.analyze.idleness import span
from agentaflow_advisor.analyze.room import Spare
from agentaflow_advisor.analyze.settings import bounded
from agentaflow_advisor.model import (
    HOURS_PER_MONTH,
    Evidence,
    Recommendation,
    Refusal,
    Saving,
    Snapshot,
    Where,
    Workload,
)
from agentaflow_advisor.place.capacity import Capacity
from agentaflow_advisor.price import NodeKey, NodePrice

SIGNALS = room.SIGNALS
KIND = "stranded-gpus"
PLENTY = 2**62
NAMES: Mapping[str, str] = {"cpu_millicores": "CPU", "memory_bytes": "memory", "pods": "pod slots"}
BOUND = frozenset({"DaemonSet", "Node"})  # owners whose pods belong to their node
NAMED = 3
FORMULA = "stranded_gpus x per_gpu_hour_residual x 730 h"
RISK = (
    "Moving a pod restarts it. It saves only if other pods come for the GPUs; smaller requests of "
    "the same pods may do as well."
)


@dataclass(frozen=True, slots=True)
class StrandedSettings:
    """Since when GPUs must have been stranded to be worth telling."""

    min_free_ratio: float = 0.5
    """Of the window, how much of it that many GPUs of the node must have been free (0 to 1)."""

    def __post_init__(self) -> None:
        bounded("min_free_ratio", self.min_free_ratio, 0, 1, "a ratio")


@dataclass(frozen=True, slots=True)
class Stranded:
    """So many GPUs, for lack of these resources; `freed` of them by moving `movable`."""

    gpus: int
    short: tuple[str, ...]
    movable: tuple[Workload, ...]
    freed: int


def analyze(
    snapshot: Snapshot,
    prices: Mapping[NodeKey, NodePrice | Refusal],
    settings: StrandedSettings,
) -> Findings:
    """A recommendation for each node with stranded GPUs."""
    spares = room.spares(snapshot)
    if not spares:
        return Findings((), () if snapshot.has_cluster else (room.BLIND,))
    pods = room.gpu_pods(snapshot)
    asks = room.least(room.typical(pods))
    if not asks:
        return Findings((), (Refusal("fleet", "no pod asks for GPUs: what they need is unknown"),))
    evidence = room.evidence(snapshot, len(pods))
    known = room.known_kinds(len(pods))
    found: list[Recommendation] = []
    refused: list[Refusal] = []
    for spare in spares:
        stranded = judge(spare, asks)
        if stranded is None:
            continue
        lasted = spare.lasted(stranded.gpus, snapshot.window_seconds)
        price = prices.get(spare.key)
        if lasted is None:
            refused.append(Refusal(spare.name, "how long its GPUs were free is not told"))
        elif lasted < settings.min_free_ratio:
            refused.append(Refusal(spare.name, _lately(stranded, lasted, snapshot)))
        elif not isinstance(price, NodePrice):
            refused.append(price or Refusal(spare.name, "no price"))
        else:
            found.append(_recommend(spare, stranded, price, lasted * known, evidence))
    return ordered(found, refused)


def judge(spare: Spare, asks: tuple[Capacity, ...]) -> Stranded | None:
    """Of its free GPUs, those that some typical pod would take if only there were CPU, memory and
    pod slots. None where there are none.
    """
    free = spare.free
    if free.gpus < 1:
        return None
    useful = usable(free, asks)
    most = usable(_with(free, dict.fromkeys(NAMES, PLENTY)), asks)
    if most <= useful:
        return None
    alone = [each for each in NAMES if usable(_with(free, {each: PLENTY}), asks) > useful]
    short = tuple(alone) or tuple(
        each
        for each in NAMES
        if usable(_with(free, {**dict.fromkeys(NAMES, PLENTY), each: getattr(free, each)}), asks)
        < most
    )
    movable, after = _movable(spare, asks, short, most)
    return Stranded(most - useful, short, movable, max(0, after - useful))


def _with(free: Capacity, amounts: Mapping[str, int]) -> Capacity:
    return Capacity.of_amounts({**free.amounts(), **amounts})


def usable(free: Capacity, asks: tuple[Capacity, ...]) -> int:
    """GPUs that pods of the one kind that takes most could take."""
    return max((_fitting(free, ask) * ask.gpus for ask in asks), default=0)


def _fitting(free: Capacity, ask: Capacity) -> int:
    pairs = (
        (free.gpus, ask.gpus),
        (free.cpu_millicores, ask.cpu_millicores),
        (free.memory_bytes, ask.memory_bytes),
        (free.pods, ask.pods),
    )
    return max(0, min(have // need for have, need in pairs if need > 0))


def _movable(
    spare: Spare, asks: tuple[Capacity, ...], short: tuple[str, ...], most: int
) -> tuple[tuple[Workload, ...], int]:
    """The fewest of its pods without GPUs, largest first, and how many GPUs are of use then."""
    first = short[0]
    pods = [pod for pod in spare.pods if pod.gpus == 0 and _owner(pod) not in BOUND]
    pods.sort(key=lambda pod: (-getattr(Capacity.of_workload(pod), first), pod.ref))
    left, useful = spare.free, usable(spare.free, asks)
    moved: list[Workload] = []
    chosen = 0
    for pod in pods:
        left = _plus(left, Capacity.of_workload(pod))
        moved.append(pod)
        now = usable(left, asks)
        if now > useful:
            useful, chosen = now, len(moved)
        if useful >= most:
            break
    return tuple(moved[:chosen]), useful


def _owner(pod: Workload) -> str:
    return (pod.owner or "").partition("/")[0]


def _plus(one: Capacity, other: Capacity) -> Capacity:
    nothing = Capacity(0, 0, 0, 0)
    return one.minus(nothing.minus(other))


def _lately(stranded: Stranded, lasted: float, snapshot: Snapshot) -> str:
    return (
        f"{_gpus(stranded.gpus)} stranded, but so many were free in {lasted:.0%} of "
        f"{span(snapshot.window_seconds)} only"
    )


def _gpus(number: int) -> str:
    return f"{number} GPU is" if number == 1 else f"{number} GPUs are"


def _recommend(
    spare: Spare, stranded: Stranded, price: NodePrice, confidence: float, evidence: Evidence
) -> Recommendation:
    node = spare.node
    per_gpu = price.per_gpu_hour_residual
    return Recommendation(
        id=stable_id(KIND, node.cluster, node.name),
        kind=KIND,
        what=(
            f"{_gpus(stranded.gpus)} free on {node.name} and of no use to the pods that this "
            f"cluster has: it lacks {' and '.join(NAMES[each] for each in stranded.short)} "
            f"({_left(spare.free)} left); {_remedy(stranded)}"
        ),
        where=Where(node.cluster, node.name),
        saves=Saving(
            per_month=per_gpu * (stranded.gpus * HOURS_PER_MONTH),
            formula=FORMULA,
            inputs={
                "stranded_gpus": str(stranded.gpus),
                "free_gpus": str(spare.free.gpus),
                "free_cpu_cores": f"{spare.free.cpu_millicores / 1000:g}",
                "free_memory_gib": f"{spare.free.memory_bytes / 2**30:.1f}",
                "free_pods": str(spare.free.pods),
                "gpus_freed_by_moving": str(stranded.freed),
                "per_gpu_hour_residual": str(per_gpu.exact),
                "hours_per_month": str(HOURS_PER_MONTH),
                "price": price.how,
            },
        ),
        confidence=confidence,
        evidence=evidence,
        enforceable="node",
        risk=RISK,
    )


def _left(free: Capacity) -> str:
    return (
        f"{free.cpu_millicores / 1000:g} cores, {free.memory_bytes / 2**30:.1f} GiB and "
        f"{free.pods} pod slots"
    )


def _remedy(stranded: Stranded) -> str:
    if not stranded.movable:
        return "no pod without GPUs holds enough of it: its GPU pods' own requests do"
    named = ", ".join(
        f"{pod.ref} ({pod.cpu_cores:g} cores, {pod.memory_bytes / 2**30:.1f} GiB)"
        for pod in stranded.movable[:NAMED]
    )
    more = len(stranded.movable) - NAMED
    rest = f" and {more} more pods" if more > 0 else ""
    return f"moving {named}{rest} elsewhere makes {stranded.freed} of use"
