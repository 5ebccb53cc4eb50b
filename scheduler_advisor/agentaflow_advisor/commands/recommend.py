"""recommend: what is worth doing, in money, what that rests on, and what could not be judged."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict
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
)
from agentaflow_advisor.collector import without_collector
from agentaflow_advisor.commands.session import Session, command
from agentaflow_advisor.connections import open_cluster_if_given, open_prometheus
from agentaflow_advisor.documents import advice_document, told
from agentaflow_advisor.history import Standing
from agentaflow_advisor.model import Money, Recommendation
from agentaflow_advisor.price import NodePrice
from agentaflow_advisor.render import Column, counted, duration, iso, money, sureness
from agentaflow_advisor.review import review
from agentaflow_advisor.savings import saved, totals
from agentaflow_advisor.tables import Format

TOP = 20
RECORD = typer.Option("--record/--no-record", help="Write the look down in the history.")


@command("window_seconds", "dialect", "percentile", "prices_file", "cost_file", "history")
@without_collector()
def recommend(
    session: Session,
    top: Annotated[
        int, typer.Option(metavar="N", min=0, help="Rows in the table; 0 for all.")
    ] = TOP,
    refusals: Annotated[
        bool, typer.Option("--refusals", help="List everything that could not be judged.")
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Those that are snoozed or dismissed, too.")
    ] = False,
    record: Annotated[bool, RECORD] = True,
) -> int:
    """Say what is wasted, what it costs a month, and how we know."""
    advice = look(session, record=record)
    warning = price_warning(session.settings, advice.table, advice.snapshot.taken_at)
    if session.output.as_json:
        session.output.document(advice_document(advice, warning, everything=everything))
        return 0
    found = advice.recommendations if everything else advice.active
    if session.output.form is Format.CSV:
        _csv(session, advice, found)
        return 0
    _show(session, advice, found, top)
    _hidden(session, advice, everything=everything)
    _basis(session, advice)
    _left_out(session, advice, everything=refusals)
    if warning:
        session.output.note(f"agentaflow: warning: {warning}")
    return 0


def look(session: Session, *, record: bool, also: Collection[str] = ()) -> Advice:
    """The advice of now, joined with its history; a line on stderr where that has a problem.

    `also` are signals that its snapshot should have for other purposes.
    """
    settings = session.settings
    table = load_prices(settings)
    with (
        open_cluster_if_given(settings) as client,
        open_prometheus(settings) as prometheus,
        session.output.progress("asking Prometheus"),
    ):
        advice = advise(settings, observe(settings, prometheus, client, SIGNALS.union(also)), table)
    session.warn_of(advice.snapshot.missing)
    reviewed, problem = review(settings, advice, actor=session.actor, record=record)
    if problem:
        session.output.note(f"agentaflow: warning: {problem}")
    return reviewed


def _show(session: Session, advice: Advice, found: tuple[Recommendation, ...], top: int) -> None:
    if not found:
        session.output.line("nothing to recommend")
        return
    shown = found[:top] if top else found
    columns = [
        Column("ID"),
        Column("SAVES/MONTH", right=True),
        Column("WHAT"),
        Column("CONFIDENCE", right=True),
        Column("SEEN FOR", right=True),
    ]
    session.output.table(columns, [_row(advice, each) for each in shown])
    if len(shown) < len(found):
        session.output.line(f"… and {len(found) - len(shown)} more; --top 0 shows all")
    session.output.line()
    for total in totals(advice.active):
        session.output.line(
            f"{total.kind}: {counted(total.recommendations, 'recommendation')}, "
            f"{_sums(total.saves_per_month)} a month"
        )
    session.output.line(f"together: {_sums(saved(advice.active))} a month, each GPU counted once")


def _row(advice: Advice, found: Recommendation) -> tuple[str, ...]:
    per_month = found.saves.per_month if found.saves else None
    standing, life = advice.standing(found), advice.lives.get(found.id)
    what = found.what if standing is Standing.ACTIVE else f"{found.what} [{standing}]"
    age = duration(max(0.0, advice.snapshot.taken_at - life.first_seen_at)) if life else "-"
    return (found.id, money(per_month), what, sureness(found.confidence), age)


def _csv(session: Session, advice: Advice, found: tuple[Recommendation, ...]) -> None:
    """A row for each, with plain numbers: for spreadsheets."""
    rows = []
    for each in told(advice, found):
        saves, age = each.saves.per_month if each.saves else None, each.history
        rows.append(
            {
                "id": each.id,
                "kind": each.kind,
                "state": each.state,
                **asdict(each.where),
                "saves_per_month": format(saves.amount, "f") if saves else "",
                "currency": saves.currency if saves else "",
                "confidence": f"{each.confidence:.4f}",
                "enforceable": each.enforceable,
                "samples": str(each.evidence.samples),
                "evaluated_at": iso(each.evidence.evaluated_at) or "",
                "first_seen_at": (iso(age.first_seen_at) if age else None) or "",
                "times_seen": str(age.times_seen) if age else "",
                "what": each.what,
                "risk": each.risk,
                "formula": each.saves.formula if each.saves else "",
            }
        )
    session.output.table(
        [Column(name) for name in CSV_COLUMNS], [list(row.values()) for row in rows]
    )


CSV_COLUMNS = (
    *("id", "kind", "state", "cluster", "node", "gpu", "uuid", "namespace", "pod"),
    *("saves_per_month", "currency", "confidence", "enforceable", "samples", "evaluated_at"),
    *("first_seen_at", "times_seen", "what", "risk", "formula"),
)


def _sums(amounts: tuple[Money, ...]) -> str:
    return " + ".join(map(money, amounts)) or "no stated saving"


def _hidden(session: Session, advice: Advice, *, everything: bool) -> None:
    said = [f"{number} {standing}" for standing, number in advice.hidden.items() if number]
    if said:
        hint = "in no sum" if everything else "--all shows them"
        session.output.line(f"{', '.join(said)}; {hint}")


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
