"""The books: bills for the window or for calendar periods, tokens and budgets, from fresh looks."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

from agentaflow_advisor.advice import price_warning
from agentaflow_advisor.analyze import cost
from agentaflow_advisor.analyze.budgets import BudgetState, Day, judge_budget
from agentaflow_advisor.analyze.periods import (
    Calendar,
    Period,
    days_of,
    months_of,
    periods,
    running_month,
)
from agentaflow_advisor.analyze.tokens import Served, TokenCost, cost_of_tokens, promql
from agentaflow_advisor.looks import Look, Looks
from agentaflow_advisor.model import ClusterState, Missing, Refusal
from agentaflow_advisor.observe.dialects import render
from agentaflow_advisor.observe.partial import missing, refusals
from agentaflow_advisor.observe.prometheus import Prometheus
from agentaflow_advisor.price import Budget, PriceTable
from agentaflow_advisor.settings import Settings


@dataclass(frozen=True, slots=True)
class Bill:
    """What a span of time comes to: the sum of its looks, one for each day of a longer period."""

    span: Period  # its name is empty for the window
    looks: tuple[Look, ...]
    reports: tuple[cost.CostReport, ...]  # one for each look
    report: cost.CostReport
    tokens: tuple[TokenCost, ...] = ()
    refusals: tuple[Refusal, ...] = ()

    @property
    def measured(self) -> bool:
        """No GPU seen is no bill of zero."""
        return any(look.measured for look in self.looks)

    @property
    def taken_at(self) -> float:
        return self.looks[-1].snapshot.taken_at

    @property
    def window_seconds(self) -> float:
        """May be shorter than the span: then a refusal says why."""
        return sum(look.snapshot.window_seconds for look in self.looks)

    @property
    def missing(self) -> tuple[Missing, ...]:
        return tuple(look.snapshot.missing for look in self.looks)


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
    """Looks at the fleet once for each day, or once for the window. Raises ObserveError."""

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
        self._looks = Looks(settings, table, prometheus, state)

    def books(
        self,
        by: cost.By,
        basis: cost.Basis,
        *,
        calendar: Calendar | None = None,
        count: int = 1,
        tokens: bool = False,
        by_month: bool = False,
    ) -> Books:
        """The window's bill, or those of the newest so many periods, and every budget's state.

        `by_month` looks at each calendar month of the window apart.
        """
        now = self._prometheus.now()
        if calendar is None:
            window = self._settings.window_seconds
            spans = [Period("", now - window, now, complete=True, ends=now)]
        else:
            spans = list(periods(calendar, count, now, self._zone))
        pods = tokens or by in ("pod", "workload")
        signals = cost.POD_SIGNALS if pods else cost.SIGNALS
        bills = [
            self._bill(span, self._parts(span, calendar, by_month), by, basis, signals)
            for span in spans
        ]
        if tokens:
            bills = [self._with_tokens(bill) for bill in bills]
        looks = [look for bill in bills for look in bill.looks]
        used = self._table.in_use(price for look in looks for price in look.prices.values())
        return Books(
            bills=tuple(bills),
            by=by,
            basis=basis,
            calendar=calendar,
            settings=self._settings,
            table=used,
            warning=price_warning(self._settings, used, now),
            budgets=self.budgets(now),
        )

    def budgets(self, now: float) -> tuple[BudgetState | Refusal, ...]:
        """Each budget by the days of the running month and of the window."""
        budgets, month = self._table.terms.budgets, running_month(now, self._zone)
        if not budgets:
            return ()
        if not month.seconds:
            return (Refusal("budgets", f"{month.name} has just begun"),)
        window = now - self._settings.window_seconds
        span = replace(month, start=min(month.start, window))
        days: dict[cost.By, list[Day]] = {budget.scope: [] for budget in budgets}
        lost: list[Missing] = []
        for day in days_of(span, self._zone):
            look = self._looks.of(day, cost.HOURS_SIGNALS, keep=False)
            lost.append(look.snapshot.missing)
            for scope, found in days.items():
                found.append(Day(day, replace(self._report(look, scope, "whole"), pieces={})))
        return tuple(
            _untold(budget, lost)
            or judge_budget(
                budget,
                month=month,
                days=days[budget.scope],
                lately_since=window,
                known=self._known(budget.scope),
            )
            for budget in budgets
        )

    def _known(self, scope: str) -> Collection[str]:
        """Names that exist whether or not anything was held under them."""
        if scope == "team":
            return self._table.terms.teams
        return self._state.namespaces if scope == "namespace" and self._state else ()

    def _parts(self, span: Period, calendar: Calendar | None, by_month: bool) -> Sequence[Period]:
        if calendar is None:
            return months_of(span, self._zone) if by_month else (span,)
        return days_of(span, self._zone)

    def _bill(
        self,
        span: Period,
        parts: Sequence[Period],
        by: cost.By,
        basis: cost.Basis,
        signals: Collection[str],
    ) -> Bill:
        looks = tuple(self._looks.of(part, signals) for part in parts)
        reports = tuple(self._report(look, by, basis) for look in looks)
        whole = cost.joined(reports, self._settings.energy())
        said = (
            refusal
            for look, report in zip(looks, reports, strict=True)
            if look.measured or not any(each.measured for each in looks)
            for refusal in (*look.snapshot.refusals, *report.refusals)
        )
        told = tuple(dict.fromkeys((*_unmeasured(span, looks), *said)))
        return Bill(span, looks, reports, whole, refusals=told)

    def _report(self, look: Look, by: cost.By, basis: cost.Basis) -> cost.CostReport:
        return cost.report(
            look.snapshot,
            look.prices,
            self._settings.idle(),
            by=by,
            basis=basis,
            terms=self._table.terms,
            team_label=self._settings.team_label,
            energy=self._settings.energy(),
            sharers=look.sharers,
        )

    def _with_tokens(self, bill: Bill) -> Bill:
        """One more query, for all engines together."""
        text = render(promql("{window}"), window_seconds=bill.window_seconds, percentile=0.5)
        answer = self._prometheus.ask(text, at=bill.taken_at)
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
            if not any(one.why(each.labels.get("cluster", "")) for one in (lost, *bill.missing))
        ]
        pieces = [piece for found in bill.report.pieces.values() for piece in found]
        rows, refused = cost_of_tokens(
            served, pieces, bill.report.basis, bill.report.total.cost.currency
        )
        said = dict.fromkeys((*bill.refusals, *refusals(lost), *refused))
        return replace(bill, tokens=rows, refusals=tuple(said))


def _unmeasured(span: Period, looks: Sequence[Look]) -> tuple[Refusal, ...]:
    """Days of a longer period of which nothing is known, where something is of others."""
    empty = [look.span.name for look in looks if not look.measured]
    if not empty or len(empty) == len(looks):
        return ()
    where = empty[0] if len(empty) == 1 else f"{empty[0]} to {empty[-1]}"
    said = f"no GPU was seen on {len(empty)} of {len(looks)} days ({where}): they are in no amount"
    return (Refusal(span.name, said),)


def _untold(budget: Budget, every: Iterable[Missing]) -> Refusal | None:
    """What a partial response left out of a look was spent all the same."""
    for lost in every:
        why = lost.why(budget.name) if budget.scope == "cluster" else lost.reason
        if why:
            return Refusal(f"budget of {budget.scope} {budget.name}", why)
    return None
