"""What GPUs cost over the window, and how much of that was idle, unallocated or unjudged."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from itertools import chain
from typing import Literal

from agentaflow_advisor.analyze import idle
from agentaflow_advisor.analyze.allocation import (
    Part,
    Piece,
    allocate,
    attributed_clusters,
    seen_seconds,
)
from agentaflow_advisor.analyze.energy import Energy, EnergyRates, energy_of
from agentaflow_advisor.analyze.grouping import NO_NAMESPACE, By, naming
from agentaflow_advisor.analyze.holding import witness
from agentaflow_advisor.analyze.idleness import IdleSettings
from agentaflow_advisor.analyze.sharers import COLLECTOR, NOBODY_SHARED, Sharers
from agentaflow_advisor.model import Money, Refusal, Snapshot
from agentaflow_advisor.price import NodeKey, NodePrice, Terms

__all__ = [
    "NO_NAMESPACE",
    "Basis",
    "By",
    "CostReport",
    "CostRow",
    "joined",
    "report",
    "seen_seconds",
]

Basis = Literal["whole", "residual"]
PARTS: tuple[Part, ...] = ("used", "idle", "unallocated", "unjudged")
EXACT = 60
"""Digits that no product or sum of a report outgrows, so that parts add up to the last one."""
SIGNALS = idle.SIGNALS | {
    "present",
    "held",
    "held_slices",
    "energy",
    "memory_total",
    "utilization_mean",  # of what sharers of a GPU held, the part that was used
}
POD_SIGNALS = SIGNALS | {"held_pods"}
"""By pod: one series for each pod of the window, so not asked for without need."""
HOURS_SIGNALS = frozenset({"info", "up", "present", "held", "held_slices", "memory_total"})
"""Enough for what was spent, though not for what of it was idle."""
BLIND = "no pod is known to have held a GPU"


@dataclass(frozen=True, slots=True)
class CostRow:
    """One row's money. `cost` is used + idle + unallocated + unjudged, to the digit.

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
    energy: Energy = field(default_factory=Energy)


@dataclass(frozen=True, slots=True)
class CostReport:
    """Rows by falling cost, their total to the digit, and what could not be told.

    `pieces` are what each row, by cluster and name, is the sum of.
    """

    basis: Basis
    rows: tuple[CostRow, ...]
    total: CostRow
    refusals: tuple[Refusal, ...]
    pieces: Mapping[tuple[str, str], tuple[Piece, ...]] = field(default_factory=dict)


def report(
    snapshot: Snapshot,
    prices: Mapping[NodeKey, NodePrice | Refusal],
    settings: IdleSettings,
    *,
    by: By,
    basis: Basis = "whole",
    terms: Terms | None = None,
    team_label: str | None = None,
    energy: EnergyRates | None = None,
    sharers: Sharers = NOBODY_SHARED,
) -> CostReport:
    """Hours in which a GPU was seen, times its price; a GPU that pods share is counted once.

    Pods that share a GPU split its use by what each did, else evenly, and its idle time evenly;
    holders of MIG slices split it by the part of the GPU that theirs is. `whole` adds up to the
    nodes' bill. Raises CurrencyMismatch.
    """
    currency = _currency(prices, terms)
    rates = energy or EnergyRates()
    name = naming(by, snapshot, terms, team_label)
    with localcontext(prec=EXACT):
        pieces = allocate(snapshot, prices, settings, sharers)
    groups: defaultdict[tuple[str, str], list[Piece]] = defaultdict(list)
    for piece in pieces:
        groups[piece.gpu.cluster, name(piece)].append(piece)
    said = _refusals(snapshot, prices, by, pieces)
    return _summed(by, basis, groups, rates, currency, said)


def joined(reports: Sequence[CostReport], energy: EnergyRates | None = None) -> CostReport:
    """Reports of spans that follow one another as one: each of its sums is the sum of theirs."""
    if len(reports) == 1:
        return reports[0]
    groups: defaultdict[tuple[str, str], list[Piece]] = defaultdict(list)
    for report in reports:
        for key, pieces in report.pieces.items():
            groups[key] += pieces
    said = dict.fromkeys(refusal for report in reports for refusal in report.refusals)
    first = reports[0]
    rates, currency = energy or EnergyRates(), first.total.cost.currency
    return _summed(first.total.by, first.basis, groups, rates, currency, tuple(said))


def _summed(
    by: By,
    basis: Basis,
    groups: Mapping[tuple[str, str], Sequence[Piece]],
    rates: EnergyRates,
    currency: str,
    refusals: tuple[Refusal, ...],
) -> CostReport:
    with localcontext(prec=EXACT):
        rows = [_row(by, *key, groups[key], basis, rates, currency) for key in sorted(groups)]
        rows.sort(key=lambda row: -row.cost.amount)
        everything = chain.from_iterable(groups[key] for key in sorted(groups))
        total = _row(by, "", "total", everything, basis, rates, currency)
    pieces = {key: tuple(found) for key, found in groups.items()}
    return CostReport(basis, tuple(rows), total, refusals, pieces)


def rate_of(price: NodePrice, basis: Basis) -> Money:
    """What an hour of one GPU costs."""
    return price.per_gpu_hour_residual if basis == "residual" else price.per_gpu_hour_whole


def _currency(prices: Mapping[NodeKey, NodePrice | Refusal], terms: Terms | None) -> str:
    if terms:
        return terms.currency
    known = (price for price in prices.values() if isinstance(price, NodePrice))
    return min((price.per_hour.currency for price in known), default="USD")


def _row(
    by: By,
    cluster: str,
    name: str,
    pieces: Iterable[Piece],
    basis: Basis,
    rates: EnergyRates,
    currency: str,
) -> CostRow:
    pieces = tuple(pieces)
    at_rate: defaultdict[tuple[Part, str, Decimal], Decimal] = defaultdict(Decimal)
    unpriced = Decimal(0)
    for piece in pieces:
        if piece.price is None:
            unpriced += piece.hours
        else:
            rate = rate_of(piece.price, basis)
            at_rate[piece.part, rate.currency, rate.amount] += piece.hours
    amounts = dict.fromkeys(PARTS, Money(Decimal(0), currency))
    for (part, code, hourly), hours in at_rate.items():
        amounts[part] += Money(hourly * hours, code)
    return CostRow(
        by=by,
        cluster=cluster,
        name=name,
        gpu_hours=unpriced + sum(at_rate.values(), Decimal(0)),
        unpriced_gpu_hours=unpriced,
        cost=amounts["used"] + amounts["idle"] + amounts["unallocated"] + amounts["unjudged"],
        used=amounts["used"],
        idle=amounts["idle"],
        unallocated=amounts["unallocated"],
        unjudged=amounts["unjudged"],
        assumed=any(piece.price is not None and piece.price.assumed for piece in pieces),
        energy=energy_of(pieces, rates, currency),
    )


def _refusals(
    snapshot: Snapshot,
    prices: Mapping[NodeKey, NodePrice | Refusal],
    by: By,
    pieces: Iterable[Piece],
) -> tuple[Refusal, ...]:
    attributed = attributed_clusters(snapshot)
    found = {price for price in prices.values() if isinstance(price, Refusal)}
    found |= {
        Refusal(
            f"cluster {gpu.cluster}".strip(),
            f"{BLIND} ({witness(gpu)}): nothing is called unallocated",
        )
        for gpu in snapshot.gpus
        if gpu.cluster not in attributed and not snapshot.missing.why(gpu.cluster)
    }
    evenly = {piece.gpu.uuid for piece in pieces if piece.evenly}
    if evenly:
        said = (
            f"pods shared {len(evenly)} of them and which pod used them is not told: use and idle "
            f"time are split evenly; the exporter's collector {COLLECTOR} tells it"
        )
        found.add(Refusal("GPUs", said))
    if by in ("pod", "workload"):
        found |= {
            Refusal(
                f"cluster {piece.gpu.cluster}".strip(),
                "which pod held a GPU is not told, only its namespace: "
                f"some rows cannot be split by {by}",
            )
            for piece in pieces
            if piece.namespace and not piece.pod
        }
    return tuple(sorted(found, key=lambda refusal: (refusal.subject, refusal.reason)))
