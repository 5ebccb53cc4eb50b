"""The advice: one look at the fleet, priced and analysed, with its totals and its limits."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

from lightkube import Client

from agentaflow_advisor.analyses import ANALYSES, Analysis, Outcome, run, signals
from agentaflow_advisor.history import Life, Standing
from agentaflow_advisor.model import ClusterState, Recommendation, Refusal, Snapshot
from agentaflow_advisor.observe.cluster import read_cluster
from agentaflow_advisor.observe.demand import demand
from agentaflow_advisor.observe.errors import ObserveError
from agentaflow_advisor.observe.prometheus import Prometheus
from agentaflow_advisor.observe.snapshot import take
from agentaflow_advisor.price import NodeKey, NodePrice, PriceTable, PriceTableError, price_nodes
from agentaflow_advisor.price.costfile import load as load_terms
from agentaflow_advisor.settings import Settings

SIGNALS = signals()
"""What the analyses behind the advice need."""


@dataclass(frozen=True, slots=True)
class Advice:
    """All that `recommend` says, and what it rests on."""

    snapshot: Snapshot
    table: PriceTable
    prices: Mapping[NodeKey, NodePrice | Refusal]
    recommendations: tuple[Recommendation, ...]
    refusals: tuple[Refusal, ...]  # of looking, pricing and analysing
    outcome: Outcome
    lives: Mapping[str, Life] = field(default_factory=dict)  # by id, where a history tells

    def standing(self, recommendation: Recommendation) -> Standing:
        """Active unless the history says that somebody hid it."""
        life = self.lives.get(recommendation.id)
        return life.standing(self.snapshot.taken_at) if life else Standing.ACTIVE

    @property
    def active(self) -> tuple[Recommendation, ...]:
        """Those that nobody hid."""
        return tuple(
            each for each in self.recommendations if self.standing(each) is Standing.ACTIVE
        )

    @property
    def hidden(self) -> Mapping[Standing, int]:
        """How many are snoozed and how many dismissed."""
        counts = Counter(map(self.standing, self.recommendations))
        return {each: counts[each] for each in (Standing.DISMISSED, Standing.SNOOZED)}


def observe(
    settings: Settings,
    prometheus: Prometheus,
    client: Client | None,
    signals: Collection[str],
    read: Callable[[Client], ClusterState] = read_cluster,
) -> Snapshot:
    """One look at the fleet, for what needs these signals. Raises ObserveError."""
    snapshot = take(
        prometheus,
        window_seconds=settings.window_seconds,
        percentile=settings.percentile,
        cluster_name=settings.kubernetes_cluster,
        cluster_state=read(client) if client else None,
        dialect=settings.dialect,
        signals=signals,
    )
    if "demand" in signals and settings.forecast_in_advice:
        return _with_demand(settings, prometheus, snapshot)
    return snapshot


def _with_demand(settings: Settings, prometheus: Prometheus, snapshot: Snapshot) -> Snapshot:
    """Weeks of history may be too much to ask for: that costs the forecast, not the advice."""
    try:
        told, refusals = demand(
            prometheus,
            at=snapshot.taken_at,
            history_seconds=settings.forecast_history_seconds,
            by="cluster",
            dialects=snapshot.dialects,
        )
    except ObserveError as error:
        refusal = Refusal("demand", str(error))
        return replace(snapshot, refusals=(*snapshot.refusals, refusal))
    return replace(snapshot, demand=told, refusals=(*snapshot.refusals, *refusals))


def load_prices(settings: Settings) -> PriceTable:
    """The prices and terms in force. Raises PriceTableError."""
    terms = load_terms(settings.cost_file) if settings.cost_file else None
    file = settings.prices_file
    table = PriceTable.load(file, settings.rates(), terms, settings.prices_assumed)
    if file and table.dated > date.today() + timedelta(days=1):  # it is that day somewhere
        raise PriceTableError(f"{file}: is dated {table.dated}, which is to come: correct the date")
    return table


def advise(
    settings: Settings,
    snapshot: Snapshot,
    table: PriceTable,
    analyses: Iterable[Analysis] = ANALYSES,
) -> Advice:
    """Price every node and run every analysis. Pure."""
    prices = price_nodes(snapshot, table)
    outcome = run(snapshot, prices, settings, analyses)
    refusals = {*snapshot.refusals, *outcome.findings.refusals}
    in_order = sorted(refusals, key=lambda refusal: (refusal.subject, refusal.reason))
    return Advice(
        snapshot,
        table.in_use(prices.values()),
        prices,
        outcome.findings.recommendations,
        tuple(in_order),
        outcome,
    )


def price_warning(settings: Settings, table: PriceTable, now: float) -> str | None:
    """A line about each price list that is too old to be trusted blindly."""
    old = [each for each in table.lists if each.age_days(now) > settings.prices_warn_age_days]
    if not old:
        return None
    ages = ", ".join(f"{each.title} are {each.age_days(now)} days old" for each in old)
    return f"the prices of {ages}; give newer ones with --prices FILE"


def reasons(refusals: Iterable[Refusal]) -> tuple[tuple[str, int], ...]:
    """Each reason once with how often it was given, whatever its figures; most frequent first."""
    counts: Counter[str] = Counter()
    example: dict[str, str] = {}
    for refusal in refusals:
        alike = re.sub(r"\d[\d.,]*", "#", refusal.reason)
        example.setdefault(alike, refusal.reason)
        counts[alike] += 1
    return tuple((example[alike], count) for alike, count in counts.most_common())
