"""recommend: what is worth doing, in money, what that rests on, and what could not be judged."""

from __future__ import annotations

from typing import Annotated

import typer

from agentaflow_advisor.advice import (
    SIGNALS,
    Advice,
    advise,
    load_prices,
    observe,
    price_warning,
    reasons,
    saved,
    totals,
)
from agentaflow_advisor.commands.session import Session, command
from agentaflow_advisor.connections import open_cluster_if_given, open_prometheus
from agentaflow_advisor.documents import advice_document
from agentaflow_advisor.model import Money, Recommendation
from agentaflow_advisor.price import NodePrice
from agentaflow_advisor.render import Column, counted, duration, iso, money

TOP = 20


@command("window_seconds", "percentile", "prices_file")
def recommend(
    session: Session,
    top: Annotated[
        int, typer.Option(metavar="N", min=0, help="Rows in the table; 0 for all.")
    ] = TOP,
    refusals: Annotated[
        bool, typer.Option("--refusals", help="List everything that could not be judged.")
    ] = False,
) -> int:
    """Say what is wasted, what it costs a month, and how we know."""
    settings = session.settings
    table = load_prices(settings)
    client = open_cluster_if_given(settings)
    with open_prometheus(settings) as prometheus, session.output.progress("asking Prometheus"):
        advice = advise(settings, observe(settings, prometheus, client, SIGNALS), table)
    warning = price_warning(settings, table, advice.snapshot.taken_at)
    if session.output.as_json:
        session.output.document(advice_document(advice, warning))
        return 0
    _show(session, advice, top)
    _basis(session, advice)
    _left_out(session, advice, everything=refusals)
    if warning:
        session.output.note(f"agentaflow: warning: {warning}")
    return 0


def _show(session: Session, advice: Advice, top: int) -> None:
    found = advice.recommendations
    if not found:
        session.output.line("nothing to recommend")
        return
    shown = found[:top] if top else found
    columns = [
        Column("SAVES/MONTH", right=True),
        Column("WHAT"),
        Column("CONFIDENCE", right=True),
    ]
    session.output.table(columns, [_row(each) for each in shown])
    if len(shown) < len(found):
        session.output.line(f"… and {len(found) - len(shown)} more; --top 0 shows all")
    session.output.line()
    for total in totals(found):
        session.output.line(
            f"{total.kind}: {counted(total.recommendations, 'recommendation')}, "
            f"{_sums(total.saves_per_month)} a month"
        )
    session.output.line(f"together: {_sums(saved(found))} a month, each GPU counted once")


def _row(found: Recommendation) -> tuple[str, ...]:
    per_month = found.saves.per_month if found.saves else None
    return (money(per_month), found.what, f"{found.confidence:.0%}")


def _sums(amounts: tuple[Money, ...]) -> str:
    return " + ".join(map(money, amounts)) or "no price, so nothing"


def _basis(session: Session, advice: Advice) -> None:
    """What the figures rest on."""
    snapshot, table = advice.snapshot, advice.table
    priced = [price for price in advice.prices.values() if isinstance(price, NodePrice)]
    assumed = sum(price.assumed for price in priced)
    seconds = sum(query.seconds for query in snapshot.queries)
    session.output.line(
        f"evidence: {counted(len(snapshot.gpus), 'GPU')} on {counted(len(snapshot.nodes), 'node')} "
        f"over {duration(snapshot.window_seconds)} to {iso(snapshot.taken_at)}, high = "
        f"{snapshot.percentile:g} quantile; {counted(len(snapshot.queries), 'query', 'queries')} "
        f"in {seconds:.1f} s"
    )
    session.output.line(
        f"prices: {table.title}, {table.age_days(snapshot.taken_at)} days old; a GPU's share "
        "without CPU and memory"
        + (f"; assumed from the GPU model for {counted(assumed, 'node')}" if assumed else "")
    )


def _left_out(session: Session, advice: Advice, *, everything: bool) -> None:
    if not advice.refusals:
        return
    if everything:
        session.output.line()
        rows = [(refusal.subject, refusal.reason) for refusal in advice.refusals]
        session.output.table([Column("NOT JUDGED"), Column("REASON")], rows)
        return
    session.output.line("not judged (--refusals lists each):")
    for reason, count in reasons(advice.refusals):
        session.output.line(f"  {count} x {reason}")
