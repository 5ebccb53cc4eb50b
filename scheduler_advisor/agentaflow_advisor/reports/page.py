"""The page: what is wasted and where, what to do about it, how we know, and what we do not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from importlib import resources
from xml.etree.ElementTree import Element

from agentaflow_advisor.advice import Advice, reasons
from agentaflow_advisor.model import Money, Recommendation
from agentaflow_advisor.render import counted, duration, iso, money, sureness
from agentaflow_advisor.reports import charts
from agentaflow_advisor.reports.charts import HALF, Bar
from agentaflow_advisor.reports.elements import document, styled, tag
from agentaflow_advisor.savings import saved

TOP = 10
MOST_BARS = 8
MOST_REASONS = 12
NO_NAMESPACE = "(none)"
PARTS = ("used", "idle", "unallocated", "unjudged")
POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""Nothing is loaded and nothing runs, whatever a name may say."""


@dataclass(frozen=True, slots=True)
class Slice:
    """What one namespace cost over the window, in four parts that make the whole."""

    name: str
    used: Money
    idle: Money
    unallocated: Money
    unjudged: Money

    @property
    def cost(self) -> Money:
        return self.used + self.idle + self.unallocated + self.unjudged


def page(
    advice: Advice,
    slices: Sequence[Slice],
    total: Slice,
    trend: Sequence[tuple[float, Money]] = (),
    warning: str | None = None,
) -> str:
    """One self-contained HTML page. Pure."""
    currency = total.cost.currency
    style = (resources.files(__package__) / "style.css").read_text(encoding="utf-8")
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", "What the GPUs cost, and what of it is wasted"),
        styled(style),
    )
    body = tag(
        "body",
        *_heading(advice, warning),
        _tiles(advice, total),
        *_costs(advice, slices, total),
        *_waste(advice, currency),
        *_trend(trend, currency),
        *_top(advice),
        *_unjudged(advice),
        *_queries(advice),
    )
    return document(tag("html", head, body, lang="en"))


def _heading(advice: Advice, warning: str | None) -> list[Element]:
    snapshot, table = advice.snapshot, advice.table
    said = (
        f"{counted(len(snapshot.gpus), 'GPU')} on {counted(len(snapshot.nodes), 'node')}, "
        f"{duration(snapshot.window_seconds)} to {iso(snapshot.taken_at)}. Prices: {table.title}, "
        f"{table.age_days(snapshot.taken_at)} days old."
    )
    lines = [tag("h1", "What the GPUs cost, and what of it is wasted"), tag("p", said)]
    if warning:
        lines.append(tag("p", f"Beware: {warning}."))
    return lines


def _tiles(advice: Advice, total: Slice) -> Element:
    cost = total.cost.amount
    idle = total.idle.amount + total.unallocated.amount
    share = f"{idle / cost:.0%}" if cost else "-"
    together = " + ".join(map(money, saved(advice.active))) or "-"
    window = duration(advice.snapshot.window_seconds)
    refused = len(advice.refusals)
    return tag(
        "div",
        _tile(together, "could be saved a month, each GPU counted once"),
        _tile(str(total.cost), f"cost of {window} at the nodes' whole price"),
        _tile(share, "of that idle or unallocated"),
        _tile(str(len(advice.active)), f"recommendations; {refused:,} not judged"),
        class_="tiles",
    )


def _tile(figure: str, words: str) -> Element:
    return tag("div", tag("b", figure), tag("span", words), class_="tile")


def _costs(advice: Advice, slices: Sequence[Slice], total: Slice) -> list[Element]:
    dear = sorted(slices, key=lambda each: (-each.cost.amount, each.name))
    rows = [_cost_bar(each) for each in dear[:MOST_BARS]]
    title = f"Cost of {duration(advice.snapshot.window_seconds)} by namespace"
    if len(dear) > MOST_BARS:
        title += f", the {MOST_BARS} dearest of {len(dear)}"
    parts = [
        (name, f"{name} {getattr(total, name)}") for name in PARTS if getattr(total, name).amount
    ]
    return [
        tag("h2", title),
        charts.legend(parts),
        charts.bars([_cost_bar(total), *rows], title),
    ]


def _cost_bar(each: Slice) -> Bar:
    parts = [(name, float(getattr(each, name).amount)) for name in PARTS]
    return Bar(each.name, _whole(each.cost), parts)


def _waste(advice: Advice, currency: str) -> list[Element]:
    kinds = _grouped(((each.kind, each) for each in advice.active), currency)
    namespaces = _grouped(
        ((each.where.namespace or NO_NAMESPACE, each) for each in advice.active), currency
    )
    if not kinds:
        return []
    by_kind, by_namespace = "Savings a month by kind", "Savings a month by namespace"
    return [
        tag(
            "div",
            tag("section", tag("h2", by_kind), charts.bars(kinds, by_kind, HALF)),
            tag("section", tag("h2", by_namespace), charts.bars(namespaces, by_namespace, HALF)),
            class_="pair",
        )
    ]


def _grouped(named: Iterable[tuple[str, Recommendation]], currency: str) -> list[Bar]:
    """The largest groups; each is de-overlapped by itself."""
    groups: defaultdict[str, list[Recommendation]] = defaultdict(list)
    for name, each in named:
        groups[name].append(each)
    sums = [
        (name, amount)
        for name in sorted(groups)
        for amount in saved(groups[name])
        if amount.currency == currency
    ]
    sums.sort(key=lambda each: -each[1].amount)
    return [
        Bar(name, _whole(amount), [("idle", float(amount.amount))])
        for name, amount in sums[:MOST_BARS]
    ]


def _trend(trend: Sequence[tuple[float, Money]], currency: str) -> list[Element]:
    points = [(at, float(amount.amount)) for at, amount in trend if amount.currency == currency]
    if len(points) < 2:
        return []
    title = "What could be saved a month, as it was seen over time"
    peak = Money(Decimal(str(max(amount for _, amount in points))), currency)
    return [tag("h2", title), charts.line(points, title, _whole(peak))]


def _top(advice: Advice) -> list[Element]:
    if not advice.active:
        return [tag("h2", "Nothing to recommend")]
    headings = [("ID", ""), ("Saves a month", "money"), ("What", ""), ("How we know", "")]
    rows = [_row(advice, each) for each in advice.active[:TOP]]
    hidden = [f"{number} {standing}" for standing, number in advice.hidden.items() if number]
    left = len(advice.active) - len(rows)
    under = [f"{left} more in `agentaflow recommend --top 0`"] * (left > 0) + hidden
    made = [
        tag("h2", "What to do first"),
        tag(
            "table",
            tag("tr", *(tag("th", words, class_=style) for words, style in headings)),
            *rows,
        ),
    ]
    if under:
        made.append(tag("p", f"{'; '.join(under)}.", class_="soft"))
    return [*made, *_risks(advice.active[:TOP])]


def _risks(shown: Iterable[Recommendation]) -> list[Element]:
    """Each risk once, with the kinds that it is of."""
    kinds: defaultdict[str, set[str]] = defaultdict(set)
    for each in shown:
        kinds[each.risk].add(each.kind)
    items = [
        tag("li", tag("b", ", ".join(sorted(of))), f": {risk}")
        for risk, of in kinds.items()
        if risk
    ]
    return [tag("h2", "Before you do"), tag("ul", *items)] if items else []


def _row(advice: Advice, each: Recommendation) -> Element:
    saves, evidence, life = each.saves, each.evidence, advice.lives.get(each.id)
    known = [
        f"{counted(evidence.samples, 'sample')} over {duration(advice.snapshot.window_seconds)}",
        f"confidence {sureness(each.confidence)}",
    ]
    if saves:
        known.append(f"saves {saves.formula}")
    if life:
        since = (iso(life.first_seen_at) or "")[:10]
        known.append(f"seen {counted(life.times_seen, 'time')} since {since}")
    return tag(
        "tr",
        tag("td", each.id, class_="id"),
        tag("td", money(saves.per_month if saves else None), class_="money"),
        tag("td", each.what),
        tag("td", "; ".join(known), class_="how"),
    )


def _unjudged(advice: Advice) -> list[Element]:
    told = reasons(advice.refusals)
    if not told:
        return []
    items = [tag("li", f"{count:,} x {reason}") for reason, count in told[:MOST_REASONS]]
    if len(told) > MOST_REASONS:
        items.append(tag("li", f"{len(told) - MOST_REASONS} more reasons"))
    return [tag("h2", "Not judged, and so neither called idle nor busy"), tag("ul", *items)]


def _queries(advice: Advice) -> list[Element]:
    asked = sorted({promql for each in advice.active[:TOP] for promql in each.evidence.promql})
    if not asked:
        return []
    items = [tag("li", tag("code", promql)) for promql in asked]
    return [tag("h2", "The queries behind it"), tag("ul", *items, class_="queries")]


def _whole(amount: Money) -> str:
    """To the unit: a plot's figures need no cents."""
    return f"{amount.rounded(0).amount:,} {amount.currency}"
