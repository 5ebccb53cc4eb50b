"""Budgets: what is spent of the month, where that leads, and when it is used up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext

from agentaflow_advisor.analyze.cost import BLIND, EXACT, CostReport
from agentaflow_advisor.analyze.periods import Period
from agentaflow_advisor.model import Money, Refusal
from agentaflow_advisor.price import Budget

HOUR = Decimal(3600)
FINE = Decimal("1e-9")
RATIO = Decimal("0.0001")
DAY_HOURS = 24


@dataclass(frozen=True, slots=True)
class BudgetState:
    """A budget in the running month. Amounts are in its currency.

    `burn_rate` is 1 where the money goes as fast as the month, 2 where it goes twice as fast.
    """

    scope: str
    name: str
    month: str
    per_month: Money
    spent: Money
    per_day: Money  # at the present rate
    forecast: Money  # for the whole month, at the present rate
    burn_rate: Decimal
    used_up_in_days: Decimal | None  # None: not within the month
    unpriced_gpu_hours: Decimal  # in no amount, so the true ones are higher

    @property
    def over(self) -> bool:
        """It is spent, or will be before the month ends."""
        return self.forecast.amount > self.per_month.amount


def state_of(
    budget: Budget, *, spent: Money, per_hour: Money, month: Period, unpriced: Decimal = Decimal(0)
) -> BudgetState:
    """Where a budget stands at `month.end`: what is spent, and the rest at `per_hour`."""
    elapsed = Decimal(str(month.end - month.start))
    left_hours = (Decimal(str(month.ends - month.end)) / HOUR).quantize(RATIO)
    whole = Decimal(str(month.ends - month.start))
    remaining = budget.per_month - spent.amount
    days: Decimal | None = Decimal(0)
    if remaining > 0:
        hours = remaining / per_hour.amount if per_hour.amount > 0 else None
        fits = hours is not None and hours <= left_hours
        days = (hours / DAY_HOURS).quantize(RATIO) if hours is not None and fits else None
    share = spent.amount / budget.per_month
    return BudgetState(
        scope=budget.scope,
        name=budget.name,
        month=month.name,
        per_month=Money(budget.per_month, spent.currency),
        spent=spent,
        per_day=per_hour * DAY_HOURS,
        forecast=spent + per_hour * left_hours,
        burn_rate=(share * whole / elapsed).quantize(RATIO) if elapsed > 0 else Decimal(0),
        used_up_in_days=days,
        unpriced_gpu_hours=unpriced,
    )


def judge_budget(
    budget: Budget,
    *,
    month: Period,
    so_far: Sequence[CostReport],
    lately: CostReport,
    lately_seconds: float,
) -> BudgetState | Refusal:
    """From reports that together are the month so far, and one of a recent window, by its scope."""
    subject = f"budget of {budget.scope} {budget.name}"
    if not any(report.total.gpu_hours for report in so_far) or lately_seconds <= 0:
        return Refusal(subject, f"no GPU was seen in {month.name}, so nothing is known of it")
    blind = sorted({one.subject for one in lately.refusals if one.reason.startswith(BLIND)})
    if budget.scope != "cluster" and blind:
        return Refusal(subject, f"{', '.join(blind)}: {BLIND}")
    with localcontext(prec=EXACT):
        spent, unpriced = _spent(so_far, budget)
        recent, _ = _spent((lately,), budget)
    hourly = (recent.amount * HOUR / Decimal(str(lately_seconds))).quantize(FINE)
    per_hour = Money(hourly, recent.currency)
    return state_of(budget, spent=spent, per_hour=per_hour, month=month, unpriced=unpriced)


def _spent(reports: Sequence[CostReport], budget: Budget) -> tuple[Money, Decimal]:
    """The budget's rows in all clusters together, and their hours without a price."""
    amount, unpriced = Money(Decimal(0), reports[0].total.cost.currency), Decimal(0)
    for report in reports:
        for row in report.rows:
            if row.name == budget.name:
                amount += row.cost
                unpriced += row.unpriced_gpu_hours
    return amount, unpriced
