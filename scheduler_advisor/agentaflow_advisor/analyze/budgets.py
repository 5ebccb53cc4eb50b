"""Budgets: what is spent of the month, where that leads, and when it is used up."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from itertools import pairwise

from agentaflow_advisor.analyze.cost import BLIND, EXACT, CostReport
from agentaflow_advisor.analyze.periods import Period
from agentaflow_advisor.model import Money, Refusal
from agentaflow_advisor.price import Budget

HOUR = Decimal(3600)
FINE = Decimal("1e-9")
RATIO = Decimal("0.0001")
DAY_HOURS = 24


@dataclass(frozen=True, slots=True)
class Day:
    """One day, and its report by the budget's scope."""

    span: Period
    report: CostReport

    @property
    def measured(self) -> bool:
        """A GPU was seen: without one, nothing is known of what was spent."""
        return bool(self.report.total.gpu_hours)


@dataclass(frozen=True, slots=True)
class BudgetState:
    """A budget in the running month. Amounts are in its currency.

    `burn_rate` is 1 where the money goes as fast as the month, 2 where it goes twice as fast.
    """

    scope: str
    name: str
    month: str
    per_month: Money
    spent: Money  # in the days that were measured
    days: int  # of the month so far
    measured_days: int
    unmeasured: Money  # what the other days cost if they were like the measured ones: an estimate
    per_day: Money  # at the present rate
    forecast: Money  # for the whole month: spent, unmeasured, and the rest at the present rate
    burn_rate: Decimal
    used_up_in_days: Decimal | None  # None: not within the month
    unpriced_gpu_hours: Decimal  # in no amount, so the true ones are higher

    @property
    def over(self) -> bool:
        """It is spent, or will be before the month ends."""
        return self.forecast.amount > self.per_month.amount


def state_of(
    budget: Budget,
    *,
    spent: Money,
    per_hour: Money,
    month: Period,
    days: Sequence[Day] = (),
    unpriced: Decimal = Decimal(0),
) -> BudgetState:
    """Where a budget stands at `month.end`: what is spent, and the rest at `per_hour`.

    `days` are those of the month so far; of those that were not measured, `spent` holds nothing.
    """
    elapsed = _seconds(month)
    left_hours = (Decimal(str(month.ends - month.end)) / HOUR).quantize(RATIO)
    whole = Decimal(str(month.ends - month.start))
    unknown = sum((_seconds(day.span) for day in days if not day.measured), Decimal(0))
    rate = spent.amount / (elapsed - unknown) if elapsed > unknown else Decimal(0)
    unmeasured = Money((rate * unknown).quantize(FINE), spent.currency)
    so_far = spent + unmeasured
    share = so_far.amount / budget.per_month
    return BudgetState(
        scope=budget.scope,
        name=budget.name,
        month=month.name,
        per_month=Money(budget.per_month, spent.currency),
        spent=spent,
        days=len(days),
        measured_days=sum(day.measured for day in days),
        unmeasured=unmeasured,
        per_day=per_hour * DAY_HOURS,
        forecast=so_far + per_hour * left_hours,
        burn_rate=(share * whole / elapsed).quantize(RATIO) if elapsed > 0 else Decimal(0),
        used_up_in_days=_used_up(budget.per_month - so_far.amount, per_hour.amount, left_hours),
        unpriced_gpu_hours=unpriced,
    )


def _used_up(remaining: Decimal, per_hour: Decimal, left_hours: Decimal) -> Decimal | None:
    """In how many days; None where it lasts the month."""
    if remaining <= 0:
        return Decimal(0)
    hours = remaining / per_hour if per_hour > 0 else None
    if hours is None or hours > left_hours:
        return None
    return (hours / DAY_HOURS).quantize(RATIO)


def judge_budget(
    budget: Budget,
    *,
    month: Period,
    days: Sequence[Day],
    lately_since: float,
    known: Collection[str] = (),
) -> BudgetState | Refusal:
    """From the days of the month and those since `lately_since`, which tell the present rate.

    `known` are names that exist although nothing may have been held under them.
    """
    subject = f"budget of {budget.scope} {budget.name}"
    so_far = [day for day in days if day.span.end > month.start]
    measured = [day for day in so_far if day.measured]
    if not measured:
        return Refusal(subject, f"no GPU was seen in {month.name}, so nothing is known of it")
    lately = _whole(days, lately_since) or measured
    blind = [
        {one.subject for one in day.report.refusals if one.reason.startswith(BLIND)}
        for day in lately
    ]
    if budget.scope != "cluster" and (never := set.intersection(*blind)):
        return Refusal(subject, f"{', '.join(sorted(never))}: {BLIND}")
    names = {row.name for day in days for row in day.report.rows}
    if budget.name not in names and budget.name not in known:
        said = f"no such {budget.scope} was seen with a GPU in {month.name}: check the name"
        return Refusal(subject, said)
    with localcontext(prec=EXACT):
        spent, unpriced = _spent(measured, budget)
        recent, _ = _spent(lately, budget)
    seconds = sum((_seconds(day.span) for day in lately), Decimal(0))
    per_hour = Money((recent.amount * HOUR / seconds).quantize(FINE), recent.currency)
    return state_of(
        budget,
        spent=spent,
        per_hour=per_hour,
        month=month,
        days=so_far,
        unpriced=unpriced,
    )


def _whole(days: Sequence[Day], since: float) -> list[Day]:
    """The measured ones since then, if possible without those beside a gap, which may begin in it.

    A Prometheus that keeps ten days forgets the eleventh hour by hour.
    """
    recent = [day for day in days if day.measured and day.span.end > since]
    beside = {
        id(day)
        for one, other in pairwise(days)
        if one.measured != other.measured
        for day in (one, other)
    }
    return [day for day in recent if id(day) not in beside] or recent


def _spent(days: Sequence[Day], budget: Budget) -> tuple[Money, Decimal]:
    """The budget's rows in all clusters together, and their hours without a price."""
    amount, unpriced = Money(Decimal(0), days[0].report.total.cost.currency), Decimal(0)
    for day in days:
        for row in day.report.rows:
            if row.name == budget.name:
                amount += row.cost
                unpriced += row.unpriced_gpu_hours
    return amount, unpriced


def _seconds(span: Period) -> Decimal:
    return Decimal(str(span.seconds))
