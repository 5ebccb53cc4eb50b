"""Forecasts: patterns are found, bands hold, thin history is refused, and money is linear."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentaflow_advisor.analyze import Findings, ForecastSettings, SettingsError, capacity
from agentaflow_advisor.analyze.backtest import backtest
from agentaflow_advisor.analyze.forecast import Forecast, forecast, least_history_seconds
from agentaflow_advisor.analyze.outlook import Outlook, outlook
from agentaflow_advisor.model import Demand, Money, Refusal, Series, Snapshot

HOUR, DAY, WEEK = 3600.0, 86_400.0, 604_800.0
START = 1_800_000_000.0
SETTINGS = ForecastSettings()


def series(*values: float | None, cluster: str = "c", name: str = "", step: float = HOUR) -> Series:
    return Series(cluster, name, START, step, values)


def weekly(weeks: int, level: float = 50.0) -> list[float]:
    """Weekdays by day, nothing at weekends."""
    hours = np.arange(weeks * 168)
    day, hour = hours // 24 % 7, hours % 24
    return [*(level * ((day < 5) & (hour >= 8) & (hour < 20))).astype(float).tolist()]


def noisy(weeks: int, mean: float = 100.0, spread: float = 10.0, seed: int = 7) -> list[float]:
    rng = np.random.default_rng(seed)
    return [*np.maximum(0.0, rng.normal(mean, spread, weeks * 168)).tolist()]


def told(one: Series, days: float = 7) -> Forecast:
    found = forecast(one, days * DAY, SETTINGS)
    assert isinstance(found, Forecast)
    return found


def refused(one: Series, days: float = 7) -> str:
    found = forecast(one, days * DAY, SETTINGS)
    assert isinstance(found, Refusal)
    return found.reason


def test_a_steady_demand_goes_on() -> None:
    """12 GPUs all the time: 12 to come, 2,016 GPU hours in a week, without any doubt."""
    found = told(series(*[12.0] * 1000))
    assert found.start == START + 1000 * HOUR
    assert len(found.point) == 168
    for values in (found.point, found.low, found.high):
        assert values == pytest.approx([12.0] * 168)
    assert found.gpu_hours == pytest.approx(2016.0)
    assert (found.gpu_hours_low, found.gpu_hours_high) == pytest.approx((2016.0, 2016.0))
    assert (found.lately, found.drift_per_week) == (12.0, 0.0)


def test_a_weekly_pattern_is_found() -> None:
    """Office hours of the next week, to within half a GPU of 50 on average."""
    found = told(series(*weekly(8)))
    assert np.abs(np.array(found.point) - weekly(1)).mean() < 0.5


def test_days_will_do_as_well_as_hours() -> None:
    """A daily series has only a week's pattern."""
    days = [30.0, 30.0, 30.0, 30.0, 30.0, 5.0, 5.0] * 8
    found = told(series(*days, step=DAY))
    assert np.array(found.point) == pytest.approx(days[:7], abs=1.0)
    assert found.gpu_hours == pytest.approx(sum(days[:7]) * 24, rel=0.05)


def test_noise_is_averaged_and_its_width_becomes_the_band() -> None:
    """100 give or take 10: near 100, in a band between its 10 and 90 % quantiles (12.8 off)."""
    inside = []
    for seed in range(6):
        values = noisy(9, seed=seed)
        found = told(series(*values[: 8 * 168]))
        point = np.array(found.point)
        assert np.abs(point - 100.0).mean() < 4.0
        assert np.mean(found.high) - point.mean() == pytest.approx(12.8, rel=0.15)
        assert found.error < found.naive_error
        real = np.array(values[8 * 168 :])
        inside.append(((real >= found.low) & (real <= found.high)).mean())
    assert np.mean(inside) == pytest.approx(0.8, abs=0.04)


def test_a_lasting_change_of_level_is_followed() -> None:
    """Demand that doubled two weeks ago stays doubled."""
    found = told(series(*[20.0] * 168 * 4, *[40.0] * 168 * 2))
    assert np.array(found.point) == pytest.approx(40.0, abs=2.0)


def test_gaps_are_bridged_and_do_not_count_as_nothing_held() -> None:
    """A day without metrics in a steady demand changes nothing."""
    values: list[float | None] = [12.0] * 1000
    values[700:724] = [None] * 24
    assert told(series(*values)).point == pytest.approx([12.0] * 168)


@pytest.mark.parametrize(
    ("values", "days", "reason"),
    [
        ([], 7, "the history is 0 s, 7 d ahead takes 21 d"),
        ([1.0] * 24 * 20, 7, "20 d, 7 d ahead takes 21 d; 6.5 d would be possible"),
        ([None] * 24 * 30 + [1.0] * 24 * 8, 7, "the history is 8 d, 7 d ahead takes 21 d"),
        ([1.0, None] * 24 * 20, 7, "50% of the history is missing, 20% is the most"),
        ([1.0] * 1000 + [None] * 7, 7, "nothing was told in the newest part"),
        ([1.0] * 999 + [-1.0], 7, "negative or not a number"),
        ([1.0] * 999 + [math.nan], 7, "negative or not a number"),
        ([1.0] * 999 + [math.inf], 7, "negative or not a number"),
        ([1.0] * 1000, 0.01, "ahead in steps of 1 h is not possible"),
    ],
)
def test_too_little_to_go_by_is_refused(
    values: list[float | None], days: float, reason: str
) -> None:
    """With what there is, what it takes, and what would be possible."""
    assert reason in refused(series(*values), days)


def test_the_least_history_suffices() -> None:
    """To the hour."""
    least = round(least_history_seconds(7 * DAY) / HOUR)
    assert isinstance(forecast(series(*[3.0] * least), 7 * DAY, SETTINGS), Forecast)
    assert refused(series(*[3.0] * (least - 1)))


@pytest.mark.parametrize(("name", "value"), [("coverage", 1.0), ("max_gap_ratio", -0.1)])
def test_settings_out_of_bounds(name: str, value: float) -> None:
    """By name."""
    with pytest.raises(SettingsError, match=f"{name} is"):
        ForecastSettings(**{name: value})


histories = st.lists(st.none() | st.floats(0, 1e6), min_size=22, max_size=40).map(
    lambda values: series(*values, step=DAY)
)


@settings(max_examples=60, deadline=None)
@given(histories)
def test_bands_hold_the_point_and_nothing_is_negative(one: Series) -> None:
    """Whatever the history: a forecast of finite numbers in order, or a refusal."""
    found = forecast(one, 7 * DAY, SETTINGS)
    if isinstance(found, Refusal):
        assert found.reason
        return
    for low, point, high in zip(found.low, found.point, found.high, strict=True):
        assert 0 <= low <= point <= high < math.inf
    assert 0 <= found.gpu_hours_low <= found.gpu_hours_high < math.inf


def growing(slope: float = 1.0, start: float = 20.0) -> Series:
    """GPUs by the hour over 8 weeks; `slope` a day."""
    return series(*(start + slope * hour / 24 for hour in range(8 * 168)))


def demand(*found: Series, gpus: float | None = 80.0) -> Demand:
    known = {} if gpus is None else {one.cluster: gpus for one in found}
    return Demand(found, known, ("promql of held",), START + 8 * WEEK)


def test_gpus_that_run_out() -> None:
    """A GPU more each day, 76 held of 80: the day, its band, how sure, and on what evidence."""
    findings = capacity.judge(demand(growing()), 14 * DAY, SETTINGS)
    (found,) = findings.recommendations
    assert found.kind == "capacity-runs-out"
    assert found.what.startswith("GPUs of cluster c run out on 2027-03-1")
    assert "80% band: 2027-03-1" in found.what
    assert "of 80 are held now" in found.what
    assert found.where.cluster == "c"
    assert 0.5 <= found.confidence <= 0.9
    assert found.evidence.promql == ("promql of held",)
    assert found.saves is None
    assert "no promise" in found.risk


def test_one_that_stays_below_is_no_finding() -> None:
    """Nor is one that shrinks."""
    for one in (growing(0.0), growing(-0.2, 40.0)):
        assert capacity.judge(demand(one), 14 * DAY, SETTINGS) == Findings((), ())


def test_more_headroom_is_never_a_greater_danger() -> None:
    """The more GPUs there are, the later they run out and the less sure that is."""
    sure = []
    for gpus in (70.0, 77.0, 79.0, 200.0):
        found = capacity.judge(demand(growing(), gpus=gpus), 14 * DAY, SETTINGS).recommendations
        sure.append(found[0].confidence if found else 0.0)
    assert sure == sorted(sure, reverse=True)
    assert sure[0] == pytest.approx(0.9)
    assert sure[-1] == 0.0


def test_without_the_number_of_gpus_nothing_is_said_of_running_out() -> None:
    """A refusal in place of a guess; a thin history gets one, too."""
    findings = capacity.judge(demand(growing(), gpus=None), 14 * DAY, SETTINGS)
    assert findings.recommendations == ()
    assert findings.refusals[0].reason == "how many GPUs it has is not told"
    findings = capacity.judge(demand(series(1.0)), 14 * DAY, SETTINGS)
    assert findings.refusals[0].subject == "forecast of cluster c"


def test_advice_without_a_history_says_nothing_of_capacity() -> None:
    """It was not asked for: that is no refusal either."""
    snapshot = Snapshot(START, DAY, 0.95, ())
    assert capacity.analyze(snapshot, 14 * DAY, SETTINGS) == Findings((), ())
    asked = replace(snapshot, demand=demand(growing()))
    assert capacity.analyze(asked, 14 * DAY, SETTINGS).recommendations


def look(price: str, *found: Series) -> Outlook:
    names = {(one.cluster, one.name): Money(Decimal(price)) for one in found}
    return outlook(
        demand(*found), names, by="namespace", horizon_seconds=7 * DAY, settings=SETTINGS
    )


def test_the_cost_to_come_by_hand() -> None:
    """12 GPUs for a week at 2.50 are 5,040; the cluster's own series is no row of a namespace."""
    steady = series(*[12.0] * 1000, name="research")
    found = look("2.50", series(*[12.0] * 1000), steady)
    (row,) = found.rows
    assert (row.cluster, row.name) == ("c", "research")
    assert row.cost
    assert row.cost.rounded() == Money(Decimal("5040.00"))
    assert found.refusals == ()


def test_without_a_price_the_hours_stay() -> None:
    """And the reason is told."""
    one = series(*[12.0] * 1000, name="research")
    found = outlook(demand(one), {}, by="namespace", horizon_seconds=WEEK, settings=SETTINGS)
    assert found.rows[0].cost is None
    assert found.rows[0].forecast.gpu_hours == pytest.approx(2016.0)
    assert found.refusals[0].subject == "cost of research"


levels = st.lists(st.floats(0, 500), min_size=1, max_size=4)


@settings(max_examples=15, deadline=None)
@given(levels, st.randoms(use_true_random=False))
def test_doubled_prices_double_the_money_and_the_order_changes_nothing(
    means: list[float], rng: random.Random
) -> None:
    """Hours do not depend on prices, nor rows on the order of the series."""
    found = [
        series(*noisy(4, mean, 3.0, seed), name=f"team-{seed}") for seed, mean in enumerate(means)
    ]
    once, twice = look("1.25", *found), look("2.50", *found)
    for single, double in zip(once.rows, twice.rows, strict=True):
        assert single.forecast == double.forecast
        for name in ("cost", "cost_low", "cost_high"):
            assert getattr(double, name) == getattr(single, name) * 2
    assert look("1.25", *rng.sample(found, len(found))) == once


def test_a_backtest_knows_nothing_of_the_future() -> None:
    """What comes after an origin and its horizon does not change its score."""
    values = noisy(8)
    other = [*values[: 7 * 168], *[9999.0] * 168]
    scores = [
        backtest(
            each,
            step_seconds=HOUR,
            ahead=168,
            origins=[6 * 168],
            buckets=[(0, 168)],
            history=5 * 168,
        )
        for each in (values, other)
    ]
    assert scores[0] == scores[1]
    (score,) = scores[0]
    assert score.mase < score.naive_mase
    assert score.pinball < score.naive_pinball
    assert 0.7 <= score.coverage <= 0.9
