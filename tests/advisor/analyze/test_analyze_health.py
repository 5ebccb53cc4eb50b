"""Sick GPUs: every reason is a signal that was told, and what nobody told is said."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentaflow_advisor.analyze import Findings, HealthSettings, SettingsError, health
from agentaflow_advisor.analyze.health import examine
from agentaflow_advisor.analyze.signs import ACTIONS, CHECKS, XIDS, quiet
from agentaflow_advisor.analyze.signs import told as told_of
from agentaflow_advisor.analyze.xids import APPLICATION, CRITICAL, INFORMATION, WARNING
from agentaflow_advisor.model import Gpu, Money, Node, Query, Refusal, Snapshot, Usage
from agentaflow_advisor.price import NodeKey, NodePrice

DAY = 86_400.0
BUSY = Usage(1.0, 0.9, 5760, 15.0, DAY, 0.6)
PRICE = NodePrice(
    "own", Money(Decimal(20)), Money(Decimal(10)), Money(Decimal("7.03")), assumed=False, how="own"
)
SOUND: Mapping[str, float] = {
    "ecc_uncorrected": 0.0,
    "row_remap_pending": 0.0,
    "row_remap_failure": 0.0,
    "remapped_rows_uncorrectable_new": 0.0,
    "pcie_width": 16.0,
    "pcie_width_max": 16.0,
    "pcie_replays": 0.0,
    "nvlink_links_down": 0.0,
    "nvlink_errors": 0.0,
    "recovery_action": 0.0,
    "lost_seconds": 0.0,
}
COOL: Mapping[str, float] = {"hw_thermal_slowdown": 0.0, "hw_power_brake_slowdown": 0.0}
QUIET: Mapping[str, Mapping[str, float]] = {"xids": {}, "throttled_seconds": COOL}


def gpu(
    index: int = 0,
    *,
    xids: Mapping[str, float] | None = None,
    throttled: Mapping[str, float] | None = None,
    **changes: Any,
) -> Gpu:
    """A busy GPU whose every signal is told and in order; names of signals change those."""
    measures = {**SOUND, **{name: changes.pop(name) for name in [*changes] if name in MEASURES}}
    counts = {"xids": xids or {}, "throttled_seconds": {**COOL, **(throttled or {})}}
    made = Gpu("c", "n", str(index), f"GPU-{index}", model="NVIDIA H100 80GB HBM3", up=True)
    return replace(made, **{"utilization": BUSY, "measures": measures, "counts": counts, **changes})


MEASURES = {*SOUND, "retired_pages_pending"}


def look(*gpus: Gpu, **changes: Any) -> Snapshot:
    queries = (
        Query("xids", "promql of xids", 1, 0.1),
        Query("up", "promql of up", 1, 0.1),
        Query("xids", "of another exporter", 1, 0.1, dialect="dcgm"),
    )
    made = Snapshot(1_800_000_000.0, DAY, 0.95, gpus, (Node("c", "n", 8),), queries=queries)
    return replace(made, **changes)


def find(*gpus: Gpu, price: NodePrice = PRICE, below: float = 90.0) -> Findings:
    prices: dict[NodeKey, NodePrice | Refusal] = {("c", "n"): price}
    return health.analyze(look(*gpus), prices, HealthSettings(below))


def test_a_gpu_whose_every_signal_is_told_and_in_order() -> None:
    """Nothing to say: neither advice nor a refusal."""
    assert find(gpu()) == Findings((), ())
    assert examine(gpu(), DAY).score == 100


def test_a_gpu_that_fell_off_the_bus() -> None:
    """What, where, why, how sure, on what evidence, and what draining costs."""
    (found,) = find(gpu(3, dialect="agentaflow", xids={"79": 2.0})).recommendations
    assert found.kind == "drain-gpu-node"
    assert found.what == (
        "GPU 3 (NVIDIA H100 80GB HBM3) on n scores 0 of 100: Xid 79 (it fell off the bus) came "
        "2 times; drain its node, then have the board tested"
    )
    assert (found.where.node, found.where.uuid) == ("n", "GPU-3")
    assert found.enforceable == "node"
    assert found.action is None
    assert "ends every pod on the node" in found.risk
    assert found.evidence.promql == ("promql of xids", "promql of up")
    assert found.saves is None
    assert found.confidence == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("changes", "kind", "score", "words"),
    [
        ({"xids": {"48": 1.0}}, "drain-gpu-node", 40, "double-bit"),
        ({"xids": {"64": 1.0}}, "drain-gpu-node", 10, "could not be taken out of use"),
        ({"xids": {"74": 1.0}}, "drain-gpu-node", 50, "NVLink"),
        ({"xids": {"94": 1.0}}, "reset-gpu", 80, "contained to one program"),
        ({"xids": {"119": 1.0}}, "reset-gpu", 40, "GSP"),
        ({"ecc_uncorrected": 3.0}, "reset-gpu", 60, "3 uncorrected memory errors"),
        ({"row_remap_failure": 1.0}, "drain-gpu-node", 0, "due for return"),
        ({"row_remap_pending": 1.0}, "reset-gpu", 70, "waits for a reset"),
        ({"remapped_rows_uncorrectable_new": 2.0}, "check-gpu", 80, "2 memory rows were replaced"),
        ({"retired_pages_pending": 1.0}, "reset-gpu", 70, "wait for a reboot"),
        ({"pcie_width": 8.0}, "check-gpu", 70, "8 of 16 lanes"),
        ({"pcie_replays": 9.0 * 24 * 60}, "check-gpu", 80, "9.0 PCIe packets a minute"),
        ({"nvlink_links_down": 2.0}, "check-gpu", 70, "2 NVLinks are down"),
        ({"nvlink_errors": 200.0 * DAY}, "drain-gpu-node", 50, "200 NVLink errors a second"),
        ({"recovery_action": 1.0}, "reset-gpu", 40, "asks for a GPU reset"),
        ({"recovery_action": 4.0}, "drain-gpu-node", 30, "drain and reset"),
        ({"recovery_action": 42.0}, "check-gpu", 70, "action 42"),
        ({"throttled": {"hw_thermal_slowdown": 7200.0}}, "check-gpu", 80, "heat halved"),
        ({"throttled": {"hw_power_brake_slowdown": 7200.0}}, "check-gpu", 80, "power brake"),
        ({"lost_seconds": 7200.0}, "check-gpu", 60, "did not answer for 2 h"),
        ({"up": False}, "drain-gpu-node", 0, "does not answer now"),
    ],
)
def test_every_sign_has_its_weight_and_its_remedy(
    changes: dict[str, Any], kind: str, score: int, words: str
) -> None:
    """One sign alone: the score falls by its points, and it says what it saw."""
    (found,) = find(gpu(**changes)).recommendations
    assert (found.kind, words in found.what) == (kind, True)
    assert f"scores {score} of 100" in found.what
    assert (
        found.enforceable
        == {"drain": "node", "reset": "device", "check": "none"}[kind.partition("-")[0]]
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"xids": dict.fromkeys(("13", "31", "43", "63", "92"), 1000.0)},
        {"pcie_width": 8.0, "utilization": Usage(0.0, 0.0, 5760, 15.0, DAY, 0.0)},
        {"pcie_replays": 7.0 * 24 * 60},
        {"nvlink_errors": 5000.0},
        {"throttled": {"hw_thermal_slowdown": 60.0, "sw_power_cap": DAY}},
        {"lost_seconds": 30.0},
        {"xids": {"45": 3.0}},
    ],
)
def test_what_does_not_speak_against_a_board(changes: dict[str, Any]) -> None:
    """Faults of programs, repairs that worked, links at rest, rates within limits, blips."""
    assert find(gpu(**changes)).recommendations == ()


def test_one_broken_part_counts_once() -> None:
    """An Xid, an ECC error and a row to remap are one event: the worst counts, not the sum."""
    one = gpu(xids={"48": 1.0}, ecc_uncorrected=1.0, row_remap_pending=1.0)
    assert examine(one, DAY).score == 40
    both = gpu(xids={"48": 1.0}, ecc_uncorrected=1.0, pcie_width=8.0)
    assert examine(both, DAY).score == 10


def test_a_score_says_what_it_could_not_look_at() -> None:
    """Missing signals are listed with the finding, and for those without one in a refusal."""
    sick = gpu(0, xids={"79": 1.0})
    sick = replace(sick, measures={"ecc_uncorrected": 0.0})
    dull = replace(gpu(1), measures={"ecc_uncorrected": 0.0})
    findings = find(sick, dull)
    (found,) = findings.recommendations
    unseen = "memory repairs, PCIe width, PCIe replays, NVLinks, recovery action, time lost"
    assert f"(not looked at: {unseen})" in found.what
    (refusal,) = findings.refusals
    assert refusal.subject == "health of NVIDIA H100 80GB HBM3 in cluster c"
    assert refusal.reason == f"2 GPUs were judged without {unseen}: nobody tells these"


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (replace(gpu(), measures={}, counts={}), "nobody tells Xid errors, memory errors"),
        (replace(gpu(xids={"79": 1.0}), up=None), "not listed now"),
        (replace(gpu(xids={"79": 1.0}), doubt="its clock is wrong"), "its clock is wrong"),
    ],
)
def test_a_gpu_that_cannot_be_judged(one: Gpu, reason: str) -> None:
    """It gets a refusal by its own name, and no advice."""
    findings = find(one)
    assert findings.recommendations == ()
    (refusal,) = findings.refusals
    assert (refusal.subject, reason in refusal.reason) == ("c/n/gpu 0", True)


def test_a_lost_gpu_that_tells_nothing_else_is_still_told() -> None:
    """`up` is 0 and nothing else is there: that is a finding, and its limits are said."""
    findings = find(replace(gpu(), up=False, utilization=None, measures={}, counts={}))
    (found,) = findings.recommendations
    assert found.kind == "drain-gpu-node"
    assert found.evidence.newest_age_seconds == math.inf
    assert len(findings.refusals) == 1


def test_lost_hours_cost_money() -> None:
    """6 of 24 hours without an answer: a quarter of 730 h at 7.03."""
    (found,) = find(gpu(lost_seconds=DAY / 4)).recommendations
    assert found.saves
    assert found.saves.per_month == Money(Decimal("7.03") * Decimal("182.5"))
    assert found.saves.inputs["lost"] == "6 h"


def test_the_threshold_is_a_setting() -> None:
    """A lower one leaves lighter findings out; one out of bounds is refused."""
    assert find(gpu(pcie_width=8.0), below=60).recommendations == ()
    with pytest.raises(SettingsError, match="below_score is 101"):
        HealthSettings(101)


def test_every_code_of_the_catalogue_is_weighed_once() -> None:
    """The classes do not overlap, and each code that speaks against a board has points."""
    classes = [set(CRITICAL), set(WARNING), set(APPLICATION), set(INFORMATION)]
    assert sum(map(len, classes)) == len(set().union(*classes))
    assert set(XIDS) == set(CRITICAL) | set(WARNING)
    assert all(0 < points <= 100 for points, *_ in (*XIDS.values(), *ACTIONS.values()))


@pytest.mark.parametrize(
    ("seconds", "blind"),
    [
        ({"sw_power_cap": 0.0}, {"slowdowns by heat", "slowdowns by the power brake"}),
        ({"thermal": 0.0, "sw_power_cap": 0.0}, {"slowdowns by the power brake"}),
        ({"sw_thermal_slowdown": 0.0}, {"slowdowns by heat", "slowdowns by the power brake"}),
        (COOL, set()),
    ],
)
def test_only_reasons_that_were_told_were_looked_at(
    seconds: dict[str, float], blind: set[str]
) -> None:
    """A score of 100 says which slowdowns nobody told; software's are no sign of a sick board."""
    one = replace(gpu(), counts={"xids": {}, "throttled_seconds": seconds})
    assert set(examine(one, DAY).blind) == blind
    assert examine(one, DAY).score == 100
    told = [each.reason for each in find(one).refusals]
    assert all(any(name in reason for reason in told) for name in blind)


def test_heat_as_dcgm_tells_it_is_a_sign() -> None:
    """Whether hardware or software slowed it down is not told apart there, nor said."""
    seconds = {"thermal": 7200.0, "sw_power_cap": 0.0}
    one = replace(gpu(), counts={"xids": {}, "throttled_seconds": seconds})
    (found,) = find(one).recommendations
    assert found.kind == "check-gpu"
    assert "heat held down its clocks for 2 h" in found.what


counts = st.dictionaries(
    st.sampled_from([*CRITICAL, *WARNING, *APPLICATION, "999"]), st.integers(0, 5).map(float)
)
measures = st.fixed_dictionaries(
    {}, optional={name: st.sampled_from([0.0, 1.0, 8.0, 1e9]) for name in sorted(MEASURES)}
)
gpus = st.builds(
    lambda index, up, told, xids, hot: replace(
        gpu(index),
        up=up,
        measures=told,
        counts={**({} if xids is None else {"xids": xids}), **hot},
    ),
    st.integers(0, 9),
    st.sampled_from([True, False, None]),
    measures,
    st.none() | counts,
    st.sampled_from([{}, {"throttled_seconds": {"hw_thermal_slowdown": 9000.0}}]),
)
fleets = st.lists(gpus, max_size=6, unique_by=lambda one: one.uuid)


@given(gpus, st.sampled_from(sorted(MEASURES | {"xids", "throttled_seconds"})))
def test_a_missing_signal_never_makes_a_gpu_sicker(one: Gpu, signal: str) -> None:
    """Without it there are no other reasons than with it, and no lower score."""
    less = replace(
        one,
        measures={name: value for name, value in one.measures.items() if name != signal},
        counts={name: value for name, value in one.counts.items() if name != signal},
    )
    whole, part = examine(one, DAY), examine(less, DAY)
    assert part.score >= whole.score
    assert set(part.reasons) <= set(whole.reasons)
    assert set(part.blind) >= set(whole.blind)


calm = st.fixed_dictionaries(
    {}, optional={name: st.sampled_from([0.0] * 60 + [2.0]) for name in sorted(MEASURES)}
)


@given(calm, st.none() | st.just({}) | counts, st.sampled_from([0.0, DAY]), st.sampled_from([0, 1]))
def test_a_gpu_that_is_seen_to_be_quiet_is_one_in_which_no_check_finds_anything(
    told: dict[str, float], xids: dict[str, float] | None, hot: float, lanes: int
) -> None:
    """The quick look spares the checks of most GPUs; it never hides a sign."""
    measures = told | {"pcie_width": 8.0, "pcie_width_max": 8.0 + 8.0 * lanes}
    counts = {"throttled_seconds": {"hw_thermal_slowdown": hot}}
    one = replace(
        gpu(), measures=measures, counts=counts if xids is None else {**counts, "xids": xids}
    )
    told_all = told_of(one)
    found = [each for check in CHECKS if check.possible(told_all) for each in check.find(one, DAY)]
    assert not (quiet(one) and found)


@given(fleets)
def test_every_recommendation_rests_on_signals_that_were_told(fleet: list[Gpu]) -> None:
    """None is about a GPU that is not listed, and scores stay within bounds."""
    for found in find(*fleet).recommendations:
        (one,) = [one for one in fleet if one.uuid == found.where.uuid]
        assert one.up is not None
        told = {*one.measures, *one.counts, "up"}
        assert examine(one, DAY).reasons
        assert all(told.issuperset(reason.signals) for reason in examine(one, DAY).reasons)
        assert 0 <= examine(one, DAY).score < 90
        assert 0 < found.confidence <= 1


@given(fleets)
def test_no_gpu_is_called_healthy_where_something_was_not_looked_at(fleet: list[Gpu]) -> None:
    """Whatever could not be looked at is in a refusal, or in the finding itself."""
    findings = find(*fleet)
    for one in fleet:
        blind = examine(one, DAY).blind
        assert len(blind) < len(CHECKS) or findings.refusals
        if blind:
            assert any(
                refusal.subject == one.name or ", ".join(blind) in refusal.reason
                for refusal in findings.refusals
            )


@given(fleets, st.randoms(use_true_random=False))
def test_the_order_of_gpus_changes_nothing(fleet: list[Gpu], rng: random.Random) -> None:
    """A shuffled fleet gets the same findings in the same order."""
    assert find(*rng.sample(fleet, len(fleet))) == find(*fleet)


@given(fleets)
def test_doubled_prices_double_the_money_and_nothing_else(fleet: list[Gpu]) -> None:
    """And lost hours never cost more than the GPU does."""
    twice = replace(PRICE, per_gpu_hour_residual=PRICE.per_gpu_hour_residual * 2)
    once = find(*fleet).recommendations
    for single, double in zip(once, sorted_like(once, find(*fleet, price=twice)), strict=True):
        assert (single.saves is None) == (double.saves is None)
        if single.saves and double.saves:
            assert double.saves.per_month == single.saves.per_month * 2
            assert single.saves.per_month.amount <= Decimal("7.03") * 730


def sorted_like(once: Any, findings: Findings) -> list[Any]:
    by_id = {found.id: found for found in findings.recommendations}
    return [by_id[found.id] for found in once]
