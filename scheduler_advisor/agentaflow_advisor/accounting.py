"""The books: bills for the window or for calendar periods, tokens and budgets, from fresh looks."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

from agentaflow_advisor.advice import price_warning
from agentaflow_advisor.analyze import cost
from agentaflow_advisor.analyze.budgets import BudgetState, judge_budget
from agentaflow_advisor.analyze.periods import Calendar, Period, days_of, periods, running_month
from agentaflow_advisor.analyze.tokens import Served, TokenCost, cost_of_tokens, promql
from agentaflow_advisor.model import ClusterState, Refusal, Snapshot
from agentaflow_advisor.observe.dialects import render
from agentaflow_advisor.observe.partial import missing, refusals
from agentaflow_advisor.observe.prometheus import Prometheus
from agentaflow_advisor.observe.snapshot import take
from agentaflow_advisor.price import Budget, NodeKey, NodePrice, PriceTable, price_nodes
from agentaflow_advisor.settings import Settings


@dataclass(frozen=True, slots=True)
class Bill:
    """One span of time: what was seen, at which prices, and what that comes to."""

    name: str  # of the period; empty for the window
    complete: bool
    snapshot: Snapshot
    prices: Mapping[NodeKey, NodePrice | Refusal]
    report: cost.CostReport
    tokens: tuple[TokenCost, ...] = ()
    refusals: tuple[Refusal, ...] = ()

    @property
    def measured(self) -> bool:
        """No GPU seen is no bill of zero."""
        return bool(self.snapshot.gpus)


@dataclass(frozen=True, slots=True)
class Books:
    """All bills of one report, oldest first, and what they rest on."""

    bills: tuple[Bill, ...]
    by: cost.By
    basis: cost.Basis
    calendar: Calendar | None
    settings: Settings
    table: PriceTable  # with the lists that are in use
    warning: str | None
    budgets: tuple[BudgetState | Refusal, ...]


class Accountant:
    """Looks at the fleet once for each bill. Raises ObserveError."""

    def __init__(
        self,
        settings: Settings,
        table: PriceTable,
        prometheus: Prometheus,
        state: ClusterState | None,
    ) -> None:
        self._settings = settings
        self._table = table
        self._prometheus = prometheus
        self._state = state
        self._zone = ZoneInfo(settings.time_zone)

    def books(
        self,
        by: cost.By,
        basis: cost.Basis,
        *,
        calendar: Calendar | None = None,
        count: int = 1,
        tokens: bool = False,
    ) -> Books:
        """The window's bill, or those of the newest so many periods, and every budget's state."""
        now = self._prometheus.now()
        if calendar is None:
            window = self._settings.window_seconds
            spans = [Period("", now - window, now, complete=True, ends=now)]
        else:
            spans = list(periods(calendar, count, now, self._zone))
        pods = tokens or by in ("pod", "workload")
        signals = cost.POD_SIGNALS if pods else cost.SIGNALS
        bills = [self._bill(span, by, basis, signals) for span in spans]
        if tokens:
            bills = [self._with_tokens(bill) for bill in bills]
        used = self._table.in_use(price for bill in bills for price in bill.prices.values())
        return Books(
            bills=tuple(bills),
            by=by,
            basis=basis,
            calendar=calendar,
            settings=self._settings,
            table=used,
            warning=price_warning(self._settings, used, now),
            budgets=self.budgets(now, bills[-1]),
        )

    def budgets(self, now: float, lately: Bill) -> tuple[BudgetState | Refusal, ...]:
        """Each budget at the rate of the newest bill. Spent is the sum of the month's days.

        One look at the whole month would be cheaper, and too coarse for who held what.
        """
        budgets, month = self._table.terms.budgets, running_month(now, self._zone)
        if not budgets:
            return ()
        if not month.seconds:
            return (Refusal("budgets", f"{month.name} has just begun"),)
        days = [
            self._bill(day, "namespace", "whole", cost.HOURS_SIGNALS)
            for day in days_of(month, self._zone)
        ]
        scopes = {budget.scope for budget in budgets}
        so_far = {scope: [self._by(day, scope) for day in days] for scope in scopes}
        recent = {scope: self._by(lately, scope) for scope in scopes}
        return tuple(
            _untold(budget, (*days, lately))
            or judge_budget(
                budget,
                month=month,
                so_far=so_far[budget.scope],
                lately=recent[budget.scope],
                lately_seconds=lately.snapshot.window_seconds,
            )
            for budget in budgets
        )

    def _by(self, bill: Bill, by: cost.By) -> cost.CostReport:
        return self._report(bill.snapshot, bill.prices, by, "whole")

    def _bill(
        self,
        span: Period,
        by: cost.By,
        basis: cost.Basis,
        signals: Collection[str] = cost.SIGNALS,
    ) -> Bill:
        snapshot = take(
            self._prometheus,
            window_seconds=span.seconds,
            percentile=self._settings.percentile,
            cluster_name=self._settings.kubernetes_cluster,
            cluster_state=self._state,
            at=span.end,
            signals=signals,
        )
        prices = price_nodes(snapshot, self._table)
        report = self._report(snapshot, prices, by, basis)
        refusals = tuple(dict.fromkeys((*snapshot.refusals, *report.refusals)))
        return Bill(span.name, span.complete, snapshot, prices, report, refusals=refusals)

    def _report(
        self,
        snapshot: Snapshot,
        prices: Mapping[NodeKey, NodePrice | Refusal],
        by: cost.By,
        basis: cost.Basis,
    ) -> cost.CostReport:
        return cost.report(
            snapshot,
            prices,
            self._settings.idle(),
            by=by,
            basis=basis,
            terms=self._table.terms,
            team_label=self._settings.team_label,
            energy=self._settings.energy(),
        )

    def _with_tokens(self, bill: Bill) -> Bill:
        """One more query, for all engines together."""
        window = bill.snapshot.window_seconds
        text = render(promql("{window}"), window_seconds=window, percentile=0.5)
        answer = self._prometheus.ask(text, at=bill.snapshot.taken_at)
        warned = [("tokens", warning) for warning in answer.warnings]
        lost = missing(warned, self._prometheus.stores())
        served = [
            Served(
                cluster=each.labels.get("cluster", ""),
                namespace=each.labels.get("namespace", ""),
                pod=each.labels.get("pod", ""),
                engine=each.labels.get("engine", ""),
                kind=each.labels.get("kind", ""),
                tokens=each.value,
            )
            for each in answer.samples
            if not lost.why(each.labels.get("cluster", ""))
            and not bill.snapshot.missing.why(each.labels.get("cluster", ""))
        ]
        pieces = [piece for found in bill.report.pieces.values() for piece in found]
        rows, refused = cost_of_tokens(
            served, pieces, bill.report.basis, bill.report.total.cost.currency
        )
        said = dict.fromkeys((*bill.refusals, *refusals(lost), *refused))
        return replace(bill, tokens=rows, refusals=tuple(said))


def _untold(budget: Budget, bills: Iterable[Bill]) -> Refusal | None:
    """What a partial response left out of a bill was spent all the same."""
    for bill in bills:
        lost = bill.snapshot.missing
        why = lost.why(budget.name) if budget.scope == "cluster" else lost.reason
        if why:
            return Refusal(f"budget of {budget.scope} {budget.name}", why)
    return None
