"""Clocks held down: heat, power supply and an admin's cap are told apart, and bounds are bounds."""

from __future__ import annotations

import random
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentaflow_advisor.analyze import Findings, SettingsError, ThrottlingSettings, throttling
from agentaflow_advisor.model import Gpu, Money, Node, Refusal, Snapshot, Usage
from agentaflow_advisor.price import NodeKey, NodePrice

DAY = 86_400.0
BRAKE = "hw_power_brake_slowdown"
BUSY = Usage(1.0, 0.9, 5760, 15.0, DAY, 0.6)
PRICE = NodePrice(
    "own", Money(Decimal(20)), Money(Decimal(10)), Money(Decimal(7)), assumed=False, how="own"
)


def gpu(index: int = 0, limit: float | None = 700.0, **seconds: float) -> Gpu:
    """700 W by default; `seconds` are by reason."""
    measures = {"power_limit_default_watts": 700.0}
    if limit is not None:
        measures["power_limit_watts"] = limit
    made = Gpu("c", "n", str(index), f"GPU-{index}", up=True, utilization=BUSY)
    return replace(
        made, present_seconds=DAY, measures=measures, counts={"throttled_seconds": seconds}
    )


def find(*gpus: Gpu, price: NodePrice | Refusal = PRICE, **changes: float) -> Findings:
    snapshot = Snapshot(1_800_000_000.0, DAY, 0.95, gpus, (Node("c", "n", 8),))
    prices: dict[NodeKey, NodePrice | Refusal] = {("c", "n"): price}
    return throttling.analyze(snapshot, prices, ThrottlingSettings(**changes))


def test_heat_by_hand() -> None:
    """6 of 24 h at 7 USD: at most 182.5 h x 7 = 1,277.50 a month, and half of that as lost."""
    (found,) = find(gpu(hw_thermal_slowdown=DAY / 4)).recommendations
    assert found.kind == "thermal-throttling"
    assert found.what == (
        "GPU 0 on n was slowed down by heat for 6 h of 1 d; that cost 1,277.50 USD a month at most"
    )
    assert found.saves
    assert found.saves.per_month == Money(Decimal("638.75"))
    assert found.saves.inputs["upper_bound_per_month"] == "1,277.50 USD"
    assert found.saves.inputs["loss_factor"] == "0.5 (stated, not measured)"
    assert found.saves.inputs["throttled_hours"] == "6.000"


def test_the_loss_factor_is_a_setting() -> None:
    """1 counts the whole bound, 0 nothing; the bound itself stays."""
    for factor in (0.0, 1.0):
        (found,) = find(gpu(hw_thermal_slowdown=DAY / 4), loss_ratio=factor).recommendations
        assert found.saves
        assert found.saves.per_month == Money(Decimal("1277.5") * Decimal(str(factor)))
        assert found.saves.inputs["upper_bound_per_month"] == "1,277.50 USD"


@pytest.mark.parametrize(
    ("one", "kinds"),
    [
        (gpu(sw_thermal_slowdown=DAY), {"thermal-throttling"}),
        (gpu(hw_power_brake_slowdown=DAY), {"power-brake"}),
        (gpu(hw_slowdown=DAY), {"thermal-throttling"}),
        (gpu(hw_slowdown=DAY, hw_power_brake_slowdown=DAY), {"power-brake"}),
        (gpu(limit=400.0, sw_power_cap=DAY), {"power-cap"}),
        (gpu(limit=700.0, sw_power_cap=DAY), set()),
        (gpu(sync_boost=DAY), set()),
        (gpu(hw_thermal_slowdown=DAY / 100), set()),
        (gpu(sw_thermal_slowdown=0.0), set()),
    ],
)
def test_causes_are_told_apart(one: Gpu, kinds: set[str]) -> None:
    """At its default limit a board does what it was bought for: that is no finding."""
    assert {found.kind for found in find(one).recommendations} == kinds


def test_an_admins_cap_is_no_loss() -> None:
    """Its limit and default are named, and nothing counts as saved: it may be on purpose."""
    (found,) = find(gpu(limit=400.0, sw_power_cap=DAY / 2)).recommendations
    assert "400 W that somebody set below its default of 700 W for 12 h of 1 d" in found.what
    assert found.saves is None
    assert "on purpose" in found.risk


def test_two_kinds_of_heat_may_overlap() -> None:
    """The longer one counts, not their sum."""
    (found,) = find(gpu(hw_thermal_slowdown=DAY / 4, sw_thermal_slowdown=DAY / 2)).recommendations
    assert "for 12 h of 1 d" in found.what


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (replace(gpu(), counts={}), "nobody tells for how long"),
        (gpu(limit=None, sw_power_cap=DAY), "its limits are not told"),
        (replace(gpu(sw_thermal_slowdown=DAY), doubt="two clocks"), "two clocks"),
        (replace(gpu(sw_thermal_slowdown=DAY), present_seconds=0.0), "not seen in the window"),
    ],
)
def test_what_cannot_be_told_is_refused(one: Gpu, reason: str) -> None:
    """By the GPU's name, with the signals that are missing."""
    findings = find(one)
    assert findings.recommendations == ()
    (refusal,) = findings.refusals
    assert (refusal.subject, reason in refusal.reason) == ("c/n/gpu 0", True)


def test_without_a_price_the_hours_stay() -> None:
    """The finding has no money, and the reason is told once."""
    refusal = Refusal("node n", "no price: unknown")
    findings = find(gpu(sw_thermal_slowdown=DAY), price=refusal)
    assert [found.saves for found in findings.recommendations] == [None]
    assert findings.refusals == (refusal,)


@pytest.mark.parametrize("name", ["min_ratio", "loss_ratio"])
def test_settings_out_of_bounds(name: str) -> None:
    """By name."""
    with pytest.raises(SettingsError, match=f"{name} is 1.5: give"):
        ThrottlingSettings(**{name: 1.5})


reasons = st.dictionaries(
    st.sampled_from(
        [
            "sw_power_cap",
            "hw_slowdown",
            "hw_thermal_slowdown",
            "sw_thermal_slowdown",
            BRAKE,
            "other",
        ]
    ),
    st.floats(0, 2 * DAY),
)
gpus = st.builds(
    lambda index, limit, seconds, told: replace(
        gpu(index, limit), counts={"throttled_seconds": seconds} if told else {}
    ),
    st.integers(0, 9),
    st.none() | st.sampled_from([300.0, 700.0]),
    reasons,
    st.booleans(),
)
fleets = st.lists(gpus, max_size=6, unique_by=lambda one: one.uuid)


@given(fleets)
def test_no_recommendation_without_seconds_and_none_beyond_the_price(fleet: list[Any]) -> None:
    """Every finding has a reason that was told; its loss and its bound are at most the price."""
    for found in find(*fleet, loss_ratio=1.0).recommendations:
        (one,) = [one for one in fleet if one.uuid == found.where.uuid]
        assert any(one.counts["throttled_seconds"].values())
        if found.saves:
            assert found.saves.per_month.amount <= Decimal(7) * 730


@given(fleets, st.randoms(use_true_random=False))
def test_the_order_of_gpus_changes_nothing(fleet: list[Gpu], rng: random.Random) -> None:
    """A shuffled fleet gets the same findings in the same order."""
    assert find(*rng.sample(fleet, len(fleet))) == find(*fleet)


@given(fleets)
def test_doubled_prices_double_the_money_and_nothing_else(fleet: list[Gpu]) -> None:
    """Hours do not depend on prices."""
    twice = replace(PRICE, per_gpu_hour_residual=PRICE.per_gpu_hour_residual * 2)
    doubled = {found.id: found for found in find(*fleet, price=twice).recommendations}
    once = find(*fleet).recommendations
    assert set(doubled) == {found.id for found in once}
    for found in once:
        other = doubled[found.id].saves
        assert (found.saves is None) == (other is None)
        if found.saves and other:
            assert other.per_month == found.saves.per_month * 2
