"""The advice: one look at the fleet, priced and analysed, with its totals and its limits."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from lightkube import Client

from agentaflow_advisor.analyze import idle
from agentaflow_advisor.model import Money, Recommendation, Refusal, Snapshot
from agentaflow_advisor.observe.cluster import read_cluster
from agentaflow_advisor.observe.prometheus import Prometheus
from agentaflow_advisor.observe.snapshot import take
from agentaflow_advisor.price import NodeKey, NodePrice, PriceTable, price_nodes
from agentaflow_advisor.price.costfile import load as load_terms
from agentaflow_advisor.settings import Settings

SIGNALS = idle.SIGNALS
"""What the analyses behind the advice need."""


@dataclass(frozen=True, slots=True)
class Advice:
    """All that `recommend` says, and what it rests on."""

    snapshot: Snapshot
    table: PriceTable
    prices: Mapping[NodeKey, NodePrice | Refusal]
    recommendations: tuple[Recommendation, ...]
    refusals: tuple[Refusal, ...]  # of looking, pricing and analysing


@dataclass(frozen=True, slots=True)
class Total:
    """What the recommendations of one kind would save, each GPU once."""

    kind: str
    recommendations: int
    saves_per_month: tuple[Money, ...]  # one for each currency


def observe(
    settings: Settings, prometheus: Prometheus, client: Client | None, signals: Collection[str]
) -> Snapshot:
    """One look at the fleet, for what needs these signals. Raises ObserveError."""
    return take(
        prometheus,
        window_seconds=settings.window_seconds,
        percentile=settings.percentile,
        cluster_state=read_cluster(client) if client else None,
        signals=signals,
    )


def load_prices(settings: Settings) -> PriceTable:
    """The prices and terms in force. Raises PriceTableError."""
    terms = load_terms(settings.cost_file) if settings.cost_file else None
    return PriceTable.load(settings.prices_file, settings.rates(), terms, settings.prices_assumed)


def advise(settings: Settings, snapshot: Snapshot, table: PriceTable) -> Advice:
    """Price every node and run every analysis. Pure."""
    prices = price_nodes(snapshot, table)
    findings = idle.analyze(snapshot, prices, settings.idle())
    refusals = tuple(dict.fromkeys((*snapshot.refusals, *findings.refusals)))
    used = table.in_use(prices.values())
    return Advice(snapshot, used, prices, findings.recommendations, refusals)


def price_warning(settings: Settings, table: PriceTable, now: float) -> str | None:
    """A line about each price list that is too old to be trusted blindly."""
    old = [each for each in table.lists if each.age_days(now) > settings.prices_warn_age_days]
    if not old:
        return None
    ages = ", ".join(f"{each.title} are {each.age_days(now)} days old" for each in old)
    return f"the prices of {ages}; give newer ones with --prices FILE"


def totals(recommendations: Iterable[Recommendation]) -> tuple[Total, ...]:
    """By kind, in order of names."""
    kinds: defaultdict[str, list[Recommendation]] = defaultdict(list)
    for recommendation in recommendations:
        kinds[recommendation.kind].append(recommendation)
    return tuple(Total(kind, len(kinds[kind]), saved(kinds[kind])) for kind in sorted(kinds))


def saved(recommendations: Iterable[Recommendation]) -> tuple[Money, ...]:
    """What they save together, one sum for each currency; what overlaps counts once.

    Several about one GPU count as the largest of them, and one about a whole node counts in place
    of those about its GPUs where it is larger.
    """
    nodes: defaultdict[tuple[str, str, str], _Node] = defaultdict(_Node)
    for recommendation in recommendations:
        if recommendation.saves is not None:
            where, amount = recommendation.where, recommendation.saves.per_month
            node = nodes[amount.currency, where.cluster, where.node]
            node.count(
                where.uuid or (where.pod and f"{where.namespace}/{where.pod}"), amount.amount
            )
    sums: defaultdict[str, Decimal] = defaultdict(Decimal)
    for (currency, *_), node in nodes.items():
        sums[currency] += node.sum
    return tuple(Money(sums[currency], currency) for currency in sorted(sums))


class _Node:
    """What can be saved on one node."""

    def __init__(self) -> None:
        self._whole = Decimal(0)
        self._parts: dict[str, Decimal] = {}

    def count(self, part: str, amount: Decimal) -> None:
        if part:
            self._parts[part] = max(amount, self._parts.get(part, amount))
        else:
            self._whole = max(amount, self._whole)

    @property
    def sum(self) -> Decimal:
        return max(self._whole, sum(self._parts.values(), Decimal(0)))


def reasons(refusals: Iterable[Refusal]) -> tuple[tuple[str, int], ...]:
    """Each reason once with how often it was given, whatever its figures; most frequent first."""
    counts: Counter[str] = Counter()
    example: dict[str, str] = {}
    for refusal in refusals:
        alike = re.sub(r"\d[\d.,]*", "#", refusal.reason)
        example.setdefault(alike, refusal.reason)
        counts[alike] += 1
    return tuple((example[alike], count) for alike, count in counts.most_common())
