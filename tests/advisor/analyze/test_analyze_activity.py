"""GPUs that look busy and are not: told only where SM activity is measured."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentaflow_advisor.analyze import ActivitySettings, Findings, SettingsError, activity
from agentaflow_advisor.model import Gpu, Node, PodRef, Snapshot, Usage

DAY = 86_400.0
BUSY = Usage(1.0, 1.0, 5760, 15.0, DAY, 0.97)
LOW = {"sm_active_high": 0.09, "tensor_active_mean": 0.0}


def gpu(index: int = 0, **changes: Any) -> Gpu:
    """100 % utilization, at most 9 % SM activity, held by a notebook."""
    made = Gpu("c", "n", str(index), f"GPU-{index}", up=True, utilization=BUSY, measures=LOW)
    return replace(made, **{"pods": (PodRef("research", "notebook"),), **changes})


def find(*gpus: Gpu) -> Findings:
    snapshot = Snapshot(1_800_000_000.0, DAY, 0.95, gpus, (Node("c", "n", 8),))
    return activity.analyze(snapshot, ActivitySettings())


def test_a_gpu_that_looks_busy_and_is_not() -> None:
    """Both figures are named, with its holder; nothing is promised in money."""
    (found,) = find(gpu()).recommendations
    assert found.kind == "low-sm-activity"
    assert found.what == (
        "GPU 0 on n looks busy (utilization up to 100%), yet its SMs were active for up to 9% of "
        "the time; held by research/notebook"
    )
    assert (found.where.namespace, found.where.pod) == ("research", "notebook")
    assert found.saves is None
    assert found.confidence == pytest.approx(1 - 3 / 5760)


@pytest.mark.parametrize(
    "changes",
    [
        {"utilization": replace(BUSY, high=0.5)},
        {"measures": {**LOW, "sm_active_high": 0.8}},
    ],
)
def test_one_that_works_or_does_not_look_busy_is_no_finding(changes: dict[str, Any]) -> None:
    """Nor is it a refusal: idle GPUs are another analysis' matter, bursts are work."""
    assert find(gpu(**changes)) == Findings((), ())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"measures": {}}, "nobody tells sm_active_high"),
        ({"measures": {"sm_active_mean": 0.0}}, "nobody tells sm_active_high"),
        ({"measures": {**LOW, "mig_enabled": 1.0}}, "cut into MIG instances"),
        ({"utilization": None}, "no usable utilization"),
        ({"utilization": replace(BUSY, newest_age_seconds=math.inf)}, "too old"),
        ({"utilization": replace(BUSY, covered_seconds=DAY / 2)}, "seen for 12 h of 1 d"),
        ({"up": False}, "does not answer"),
        ({"up": None}, "does not answer now, or is not listed"),
        ({"doubt": "two clocks"}, "two clocks"),
    ],
)
def test_too_little_told_is_refused(changes: dict[str, Any], reason: str) -> None:
    """By its name, with what is missing."""
    findings = find(gpu(**changes))
    assert findings.recommendations == ()
    (refusal,) = findings.refusals
    assert (refusal.subject, reason in refusal.reason) == ("c/n/gpu 0", True)


def test_settings_out_of_bounds() -> None:
    """By name."""
    with pytest.raises(SettingsError, match="sm_high_ratio is 2"):
        ActivitySettings(sm_high_ratio=2)


ratios = st.floats(0, 1)
gpus = st.builds(
    gpu,
    st.integers(0, 9),
    up=st.sampled_from([True, False, None]),
    utilization=st.none()
    | st.builds(
        Usage, ratios, ratios, ratios, st.integers(0, 9999), st.floats(0, 999), st.floats(0, DAY)
    )
    | st.just(BUSY),
    measures=st.fixed_dictionaries(
        {}, optional=dict.fromkeys(("sm_active_high", "mig_enabled"), ratios)
    ),
)
fleets = st.lists(gpus, max_size=6, unique_by=lambda one: one.uuid)


@given(fleets)
def test_no_recommendation_on_missing_data(fleet: list[Gpu]) -> None:
    """Each is up, measured throughout by both, busy by one and not by the other."""
    for found in find(*fleet).recommendations:
        (one,) = [one for one in fleet if one.uuid == found.where.uuid]
        assert one.up is True
        assert one.utilization
        assert one.utilization.high >= 0.9
        assert one.utilization.covered_seconds >= 0.9 * DAY
        assert one.measures["sm_active_high"] <= 0.3


@given(fleets, st.randoms(use_true_random=False))
def test_the_order_of_gpus_changes_nothing(fleet: list[Gpu], rng: random.Random) -> None:
    """A shuffled fleet gets the same findings in the same order."""
    assert find(*rng.sample(fleet, len(fleet))) == find(*fleet)
