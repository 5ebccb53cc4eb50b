"""report cost and report efficiency: where the money went, and how well the GPUs were used."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from enum import StrEnum
from typing import Annotated

import typer

from agentaflow_advisor.advice import load_prices, observe, price_warning
from agentaflow_advisor.analyze.cost import SIGNALS as COST_SIGNALS
from agentaflow_advisor.analyze.cost import CostReport, CostRow
from agentaflow_advisor.analyze.cost import report as cost_of
from agentaflow_advisor.analyze.efficiency import SIGNALS as EFFICIENCY_SIGNALS
from agentaflow_advisor.analyze.efficiency import EfficiencyRow
from agentaflow_advisor.analyze.efficiency import report as efficiency_of
from agentaflow_advisor.commands.session import Session, command
from agentaflow_advisor.connections import open_cluster_if_given, open_prometheus
from agentaflow_advisor.model import Refusal, Snapshot
from agentaflow_advisor.price import price_nodes
from agentaflow_advisor.render import Column, duration, iso, percent


class By(StrEnum):
    NAMESPACE = "namespace"
    NODE = "node"
    GPU = "gpu"


class Basis(StrEnum):
    WHOLE = "whole"
    RESIDUAL = "residual"


Grouping = Annotated[By, typer.Option("--by", help="What a row is about.")]


@command("window_seconds", "dialect", "percentile", "prices_file")
def cost(
    session: Session,
    by: Grouping = By.NAMESPACE,
    basis: Annotated[
        Basis,
        typer.Option(
            help="whole: the node's price over its GPUs. residual: without CPU and memory."
        ),
    ] = Basis.WHOLE,
) -> int:
    """Say what the GPUs cost over the window, and how much of it was idle or unallocated."""
    settings = session.settings
    table = load_prices(settings)
    snapshot = _look(session, COST_SIGNALS)
    report = cost_of(
        snapshot, price_nodes(snapshot, table), settings.idle(), by=by.value, basis=basis.value
    )
    warning = price_warning(settings, table, snapshot.taken_at)
    if session.output.as_json:
        document = {
            "taken_at": snapshot.taken_at,
            "window_seconds": snapshot.window_seconds,
            "prices": {"table": table.title, "dated": table.dated.isoformat(), "warning": warning},
        }
        fields = {name: getattr(report, name) for name in ("basis", "rows", "total", "refusals")}
        session.output.document({**document, **fields})
        return 0
    _cost_table(session, report, by)
    _span(session, snapshot)
    session.output.line(f"prices: {table.title}, {basis.value} price of a GPU")
    _refused(session, report.refusals)
    if warning:
        session.output.note(f"agentaflow: warning: {warning}")
    return 0


@command("window_seconds", "dialect", "percentile")
def efficiency(session: Session, by: Grouping = By.NAMESPACE) -> int:
    """Say how busy the GPUs were over the window, and what energy that took."""
    snapshot = _look(session, EFFICIENCY_SIGNALS)
    rows = efficiency_of(snapshot, by=by.value)
    if session.output.as_json:
        session.output.document(
            {
                "taken_at": snapshot.taken_at,
                "window_seconds": snapshot.window_seconds,
                "percentile": snapshot.percentile,
                "rows": rows,
                "refusals": snapshot.refusals,
            }
        )
        return 0
    headings = [
        by.value.upper(),
        "GPUS",
        "GPU HOURS",
        "MEAN",
        "HIGH",
        "MEMORY PEAK",
        "WATTS",
        "KWH",
    ]
    columns = [Column(heading, right=index > 0) for index, heading in enumerate(headings)]
    named = _names(rows)
    session.output.table(columns, [_efficiency_row(named(row), row) for row in rows])
    _span(session, snapshot)
    _refused(session, snapshot.refusals)
    return 0


def _look(session: Session, signals: Collection[str]) -> Snapshot:
    client = open_cluster_if_given(session.settings)
    with (
        open_prometheus(session.settings) as prometheus,
        session.output.progress("asking Prometheus"),
    ):
        return observe(session.settings, prometheus, client, signals)


def _cost_table(session: Session, report: CostReport, by: By) -> None:
    currency = f"COST {report.total.cost.currency}"
    headings = [by.value.upper(), "GPU HOURS", currency, "USED", "IDLE", "UNALLOCATED", "UNJUDGED"]
    columns = [Column(heading, right=index > 0) for index, heading in enumerate(headings)]
    named = _names(report.rows)
    rows = [_cost_row(named(row), row) for row in (*report.rows, report.total)]
    session.output.table(columns, rows)
    if report.total.assumed:
        session.output.line("~ some prices are assumed from the GPU model")
    if report.total.unpriced_gpu_hours:
        hours = report.total.unpriced_gpu_hours
        session.output.line(f"{hours:,.1f} GPU hours have no price and are in no amount")


def _cost_row(name: str, row: CostRow) -> tuple[str, ...]:
    amounts = (row.cost, row.used, row.idle, row.unallocated, row.unjudged)
    cells = [f"{amount.rounded().amount:,}" for amount in amounts]
    cells[0] = f"~{cells[0]}" if row.assumed else cells[0]
    return (name, f"{row.gpu_hours:,.1f}", *cells)


def _efficiency_row(name: str, row: EfficiencyRow) -> tuple[str, ...]:
    return (
        name,
        str(row.gpus),
        f"{row.gpu_hours:,.1f}",
        percent(row.utilization_mean),
        percent(row.utilization_high),
        percent(row.memory_peak_ratio),
        "-" if row.power_mean_watts is None else f"{row.power_mean_watts:,.0f}",
        "-" if row.energy_kwh is None else f"{row.energy_kwh:,.1f}",
    )


def _names(rows: Iterable[CostRow | EfficiencyRow]) -> Callable[[CostRow | EfficiencyRow], str]:
    """What a row is called: with its cluster only where there are several."""
    several = len({row.cluster for row in rows}) > 1
    return lambda row: f"{row.cluster}/{row.name}" if several and row.cluster else row.name


def _span(session: Session, snapshot: Snapshot) -> None:
    end = iso(snapshot.taken_at)
    session.output.line(f"window: {duration(snapshot.window_seconds)} to {end}")


def _refused(session: Session, refusals: tuple[Refusal, ...]) -> None:
    for refusal in refusals:
        session.output.line(f"{refusal.subject}: {refusal.reason}")
