"""Calendar periods, budgets and tokens: spans that join, rates that lead somewhere."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentaflow_advisor.analyze.allocation import Piece
from agentaflow_advisor.analyze.budgets import BudgetState, Day, judge_budget, state_of
from agentaflow_advisor.analyze.cost import CostReport, CostRow
from agentaflow_advisor.analyze.periods import (
    Calendar,
    Period,
    days_of,
    months_of,
    periods,
    running_month,
)
from agentaflow_advisor.analyze.tokens import ENGINES, Served, cost_of_tokens, promql
from agentaflow_advisor.model import Gpu, Money, Refusal
from agentaflow_advisor.price import Budget, NodePrice

NOW = datetime(2026, 11, 23, 14, 30, tzinfo=UTC).timestamp()
BERLIN = ZoneInfo("Europe/Berlin")
ZONES = (UTC, BERLIN, ZoneInfo("America/New_York"), ZoneInfo("Asia/Kolkata"))


@pytest.mark.parametrize(
    ("calendar", "names"),
    [
        ("day", ["2026-11-21", "2026-11-22", "2026-11-23"]),
        ("week", ["2026-W46", "2026-W47", "2026-W48"]),
        ("month", ["2026-09", "2026-10", "2026-11"]),
    ],
)
def test_the_newest_periods_with_the_running_one(calendar: Calendar, names: list[str]) -> None:
    """Oldest first; only the last one is not complete and ends now."""
    found = periods(calendar, 3, NOW, UTC)
    assert [one.name for one in found] == names
    assert [one.complete for one in found] == [True, True, False]
    assert found[-1].end == NOW


def test_a_period_that_has_just_begun_is_left_out() -> None:
    """Half an hour of a day proves nothing."""
    midnight = datetime(2026, 11, 23, 0, 30, tzinfo=UTC).timestamp()
    assert [one.name for one in periods("day", 1, midnight, UTC)] == ["2026-11-22"]


def test_a_day_of_the_zone_may_have_25_hours() -> None:
    """When summer time ends in Berlin, and its midnight is not UTC's."""
    after = datetime(2026, 10, 26, 12, tzinfo=BERLIN).timestamp()
    (day, _) = periods("day", 2, after, BERLIN)
    assert (day.name, day.seconds) == ("2026-10-25", 25 * 3600)
    assert datetime.fromtimestamp(day.start, UTC).hour == 22


@given(
    st.sampled_from(["day", "week", "month"]),
    st.integers(1, 40),
    st.floats(1.6e9, 2.2e9),
    st.sampled_from(ZONES),
)
def test_periods_join_without_a_gap(
    calendar: Calendar, count: int, now: float, zone: ZoneInfo
) -> None:
    """Each begins where the one before ends, and the running month is made of its days."""
    found = periods(calendar, count, now, zone)
    assert len(found) == count
    assert all(one.end == after.start for one, after in pairwise(found))
    assert all(one.start < one.end <= now for one in found)
    month = running_month(now, zone)
    assert sum(day.seconds for day in days_of(month, zone)) == month.seconds


@given(st.floats(1.6e9, 2.2e9), st.floats(1.0, 2e7), st.sampled_from(ZONES))
def test_months_of_a_span_join_and_none_reaches_into_another(
    start: float, seconds: float, zone: ZoneInfo
) -> None:
    """Nothing is added at the ends, and each part is within one month."""
    parts = months_of(Period("", start, start + seconds, complete=True, ends=0.0), zone)
    assert (parts[0].start, parts[-1].end) == (start, start + seconds)
    assert all(one.end == after.start for one, after in pairwise(parts))
    for part in parts:
        first = datetime.fromtimestamp(part.start, zone)
        last = datetime.fromtimestamp(part.end - 0.001, zone)
        assert (first.year, first.month) == (last.year, last.month)


DAY = 86_400.0
MONTH = Period("2026-11", 0.0, 10 * 86_400.0, complete=False, ends=30 * 86_400.0)


def usd(amount: str) -> Money:
    return Money(Decimal(amount))


def test_a_budget_by_hand() -> None:
    """600 of 900 spent in a third of the month, 60 a day: twice too fast, gone in 5 days."""
    state = state_of(
        Budget("namespace", "a", Decimal(900)), spent=usd("600"), per_hour=usd("2.5"), month=MONTH
    )
    assert state.burn_rate == 2
    assert state.forecast == usd("1800")
    assert state.used_up_in_days == 5
    assert state.over


@pytest.mark.parametrize(
    ("spent", "per_hour", "days", "over"),
    [
        ("900", "0", 0, False),
        ("901", "0", 0, True),
        ("100", "0.1", None, False),
        ("0", "0", None, False),
    ],
)
def test_the_ends_of_a_budget(spent: str, per_hour: str, days: int | None, over: bool) -> None:
    """Used up, just used up, and lasting the month."""
    budget = Budget("team", "a", Decimal(900))
    state = state_of(budget, spent=usd(spent), per_hour=usd(per_hour), month=MONTH)
    assert (state.used_up_in_days, state.over) == (days, over)


def report(name: str, amount: str, *refusals: Refusal, hours: int = 24) -> CostReport:
    nothing = usd("0")
    row = CostRow("namespace", "c", name, Decimal(hours), Decimal(0), usd(amount), usd(amount),
                  nothing, nothing, nothing, assumed=False)  # fmt: skip
    return CostReport("whole", (row,) if hours else (), row, refusals)


UNSEEN = report("a", "0", hours=0)
MONTH_DAYS = 30


def judged(
    *reports: CostReport, since: float = 0.0, name: str = "a", known: Collection[str] = ()
) -> BudgetState | Refusal:
    """By one report for each day of a month of 30, of which so many are gone."""
    days = [
        Day(Period(f"day {n}", n * DAY, (n + 1) * DAY, complete=True, ends=(n + 1) * DAY), each)
        for n, each in enumerate(reports)
    ]
    month = Period("2026-11", 0.0, len(days) * DAY, complete=False, ends=MONTH_DAYS * DAY)
    budget = Budget("namespace", name, Decimal(900))
    return judge_budget(budget, month=month, days=days, lately_since=since, known=known)


def test_what_is_spent_is_the_sum_of_the_days() -> None:
    """Rows of other names are other people's; the rate is that of the newest day."""
    state = judged(report("a", "10"), report("b", "5"), report("a", "12"), since=2 * DAY)
    assert isinstance(state, BudgetState)
    assert state.spent == usd("22")
    assert state.per_day == usd("12")
    assert (state.days, state.measured_days, state.unmeasured) == (3, 3, usd("0"))


def test_days_that_were_not_measured_are_not_days_without_cost() -> None:
    """7 of 28 days at 60 a day: 420 spent, 1,260 estimated, twice too fast, and used up."""
    state = judged(*[UNSEEN] * 21, *[report("a", "60")] * 7, since=21 * DAY)
    assert isinstance(state, BudgetState)
    assert (state.days, state.measured_days) == (28, 7)
    assert (state.spent, state.unmeasured) == (usd("420"), usd("1260"))
    assert (state.per_day, state.forecast) == (usd("60"), usd("1800"))
    assert (state.burn_rate, state.used_up_in_days) == (Decimal(2), Decimal(0))
    assert state.over


def test_the_rate_is_that_of_whole_measured_days() -> None:
    """The day that Prometheus is about to forget holds a part of it, as does one before a gap."""
    state = judged(UNSEEN, report("a", "1"), report("a", "60"), report("a", "2"), UNSEEN)
    assert isinstance(state, BudgetState)
    assert state.per_day == usd("60")


def test_the_rate_is_of_what_there_is_where_no_day_is_whole() -> None:
    """One measured day between two gaps is better than nothing."""
    state = judged(UNSEEN, report("a", "12"), UNSEEN)
    assert isinstance(state, BudgetState)
    assert state.per_day == usd("12")


def test_a_name_that_nobody_saw_is_no_budget_that_lasts() -> None:
    """A misspelt name is told; one that is known to exist has spent nothing."""
    unknown = judged(report("a", "10"), name="b")
    assert isinstance(unknown, Refusal)
    assert "no such namespace was seen" in unknown.reason
    state = judged(report("a", "10"), name="b", known=("b",))
    assert isinstance(state, BudgetState)
    assert state.spent == usd("0")


def test_a_budget_is_refused_where_nothing_is_known() -> None:
    """No GPU seen is not nothing spent; nor is a cluster that never tells pods."""
    unseen = judged(UNSEEN)
    assert isinstance(unseen, Refusal)
    why = Refusal("cluster c", "no pod is known to have held a GPU (…): nothing is …")
    blind = judged(report("a", "1", why), report("a", "1", why))
    assert isinstance(blind, Refusal)
    assert "cluster c: no pod is known" in blind.reason
    assert isinstance(judged(report("a", "1", why), report("a", "1")), BudgetState)


PRICE = NodePrice("own", usd("10"), usd("10"), usd("7"), assumed=False)


def piece(namespace: str = "a", pod: str = "x", price: NodePrice | None = PRICE) -> Piece:
    gpu = Gpu("c", "n", "0", "GPU-0")
    return Piece(gpu, namespace, pod, "used", Decimal(12), price, None)


def served(tokens: float, kind: str = "generated", pod: str = "x", cluster: str = "c") -> Served:
    return Served(cluster, "a", pod, "vllm", kind, tokens)


def test_cost_per_million_tokens_by_hand() -> None:
    """120 USD for 4 million tokens, 1 million of them generated: 30 and 120 a million."""
    (row,), refused = cost_of_tokens(
        [served(3e6, "prompt"), served(1e6)], [piece()], "whole", "USD"
    )
    assert (row.pod, row.engines, refused) == ("x", ("vllm",), ())
    assert row.per_million == usd("30")
    assert row.per_million_generated == usd("120")


def test_without_pods_the_namespace_pays_for_its_tokens() -> None:
    """One row for all its servers, named as the whole namespace."""
    (row,), _ = cost_of_tokens([served(1e6), served(1e6, pod="y")], [piece(pod="")], "whole", "USD")
    assert (row.pod, row.per_million) == ("", usd("60"))


def test_an_engine_without_a_cluster_label_is_in_the_only_cluster() -> None:
    """Its own Prometheus may not add the label."""
    (row,), _ = cost_of_tokens([served(1e6, cluster="")], [piece()], "whole", "USD")
    assert row.cluster == "c"


@pytest.mark.parametrize(
    ("found", "pieces", "reason"),
    [
        ([], [piece()], "no serving engine"),
        ([served(0.0), served(float("nan")), served(float("inf"))], [piece()], "no serving engine"),
        ([served(1.0)], [piece(price=None)], "no price"),
        ([served(1.0)], [piece(namespace="b")], "no GPU is known"),
    ],
)
def test_tokens_without_a_cost_are_refused(
    found: list[Served], pieces: list[Piece], reason: str
) -> None:
    """Never zero, never infinite: a line that says why."""
    rows, (refusal,) = cost_of_tokens(found, pieces, "whole", "USD")
    assert rows == ()
    assert reason in refusal.reason


def test_all_engines_are_asked_in_one_query() -> None:
    """Each counter once, over the window."""
    text = promql("7d")
    assert all(text.count(f"{name}{{") == 1 for names in ENGINES.values() for name in names)
    assert text.count("[7d]") == 6
