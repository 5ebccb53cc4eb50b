"""Builders of recommendations, looks and whole advice, so that a test says only what matters."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from typing import Any

from agentaflow_advisor.advice import Advice
from agentaflow_advisor.analyses import Outcome
from agentaflow_advisor.analyze import Findings
from agentaflow_advisor.history import Look
from agentaflow_advisor.model import (
    Evidence,
    Money,
    Recommendation,
    Refusal,
    Saving,
    Snapshot,
    Where,
)
from agentaflow_advisor.price import PriceTable

NOW = 1_800_000_000.0


def recommendation(
    name: str = "one", amount: str | None = "10", currency: str = "USD", **changes: Any
) -> Recommendation:
    """About GPU-`name` on node-0, which would save that much a month."""
    made = Recommendation(
        id=f"idle-gpu-{name}",
        kind="idle-gpu",
        what=f"GPU {name} did nothing",
        where=Where("", "node-0", name, f"GPU-{name}", "research", "notebook"),
        saves=Saving(Money(Decimal(amount), currency), "price x 730 h") if amount else None,
        confidence=0.99,
        evidence=Evidence(("max_over_time(x[7d])",), NOW, 15.0, 10_080),
        enforceable="none",
        risk="Ask first.",
    )
    return replace(made, **changes)


def about(amount: str, currency: str = "USD", **where: str) -> Recommendation:
    """One that would save that much a month there."""
    return recommendation("x", amount, currency, where=Where(**where))


def look(*found: Recommendation, at: float = NOW, **changes: Any) -> Look:
    """A look that could judge everything."""
    made = Look(at, found, {each.id: "idle" for each in found})
    return replace(made, **changes)


def advice(
    found: Iterable[Recommendation], refusals: Iterable[Refusal] = (), **changes: Any
) -> Advice:
    """Advice with these findings, at the shipped prices."""
    found, refusals = tuple(found), tuple(refusals)
    outcome = Outcome(Findings(found, refusals), {each.id: "idle" for each in found}, {})
    snapshot = Snapshot(NOW, 604_800.0, 0.95, gpus=())
    made = Advice(snapshot, PriceTable.load(), {}, found, refusals, outcome)
    return replace(made, **changes)
