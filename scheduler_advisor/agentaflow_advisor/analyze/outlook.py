"""The outlook: forecasts of demand, what they will cost, and when GPUs run out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from agentaflow_advisor.analyze.capacity import judge
from agentaflow_advisor.analyze.cost import CostReport
from agentaflow_advisor.analyze.findings import ordered
from agentaflow_advisor.analyze.forecast import Forecast, ForecastSettings, forecast
from agentaflow_advisor.analyze.grouping import NO_CLUSTER
from agentaflow_advisor.model import Demand, Money, Recommendation, Refusal

By = Literal["cluster", "namespace"]
Place = tuple[str, str]
"""Cluster and namespace; no namespace is all of the cluster."""


@dataclass(frozen=True, slots=True)
class OutlookRow:
    """One forecast and its cost; None where no price is known."""

    cluster: str
    name: str
    forecast: Forecast
    per_gpu_hour: Money | None  # today's mean over the GPUs that it holds
    cost: Money | None
    cost_low: Money | None
    cost_high: Money | None


@dataclass(frozen=True, slots=True)
class Outlook:
    """Rows by falling GPU hours, recommendations, and what could not be said."""

    rows: tuple[OutlookRow, ...]
    recommendations: tuple[Recommendation, ...]
    refusals: tuple[Refusal, ...]


def outlook(
    demand: Demand,
    prices: Mapping[Place, Money],
    *,
    by: By,
    horizon_seconds: float,
    settings: ForecastSettings,
) -> Outlook:
    """Of each cluster, or of each namespace. Prices are per GPU hour, as of now."""
    rows: list[OutlookRow] = []
    refused: list[Refusal] = []
    for series in demand.series:
        if bool(series.name) != (by == "namespace"):
            continue
        told = forecast(series, horizon_seconds, settings)
        if isinstance(told, Refusal):
            refused.append(told)
            continue
        price = prices.get((series.cluster, series.name))
        if price is None:
            subject = f"cost of {series.name or series.cluster or NO_CLUSTER}"
            refused.append(Refusal(subject, "no price of the GPUs that it holds now is known"))
        rows.append(_row(told, price))
    findings = judge(demand, horizon_seconds, settings)
    rows.sort(key=lambda row: (-row.forecast.gpu_hours, row.cluster, row.name))
    everything = ordered(findings.recommendations, [*findings.refusals, *refused])
    return Outlook(tuple(rows), everything.recommendations, everything.refusals)


def prices_of(report: CostReport) -> Mapping[Place, Money]:
    """Money over priced GPU hours, of each row of a report by cluster or by namespace."""
    found: dict[Place, Money] = {}
    for row in report.rows:
        hours = row.gpu_hours - row.unpriced_gpu_hours
        if hours > 0:
            name = "" if row.by == "cluster" else row.name
            found[row.cluster, name] = Money(row.cost.amount / hours, row.cost.currency)
    return found


def _row(told: Forecast, price: Money | None) -> OutlookRow:
    hours = (told.gpu_hours, told.gpu_hours_low, told.gpu_hours_high)
    costs = [price * _decimal(each) if price else None for each in hours]
    return OutlookRow(told.cluster, told.name, told, price, *costs)


def _decimal(value: float) -> Decimal:
    return Decimal(str(round(value, 3)))
