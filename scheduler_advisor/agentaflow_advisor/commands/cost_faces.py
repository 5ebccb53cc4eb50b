"""The books in three faces: a table for people, one JSON object, and FOCUS rows as CSV."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from decimal import Decimal
from zoneinfo import ZoneInfo

from agentaflow_advisor.accounting import Bill, Books
from agentaflow_advisor.analyze.budgets import BudgetState
from agentaflow_advisor.analyze.cost import CostRow
from agentaflow_advisor.analyze.energy import Energy
from agentaflow_advisor.analyze.explanation import Term, explain
from agentaflow_advisor.analyze.focus import COLUMNS, OWN_COLUMNS, focus_rows
from agentaflow_advisor.model import Money, Refusal
from agentaflow_advisor.render import Column, Output, duration, iso, printable
from agentaflow_advisor.tables import Format

PARTS = ("USED", "IDLE", "UNALLOCATED", "UNJUDGED")
SPREADSHEET_FORMULAS = ("=", "+", "-", "@", "\t", "\r")
FORMULAS = {
    "energy": "kwh = joules / 3600000 x pue; cost = kwh x energy_price_per_kwh; "
    "kg_co2e = kwh x grid_g_per_kwh / 1000",
    "tokens": "per_million = cost x 1000000 / tokens",
    "budgets": "unmeasured = spent / measured time x the rest of the time gone; "
    "forecast = spent + unmeasured + per_day x days left; "
    "burn_rate = ((spent + unmeasured) / per_month) / (time gone / the month)",
}
"""What --explain says of figures that are no row's cost."""


def export(output: Output, books: Books) -> None:
    """FOCUS rows of every bill; what is in none of them is told on stderr."""
    writer = csv.DictWriter(output.stdout, (*COLUMNS, *OWN_COLUMNS), lineterminator="\r\n")
    writer.writeheader()
    zone = ZoneInfo(books.settings.time_zone)
    for bill in books.bills:
        for look, report in zip(bill.looks, bill.reports, strict=True):
            for row in focus_rows(report, look.snapshot, zone):
                writer.writerow({name: _cell(text) for name, text in row.items()})
        for line in _left_out(bill):
            output.note(f"agentaflow: {line}")


def document(books: Books, *, explained: bool) -> Mapping[str, object]:
    """One bill for the window, or a list of bills for periods; docs/cost.md describes it."""
    table = books.table
    head: dict[str, object] = {
        "prices": {
            "table": table.title,
            "dated": table.dated.isoformat(),
            "lists": [{"table": one.title, "dated": one.dated.isoformat()} for one in table.lists],
            "currency": table.currency,
            "warning": books.warning,
        },
        "basis": books.basis,
        "energy_rates": books.settings.energy(),
        "budgets": [budget for budget in books.budgets if isinstance(budget, BudgetState)],
    }
    if explained:
        head["formulas"] = FORMULAS
    unknown = tuple(budget for budget in books.budgets if isinstance(budget, Refusal))
    bills = [_bill_document(bill, explained=explained) for bill in books.bills]
    if books.calendar is None:
        bill = bills[0]
        refusals = (*books.bills[0].refusals, *unknown)
        return {**head, **bill, "refusals": refusals}
    zone = books.settings.time_zone
    return {**head, "period": books.calendar, "time_zone": zone, "periods": bills,
            "refusals": unknown}  # fmt: skip


def _bill_document(bill: Bill, *, explained: bool) -> dict[str, object]:
    end = bill.taken_at
    found: dict[str, object] = {
        "taken_at": end,
        "window_seconds": bill.window_seconds,
        "rows": bill.report.rows,
        "total": bill.report.total if bill.measured else None,
        "tokens": bill.tokens,
        "refusals": bill.refusals,
    }
    if bill.span.name:
        span = bill.span
        named = {
            "name": span.name,
            "start_at": span.start,
            "end_at": span.end,
            "complete": span.complete,
            "days": len(bill.looks),
            "measured_days": sum(look.measured for look in bill.looks),
        }
        found = {**named, **found}
    if explained:
        found["explanations"] = explain(bill.report)
        found["queries"] = [query for look in bill.looks for query in look.snapshot.queries]
    return found


def show(output: Output, books: Books, *, explained: bool) -> None:
    """A table of rows, then energy, tokens, budgets, what it rests on and what is left out."""
    _rows(output, books)
    for bill in books.bills:
        if explained:
            _explanations(output, bill)
        _energy(output, bill.report.total.energy, bill.span.name)
        _tokens(output, bill)
    _budgets(output, books)
    if explained:
        rates = books.settings.energy()
        told = {name: getattr(rates, name) for name in ("price_per_kwh", "grid_g_per_kwh", "pue")}
        given = ", ".join(f"{name} {value}" for name, value in told.items() if value is not None)
        for name, formula in FORMULAS.items():
            output.line(f"{name}: {formula}" + (f" ({given})" if name == "energy" else ""))
    _foot(output, books)


def _rows(output: Output, books: Books) -> None:
    by_period = books.calendar is not None
    headings = [*(["PERIOD"] if by_period else []), books.by.upper()]
    text = len(headings)
    headings += ["GPU HOURS", f"COST {books.table.currency}", *PARTS]
    for_programs = output.form is Format.CSV
    if for_programs:
        headings += ["ASSUMED", *(["COMPLETE"] if by_period else [])]
    columns = [Column(heading, right=index >= text) for index, heading in enumerate(headings)]
    clusters = {row.cluster for bill in books.bills for row in bill.report.rows}
    several = len(clusters) > 1 and books.by != "cluster"
    rows: list[tuple[str, ...]] = []
    for bill in books.bills:
        named = bill.span.name if for_programs else _period(bill)
        period = (named,) if by_period else ()
        if not bill.measured and by_period:
            nothing = "" if for_programs else "nothing measured"
            rows.append((*period, nothing, *["-"] * (len(columns) - text)))
            continue
        for row in (*bill.report.rows, bill.report.total):
            amounts = _numbers(row) if for_programs else _amounts(row)
            ended = (_yes(bill.span.complete),) if for_programs and by_period else ()
            rows.append((*period, _name(row, several), *amounts, *ended))
    output.table(columns, rows)


def _period(bill: Bill) -> str:
    return bill.span.name if bill.span.complete else f"{bill.span.name} so far"


def _name(row: CostRow, several: bool) -> str:
    return f"{row.cluster}/{row.name}" if several and row.cluster else row.name


def _numbers(row: CostRow) -> tuple[str, ...]:
    """As programs read them: no marks and no thousands; an empty cell is no amount."""
    hours, assumed = f"{row.gpu_hours:.6f}", _yes(row.assumed)
    if _unpriced(row):
        return (hours, *["-"] * (len(PARTS) + 1), assumed)
    return (hours, *(f"{amount.rounded().amount:f}" for amount in _money(row)), assumed)


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _unpriced(row: CostRow) -> bool:
    return bool(row.gpu_hours) and row.unpriced_gpu_hours == row.gpu_hours


def _money(row: CostRow) -> tuple[Money, ...]:
    return (row.cost, row.used, row.idle, row.unallocated, row.unjudged)


def _amounts(row: CostRow) -> tuple[str, ...]:
    hours = f"{row.gpu_hours:,.1f}"
    if _unpriced(row):
        return (hours, *["-"] * (len(PARTS) + 1))
    cells = [f"{amount.rounded().amount:,}" for amount in _money(row)]
    cells[0] = f"~{cells[0]}" if row.assumed else cells[0]
    return (hours, *cells)


def _explanations(output: Output, bill: Bill) -> None:
    for found in explain(bill.report):
        if found.terms:
            named = f"{bill.span.name} {found.name}".strip()
            output.line(f"{named}: {found.formula}")
        for term in found.terms:
            output.line(f"  {_term(term)}")


def _term(term: Term) -> str:
    base = term.base_per_gpu_hour
    rate = f"{term.rate.amount.normalize():f} {term.rate.currency}/h"
    told = f" of {base.amount.normalize():f} {base.currency}/h" if base and term.steps else ""
    return f"{term.part}: {term.gpu_hours:,.3f} GPU h x {rate}{told} = {term.amount} ({term.price})"


def _energy(output: Output, energy: Energy, period: str) -> None:
    if energy.kwh is None:
        return
    said = [f"{energy.kwh:,.1f} kWh, of which {energy.idle_kwh:,.1f} idle or unallocated"]
    if energy.cost is not None:
        said.append(f"{energy.cost} ({energy.idle_cost} idle or unallocated), in no amount above")
    if energy.kg_co2e is not None:
        said.append(f"{energy.kg_co2e:,.1f} kg CO2e")
    if energy.unmeasured_gpu_hours:
        said.append(f"{energy.unmeasured_gpu_hours:,.1f} GPU hours told no energy")
    output.line(f"energy {period}".strip() + ": " + "; ".join(said))


def _tokens(output: Output, bill: Bill) -> None:
    for row in bill.tokens:
        named = f"{row.namespace}/{row.pod}" if row.pod else f"namespace {row.namespace}"
        generated = (
            f", {row.per_million_generated} per million generated"
            if row.per_million_generated
            else ""
        )
        total = row.prompt_tokens + row.generated_tokens
        output.line(
            f"tokens {bill.span.name}".strip() + f": {named} ({', '.join(row.engines)}) "
            f"{_whole(total)} tokens for {row.cost}: {row.per_million} per million{generated}"
        )


def _whole(value: Decimal) -> str:
    return f"{value:,.0f}"


def _budgets(output: Output, books: Books) -> None:
    for budget in books.budgets:
        if isinstance(budget, Refusal):
            output.line(f"{budget.subject}: {budget.reason}")
            continue
        end = "lasts the month"
        if budget.used_up_in_days is not None:
            days = budget.used_up_in_days
            end = f"used up in {days:.1f} days" if days else "used up"
        output.line(
            f"budget of {budget.scope} {budget.name}: {_spent(budget)}, "
            f"burn rate {budget.burn_rate:.2f}, forecast {budget.forecast}, {end}"
        )


def _spent(budget: BudgetState) -> str:
    told, unknown = budget.measured_days, budget.days - budget.measured_days
    spent = f"{budget.spent} of {budget.per_month} spent in "
    if not unknown:
        return spent + budget.month
    return (
        f"{spent}{told} of the {budget.days} days of {budget.month} so far, in which GPUs were "
        f"seen, and {budget.unmeasured} (estimated) in the other {unknown} if they were alike"
    )


def _foot(output: Output, books: Books) -> None:
    total = [bill.report.total for bill in books.bills]
    if any(row.assumed for row in total):
        output.line("~ some prices are assumed from the GPU model or another region")
    for bill in books.bills:
        for line in _left_out(bill):
            output.line(line)
    if books.calendar is None:
        bill = books.bills[0]
        output.line(f"window: {duration(bill.window_seconds)} to {iso(bill.taken_at)}")
    else:
        output.line(f"periods: by {books.calendar} in {books.settings.time_zone}")
    output.line(f"prices: {books.table.title}, {books.basis} price of a GPU")
    seen = dict.fromkeys(refusal for bill in books.bills for refusal in bill.refusals)
    for refusal in seen:
        output.line(f"{refusal.subject}: {refusal.reason}")


def _left_out(bill: Bill) -> tuple[str, ...]:
    hours = bill.report.total.unpriced_gpu_hours
    named = f"{bill.span.name}: " if bill.span.name else ""
    return (f"{named}{hours:,.1f} GPU hours have no price and are in no amount",) if hours else ()


def _cell(text: str) -> str:
    """Labels come from strangers: no control characters, and no formula for a spreadsheet."""
    clean = printable(text)
    return f"'{clean}" if clean.startswith(SPREADSHEET_FORMULAS) else clean
