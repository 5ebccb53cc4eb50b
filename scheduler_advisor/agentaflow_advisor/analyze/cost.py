"""What GPUs cost over the window, and how much of that was idle, unallocated or unjudged."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from agentaflow_advisor.analyze import idle
from agentaflow_advisor.analyze.holding import witness
from agentaflow_advisor.analyze.idleness import Busy, Idle, IdleSettings, Verdict, judge
from agentaflow_advisor.model import Gpu, Money, Refusal, Snapshot
from agentaflow_advisor.price import NodeKey, NodePrice

Part = Literal["used", "idle", "unallocated", "unjudged"]
By = Literal["gpu", "node", "namespace"]
Basis = Literal["whole", "residual"]
NO_NAMESPACE = "(none)"
HOUR = Decimal(3600)
SIGNALS = idle.SIGNALS | {"present", "held"}


@dataclass(frozen=True, slots=True)
class CostRow:
    """One GPU, node or namespace. `cost` is used + idle + unallocated + unjudged, to the digit.

    idle: held, and judged idle over the whole window. unallocated: time in which no pod held it.
    unjudged: held, but the evidence allows no verdict. Hours without a price are in no amount.
    """

    by: By
    cluster: str
    name: str
    gpu_hours: Decimal
    unpriced_gpu_hours: Decimal
    cost: Money
    used: Money
    idle: Money
    unallocated: Money
    unjudged: Money
    assumed: bool  # some of the prices are assumed


@dataclass(frozen=True, slots=True)
class CostReport:
    """Rows by falling cost, their total, and what could not be told."""

    basis: Basis
    rows: tuple[CostRow, ...]
    total: CostRow
    refusals: tuple[Refusal, ...]


@dataclass(frozen=True, slots=True)
class _Piece:
    """Some hours of one GPU under one price, in one namespace, of one kind."""

    gpu: Gpu
    namespace: str
    part: Part
    hours: Decimal
    price: NodePrice | None


def report(
    snapshot: Snapshot,
    prices: Mapping[NodeKey, NodePrice | Refusal],
    settings: IdleSettings,
    *,
    by: By,
    basis: Basis = "whole",
) -> CostReport:
    """Hours in which a GPU was seen, times its price; a GPU that pods share is counted once.

    Sharers split a GPU's time evenly, moment by moment. `whole` adds up to the nodes' bill.
    """
    attributed = frozenset(gpu.cluster for gpu in snapshot.gpus if gpu.held)
    pieces: list[_Piece] = []
    for gpu in sorted(snapshot.gpus, key=lambda gpu: (gpu.cluster, gpu.node, gpu.uuid)):
        price = prices.get((gpu.cluster, gpu.node))
        known = price if isinstance(price, NodePrice) else None
        verdict = judge(gpu, snapshot, settings)
        pieces += _pieces(gpu, known, verdict, blind=gpu.cluster not in attributed)
    groups: defaultdict[tuple[str, str], list[_Piece]] = defaultdict(list)
    for piece in pieces:
        groups[piece.gpu.cluster, _name(piece, by)].append(piece)
    rows = [_row(by, *key, groups[key], basis) for key in sorted(groups)]
    rows.sort(key=lambda row: -row.cost.amount)
    return CostReport(
        basis,
        tuple(rows),
        _row(by, "", "total", pieces, basis),
        _refusals(snapshot, prices, attributed),
    )


def _pieces(
    gpu: Gpu, price: NodePrice | None, verdict: Verdict, *, blind: bool
) -> Iterator[_Piece]:
    """`blind`: in this cluster it is not known which pods hold GPUs."""
    held_as: Part = (
        "used" if isinstance(verdict, Busy) else "idle" if isinstance(verdict, Idle) else "unjudged"
    )
    left = _seconds(seen_seconds(gpu))
    for held in gpu.held:
        seconds = min(left, _seconds(held.seconds))
        left -= seconds
        yield _Piece(gpu, held.namespace, held_as, seconds / HOUR, price)
    outside_pods = isinstance(verdict, Busy) and not gpu.held  # worked, yet for no pod
    if left > 0 or not gpu.held:
        rest = held_as if blind or outside_pods else "unallocated"
        yield _Piece(gpu, "", rest, left / HOUR, price)


def seen_seconds(gpu: Gpu) -> float:
    """How long the GPU was there in the window, by the best evidence there is."""
    if gpu.present_seconds is not None:
        return gpu.present_seconds
    return gpu.utilization.covered_seconds if gpu.utilization else 0.0


def _seconds(value: float) -> Decimal:
    return Decimal(str(round(value, 3)))


def _name(piece: _Piece, by: By) -> str:
    match by:
        case "gpu":
            return f"{piece.gpu.node}/{piece.gpu.index or piece.gpu.uuid}"
        case "node":
            return piece.gpu.node
        case "namespace":
            return piece.namespace or NO_NAMESPACE


def _row(by: By, cluster: str, name: str, pieces: Iterable[_Piece], basis: Basis) -> CostRow:
    hours = unpriced = Decimal(0)
    amounts: dict[Part, Money] = {
        "used": Money(Decimal(0)),
        "idle": Money(Decimal(0)),
        "unallocated": Money(Decimal(0)),
        "unjudged": Money(Decimal(0)),
    }
    assumed = False
    for piece in pieces:
        hours += piece.hours
        if piece.price is None:
            unpriced += piece.hours
            continue
        rate = piece.price.per_gpu_hour_whole
        if basis == "residual":
            rate = piece.price.per_gpu_hour_residual
        amounts[piece.part] += rate * piece.hours
        assumed = assumed or piece.price.assumed
    cost = amounts["used"] + amounts["idle"] + amounts["unallocated"] + amounts["unjudged"]
    return CostRow(by, cluster, name, hours, unpriced, cost, **amounts, assumed=assumed)


def _refusals(
    snapshot: Snapshot,
    prices: Mapping[NodeKey, NodePrice | Refusal],
    attributed: Collection[str],
) -> tuple[Refusal, ...]:
    unpriced = {price for price in prices.values() if isinstance(price, Refusal)}
    blind = {
        Refusal(
            f"cluster {gpu.cluster}".strip(),
            f"no pod is known to have held a GPU ({witness(gpu)}): nothing is called unallocated",
        )
        for gpu in snapshot.gpus
        if gpu.cluster not in attributed
    }
    return tuple(sorted(unpriced | blind, key=lambda refusal: (refusal.subject, refusal.reason)))
