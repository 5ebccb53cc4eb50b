"""Where a figure comes from: hours times a rate, and the steps that made the rate."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, localcontext

from agentaflow_advisor.analyze.allocation import Part, Piece, hours_of
from agentaflow_advisor.analyze.cost import EXACT, Basis, CostReport, CostRow, rate_of
from agentaflow_advisor.model import Money
from agentaflow_advisor.price import NodePrice, Step

FORMULAS = {
    "whole": "gpu_hours x rate; rate = node price / its GPUs x each step",
    "residual": "gpu_hours x rate; rate = (node price - its CPU and memory) / its GPUs x each step",
}


@dataclass(frozen=True, slots=True)
class Term:
    """One summand of a row's cost: hours of one kind under one price."""

    part: Part
    gpu_hours: Decimal
    rate: Money  # an hour of one GPU
    amount: Money
    base_per_gpu_hour: Money | None  # what the price list or your own price says
    steps: tuple[Step, ...]
    price: str  # where it is from
    assumed: bool


@dataclass(frozen=True, slots=True)
class Explanation:
    """A row's terms, which add up to its cost to the digit."""

    cluster: str
    name: str
    formula: str
    terms: tuple[Term, ...]
    unpriced_gpu_hours: Decimal


def explain(report: CostReport) -> tuple[Explanation, ...]:
    """One for each row, in the order of the rows."""
    return tuple(
        Explanation(
            row.cluster,
            row.name,
            FORMULAS[report.basis],
            _terms(_pieces(report, row), report.basis),
            row.unpriced_gpu_hours,
        )
        for row in report.rows
    )


def _pieces(report: CostReport, row: CostRow) -> tuple[Piece, ...]:
    return report.pieces.get((row.cluster, row.name), ())


def _terms(pieces: Iterable[Piece], basis: Basis) -> tuple[Term, ...]:
    groups: defaultdict[tuple[str, Part], list[tuple[Piece, NodePrice]]] = defaultdict(list)
    for piece in pieces:
        if piece.price is not None and piece.hours:
            groups[f"{piece.price.how} {rate_of(piece.price, basis)}", piece.part].append(
                (piece, piece.price)
            )
    with localcontext(prec=EXACT):
        terms = [
            _term([piece for piece, _ in found], found[0][1], basis) for found in groups.values()
        ]
    return tuple(sorted(terms, key=lambda term: (-term.amount.amount, term.part, term.price)))


def _term(pieces: list[Piece], price: NodePrice, basis: Basis) -> Term:
    hours, rate = hours_of(pieces), rate_of(price, basis)
    return Term(
        part=pieces[0].part,
        gpu_hours=hours,
        rate=rate,
        amount=rate * hours,
        base_per_gpu_hour=price.base_per_gpu_hour,
        steps=price.steps,
        price=price.how,
        assumed=price.assumed,
    )
