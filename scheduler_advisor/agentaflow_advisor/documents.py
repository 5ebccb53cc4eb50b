"""The documents that both a command and the HTTP API give; their shape is a promise.

The schema in docs/recommendation.schema.json is made from these classes (schema.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from agentaflow_advisor.advice import Advice
from agentaflow_advisor.history import Standing
from agentaflow_advisor.model import (
    Action,
    Enforceable,
    Evidence,
    Money,
    Query,
    Recommendation,
    Refusal,
    Saving,
    Where,
)
from agentaflow_advisor.price import NodePrice
from agentaflow_advisor.savings import Total, saved, totals

SCHEMA_VERSION: Literal[1] = 1
"""Raised when a field goes or changes its meaning; a new field alone does not raise it."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What was looked at: the window ends at `taken_at`, Prometheus' evaluation time."""

    taken_at: float
    window_seconds: float
    percentile: float
    gpus: int
    nodes: int
    has_cluster: bool


@dataclass(frozen=True, slots=True)
class PricesUsed:
    """Whose prices, of when, and for how many nodes they were assumed from the GPU model."""

    table: str
    dated: str
    age_days: int
    warning: str | None
    basis: Literal["residual"]
    priced_nodes: int
    assumed_nodes: int


@dataclass(frozen=True, slots=True)
class Hidden:
    """How many recommendations are left out because somebody hid them."""

    dismissed: int
    snoozed: int


@dataclass(frozen=True, slots=True)
class Age:
    """From the history: when it was seen, how often, and who hid it until when and why."""

    first_seen_at: float
    last_seen_at: float
    times_seen: int
    by: str | None
    reason: str | None
    until_at: float | None


@dataclass(frozen=True, slots=True)
class RecommendationTold:
    """Something worth doing. The same finding has the same `id` tomorrow."""

    id: str
    kind: str
    what: str
    where: Where
    saves: Saving | None
    confidence: float
    evidence: Evidence
    enforceable: Enforceable
    risk: str
    action: Action | None
    state: Standing
    history: Age | None


@dataclass(frozen=True, slots=True)
class AdviceDocument:
    """What `agentaflow recommend -o json` and /api/v1/recommendations say."""

    schema_version: Literal[1]
    evidence: Looked
    queries: tuple[Query, ...]
    prices: PricesUsed
    totals: tuple[Total, ...]
    saves_per_month: tuple[Money, ...]
    hidden: Hidden
    recommendations: tuple[RecommendationTold, ...]
    refusals: tuple[Refusal, ...]


def advice_document(
    advice: Advice, price_warning: str | None, *, everything: bool = False
) -> AdviceDocument:
    """Sums are of those that nobody hid, also where `everything` lists the hidden ones."""
    hidden = advice.hidden
    listed = advice.recommendations if everything else advice.active
    return AdviceDocument(
        schema_version=SCHEMA_VERSION,
        evidence=_looked(advice),
        queries=advice.snapshot.queries,
        prices=_prices(advice, price_warning),
        totals=totals(advice.active),
        saves_per_month=saved(advice.active),
        hidden=Hidden(hidden[Standing.DISMISSED], hidden[Standing.SNOOZED]),
        recommendations=tuple(told(advice, listed)),
        refusals=advice.refusals,
    )


def told(advice: Advice, recommendations: Iterable[Recommendation]) -> list[RecommendationTold]:
    """Each with its state and age."""
    return [
        RecommendationTold(
            **{name: getattr(each, name) for name in Recommendation.__slots__},
            state=advice.standing(each),
            history=_age(advice, each),
        )
        for each in recommendations
    ]


def _age(advice: Advice, recommendation: Recommendation) -> Age | None:
    life = advice.lives.get(recommendation.id)
    if life is None:
        return None
    mark = life.mark if advice.standing(recommendation) is not Standing.ACTIVE else None
    return Age(
        life.first_seen_at,
        life.last_seen_at,
        life.times_seen,
        mark.by if mark else None,
        mark.reason if mark else None,
        mark.until_at if mark else None,
    )


def _looked(advice: Advice) -> Looked:
    snapshot = advice.snapshot
    return Looked(
        snapshot.taken_at,
        snapshot.window_seconds,
        snapshot.percentile,
        len(snapshot.gpus),
        len(snapshot.nodes),
        snapshot.has_cluster,
    )


def _prices(advice: Advice, warning: str | None) -> PricesUsed:
    table = advice.table
    priced = [price for price in advice.prices.values() if isinstance(price, NodePrice)]
    return PricesUsed(
        table.title,
        table.dated.isoformat(),
        table.age_days(advice.snapshot.taken_at),
        warning,
        "residual",
        len(priced),
        sum(price.assumed for price in priced),
    )
