"""Clocks held down: heat, power supply and an admin's cap are told apart, and bounds are bounds."""

from __future__ import annotations

import random
from collections.abc import Mapping
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


COOL: Mapping[str, float] = {
    "hw_thermal_slowdown": 0.0,
    "sw_thermal_slowdown": 0.0,
    BRAKE: 0.0,
    "sw_power_cap": 0.0,
}


def gpu(index: int = 0, limit: float | None = 700.0, **seconds: float) -> Gpu:
    """700 W by default, and every reason told; `seconds` are by reason."""
    measures = {"power_limit_default_watts": 700.0}
    if limit is not None:
        measures["power_limit_watts"] = limit
    made = Gpu("c", "n", str(index), f"GPU-{index}", up=True, utilization=BUSY)
    told = {**COOL, **seconds}
    return replace(made, present_seconds=DAY, measures=measures, counts={"throttled_seconds": told})


def telling(index: int = 0, **seconds: float) -> Gpu:
    """One of whose clocks nothing is told but these."""
    return replace(gpu(index), counts={"throttled_seconds": seconds})


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
        (gpu(thermal=DAY), {"thermal-throttling"}),
        (gpu(limit=400.0, sw_power_cap=DAY), {"power-cap"}),
        (gpu(limit=700.0, sw_power_cap=DAY), set()),
        (gpu(sync_boost=DAY, hw_power_brake_slowdown=0.0), set()),
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
        (telling(sync_boost=DAY), "nobody tells for how long"),
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


@pytest.mark.parametrize(
    ("one", "causes"),
    [
        (telling(sw_power_cap=0.0), "heat and the power brake"),
        (telling(thermal=0.0, sw_power_cap=0.0), "the power brake"),
        (telling(hw_power_brake_slowdown=0.0), "heat and a power limit"),
        (telling(sw_thermal_slowdown=0.0, sw_power_cap=0.0, hw_power_brake_slowdown=0.0), "heat"),
        (telling(hw_thermal_slowdown=0.0, sw_power_cap=0.0, hw_power_brake_slowdown=0.0), "heat"),
    ],
)
def test_a_reason_that_nobody_tells_was_not_looked_at(one: Gpu, causes: str) -> None:
    """Seconds of one reason are no word about another; software and hardware slow down alone."""
    (refusal,) = find(one, replace(one, uuid="GPU-1", index="1")).refusals
    assert refusal == Refusal(
        "clocks of GPUs of no known model in cluster c",
        f"for how long {causes} held the clocks of 2 GPUs down, nobody tells",
    )


def test_what_is_told_of_some_reasons_stays_told() -> None:
    """Software's slowdown is heat, although hardware's is not told."""
    findings = find(telling(sw_thermal_slowdown=DAY))
    assert [each.kind for each in findings.recommendations] == ["thermal-throttling"]
    assert len(findings.refusals) == 1


def test_where_every_reason_is_told_there_is_no_refusal() -> None:
    """As our own exporter tells them of a driver since R575."""
    assert find(gpu()) == Findings((), ())


def test_a_badly_cooled_node_is_one_finding() -> None:
    """All eight by hand: 8 x 638.75 USD a month, hours of all GPUs, from the least to the most."""
    hot = [gpu(index, hw_thermal_slowdown=DAY / 4) for index in range(7)]
    findings = find(*hot, gpu(7, hw_thermal_slowdown=DAY / 2))
    (found,) = findings.recommendations
    assert (found.where.node, found.where.gpu, found.where.uuid) == ("n", "", "")
    assert found.what == (
        "8 of 8 GPUs of n were slowed down by heat for 6 h to 12 h of 1 d each; "
        "that cost 11,497.50 USD a month at most"
    )
    assert found.saves
    assert found.saves.per_month == Money(Decimal("638.75") * 9)
    assert found.saves.inputs["throttled_hours"] == "54.000"
    alone = find(hot[0]).recommendations[0]
    assert (found.kind, found.risk) == (alone.kind, alone.risk)


@pytest.mark.parametrize(("hot", "found"), [(1, 1), (2, 2), (3, 1), (4, 1)])
def test_most_of_a_node_is_its_node(hot: int, found: int) -> None:
    """More than half of its four GPUs, and one alone never."""
    gpus = [gpu(index, thermal=DAY if index < hot else 0.0) for index in range(4)]
    told = find(*gpus).recommendations
    assert len(told) == found
    assert all((each.where.uuid == "") == (found < hot) for each in told)


def test_the_id_of_a_nodes_finding_does_not_hang_on_its_gpus() -> None:
    """Seven hot GPUs today and eight tomorrow are the same finding; heat and brake are two."""
    seven = find(*(gpu(index, thermal=DAY if index else 0.0) for index in range(8)))
    eight = find(*(gpu(index, thermal=DAY) for index in range(8)))
    assert [each.id for each in seven.recommendations] == [
        each.id for each in eight.recommendations
    ]
    both = find(*(gpu(index, thermal=DAY, hw_power_brake_slowdown=DAY) for index in range(8)))
    assert {each.kind for each in both.recommendations} == {"thermal-throttling", "power-brake"}
    assert len({each.id for each in both.recommendations}) == 2


def test_with_a_gpu_in_doubt_nothing_is_said_of_its_node_as_a_whole() -> None:
    """What is said of a node would rest on all of it: the sound ones are told one by one."""
    hot = [gpu(index, thermal=DAY) for index in range(4)]
    findings = find(*hot[:3], replace(hot[3], doubt="two clocks"))
    assert sorted(each.where.gpu for each in findings.recommendations) == ["0", "1", "2"]


@pytest.mark.parametrize("name", ["min_ratio", "loss_ratio"])
def test_settings_out_of_bounds(name: str) -> None:
    """By name."""
    with pytest.raises(SettingsError, match=f"{name} is 1.5: give"):
        ThrottlingSettings(**{name: 1.5})


reasons = st.dictionaries(
    st.sampled_from(
        [
            "sw_power_cap",
            "thermal",
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
        about = [one for one in fleet if found.where.uuid in ("", one.uuid)]
        assert any(any(one.counts.get("throttled_seconds", {}).values()) for one in about)
        if found.saves:
            assert found.saves.per_month.amount <= Decimal(7) * 730 * len(about)


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
