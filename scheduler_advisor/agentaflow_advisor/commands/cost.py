"""report cost: where the money went, by whom, by period, against which budget, and why so much."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from agentaflow_advisor.accounting import Accountant
from agentaflow_advisor.advice import load_prices
from agentaflow_advisor.commands import cost_faces
from agentaflow_advisor.commands.session import Session, command
from agentaflow_advisor.connections import open_cluster_if_given, open_prometheus
from agentaflow_advisor.observe.cluster import read_cluster
from agentaflow_advisor.tables import Format


class By(StrEnum):
    NAMESPACE = "namespace"
    TEAM = "team"
    WORKLOAD = "workload"
    POD = "pod"
    NODE = "node"
    GPU = "gpu"
    CLUSTER = "cluster"


class Basis(StrEnum):
    WHOLE = "whole"
    RESIDUAL = "residual"


class Calendar(StrEnum):
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class Export(StrEnum):
    FOCUS = "focus"


Grouping = Annotated[By, typer.Option("--by", help="What a row is about.")]
PriceBasis = Annotated[
    Basis,
    typer.Option(help="whole: the node's price over its GPUs. residual: without CPU and memory."),
]
Period = Annotated[
    Calendar | None,
    typer.Option(help="Bills for calendar periods in place of one for the window."),
]
Count = Annotated[
    int, typer.Option(metavar="N", min=1, max=400, help="How many, with the running one.")
]
Tokens = Annotated[
    bool, typer.Option("--tokens", help="Add the cost per million tokens of serving engines.")
]
Explain = Annotated[bool, typer.Option("--explain", help="Show each figure's formula and inputs.")]
Form = Annotated[
    Export | None,
    typer.Option("--format", help="focus: FOCUS 1.2, the FinOps billing columns, as CSV."),
]


@command(
    "window_seconds",
    "percentile",
    "prices_file",
    "cost_file",
    "team_label",
    "time_zone",
    "energy_price_per_kwh",
    "grid_g_per_kwh",
    "pue",
)
def cost(
    session: Session,
    by: Grouping = By.NAMESPACE,
    basis: PriceBasis = Basis.WHOLE,
    period: Period = None,
    periods: Count = 1,
    tokens: Tokens = False,
    explain: Explain = False,
    form: Form = None,
) -> int:
    """Say what the GPUs cost, for whom, and how much of it was idle or unallocated."""
    if form and basis is Basis.RESIDUAL:
        said = "FOCUS rows are whole bills; leave out --basis residual"
        raise typer.BadParameter(said, param_hint="--format")
    if form and session.output.form not in (Format.TABLE, Format.CSV):
        said = f"FOCUS is CSV; leave out -o {session.output.form.value}"
        raise typer.BadParameter(said, param_hint="--format")
    if period and "window_seconds" in session.typed:
        said = f"bills are by the {period.value} then; leave out --window or --period"
        raise typer.BadParameter(said, param_hint="--window")
    settings, output = session.settings, session.output
    table = load_prices(settings)
    with (
        open_cluster_if_given(settings) as client,
        open_prometheus(settings) as prometheus,
        output.progress("asking Prometheus"),
    ):
        accountant = Accountant(
            settings, table, prometheus, read_cluster(client) if client else None
        )
        books = accountant.books(
            by.value,
            basis.value,
            calendar=period.value if period else None,
            count=periods,
            tokens=tokens,
            by_month=form is Export.FOCUS,
        )
    session.warn_of(*(each for bill in books.bills for each in bill.missing))
    if form:
        cost_faces.export(output, books)
    elif output.as_json:
        output.document(cost_faces.document(books, explained=explain))
    else:
        cost_faces.show(output, books, explained=explain)
    if books.warning:
        output.note(f"agentaflow: warning: {books.warning}")
    return 0
