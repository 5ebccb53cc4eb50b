"""report forecast: the GPUs that will be held, what they will cost, and when there are too few."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from agentaflow_advisor.advice import load_prices, observe, price_warning
from agentaflow_advisor.analyze import cost
from agentaflow_advisor.analyze.outlook import Outlook, OutlookRow, outlook, prices_of
from agentaflow_advisor.commands.session import Session, command
from agentaflow_advisor.connections import open_cluster_if_given, open_prometheus
from agentaflow_advisor.model import Demand, Money, Refusal, Snapshot
from agentaflow_advisor.observe.demand import demand
from agentaflow_advisor.price import price_nodes
from agentaflow_advisor.render import Column, duration, iso, sureness

DAY = 86_400.0


class By(StrEnum):
    NAMESPACE = "namespace"
    CLUSTER = "cluster"


Grouping = Annotated[By, typer.Option("--by", help="What a row is about.")]
Days = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, max=90, help="How far ahead; by default forecast_seconds."),
]


@command("window_seconds", "dialect", "prices_file", "cost_file", "forecast_history_seconds")
def forecast(session: Session, by: Grouping = By.NAMESPACE, days: Days = None) -> int:
    """Say how many GPUs will be held, with a band, what that costs, and when they run out."""
    settings, output = session.settings, session.output
    horizon = days * DAY if days else settings.forecast_seconds
    table = load_prices(settings)
    snapshot, told, refusals = _look(session, by)
    session.warn_of(snapshot.missing)
    report = cost.report(
        snapshot,
        price_nodes(snapshot, table),
        settings.idle(),
        by=by.value,
        basis="whole",
        terms=table.terms,
    )
    found = outlook(
        told,
        prices_of(report),
        by=by.value,
        horizon_seconds=horizon,
        settings=settings.forecast(),
    )
    warning = price_warning(settings, table, snapshot.taken_at)
    if output.as_json:
        head = {"taken_at": snapshot.taken_at, "by": by.value, "horizon_seconds": horizon}
        every = (*refusals, *snapshot.refusals, *found.refusals)
        output.document({**head, **_body(told, found, every), "prices": {"warning": warning}})
        return 0
    _show(session, snapshot, found, by, horizon)
    for refusal in (*refusals, *found.refusals):
        output.line(f"{refusal.subject}: {refusal.reason}")
    if warning:
        output.note(f"agentaflow: warning: {warning}")
    return 0


def _look(session: Session, by: By) -> tuple[Snapshot, Demand, tuple[Refusal, ...]]:
    """What the GPUs cost now, and how many were held over time."""
    settings = session.settings
    with (
        open_cluster_if_given(settings) as client,
        open_prometheus(settings) as prometheus,
        session.output.progress("asking Prometheus"),
    ):
        snapshot = observe(settings, prometheus, client, cost.SIGNALS)
        told, refusals = demand(
            prometheus,
            at=snapshot.taken_at,
            history_seconds=settings.forecast_history_seconds,
            by=by.value,
            dialects=snapshot.dialects,
        )
    return snapshot, told, refusals


def _body(told: Demand, found: Outlook, refusals: tuple[Refusal, ...]) -> dict[str, object]:
    return {
        "queries": told.promql,
        "capacity": told.capacity,
        "rows": [_document(row) for row in found.rows],
        "recommendations": found.recommendations,
        "refusals": refusals,
    }


def _document(row: OutlookRow) -> dict[str, object]:
    told = row.forecast
    steps = ("step_seconds", "coverage", "point", "low", "high")
    sums = ("gpu_hours", "gpu_hours_low", "gpu_hours_high", "lately", "drift_per_week")
    return {
        "cluster": row.cluster,
        "name": row.name,
        **{name: getattr(told, name) for name in sums},
        "per_gpu_hour": row.per_gpu_hour,
        "cost": row.cost,
        "cost_low": row.cost_low,
        "cost_high": row.cost_high,
        "error": told.error,
        "naive_error": told.naive_error,
        "history_seconds": told.history_seconds,
        "start_at": told.start,
        **{name: getattr(told, name) for name in steps},
    }


def _show(session: Session, snapshot: Snapshot, found: Outlook, by: By, horizon: float) -> None:
    output = session.output
    headings = [by.value.upper(), "GPUS LATELY", "A WEEK", "GPU HOURS", "BAND", "COST", "BAND"]
    headings.append("ERROR / NAIVE")
    several = len({row.cluster for row in found.rows}) > 1
    columns = [Column(heading, right=index > 0) for index, heading in enumerate(headings)]
    output.table(columns, [_cells(row, several=several) for row in found.rows])
    output.line(
        f"{duration(horizon)} ahead of {iso(snapshot.taken_at)}, "
        f"{session.settings.forecast_coverage_ratio:.0%} bands; at today's mean price per hour; "
        "errors in GPUs, from going back in the same history"
    )
    for each in found.recommendations:
        output.line(f"{each.what} (confidence {sureness(each.confidence)})")


def _cells(row: OutlookRow, *, several: bool) -> tuple[str, ...]:
    told = row.forecast
    name = "/".join(filter(None, (row.cluster if several else "", row.name)))
    return (
        name or row.cluster or "-",
        f"{told.lately:,.1f}",
        f"{told.drift_per_week:+,.1f}",
        f"{told.gpu_hours:,.0f}",
        f"{told.gpu_hours_low:,.0f} to {told.gpu_hours_high:,.0f}",
        _money(row.cost),
        f"{_money(row.cost_low)} to {_money(row.cost_high)}" if row.cost else "-",
        f"{told.error:,.1f} / {told.naive_error:,.1f}",
    )


def _money(amount: Money | None) -> str:
    return "-" if amount is None else f"{amount.rounded(0).amount:,} {amount.currency}"
