"""What a decision saved: the difference of two means, no surer than its values allow."""

from __future__ import annotations

import math
import random
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentaflow_advisor.analyze.effect import LEAST, Effect, effect
from agentaflow_advisor.model import Money, Refusal

VALUES = st.lists(st.floats(0, 8), min_size=LEAST, max_size=60)


def measured(before: list[float], after: list[float]) -> Effect:
    found = effect(before, after)
    assert isinstance(found, Effect)
    return found


def test_gpus_that_are_no_longer_held_idle_are_saved() -> None:
    """Two before and none after: two, without doubt where nothing varied."""
    assert measured([2.0] * 30, [0.0] * 30) == Effect(2.0, 0.0, 30, 30)


@given(VALUES, VALUES)
def test_exchanging_the_sides_changes_the_sign_alone(
    before: list[float], after: list[float]
) -> None:
    """What is saved one way is lost the other way, as surely."""
    there, back = measured(before, after), measured(after, before)
    assert there.gpus == pytest.approx(-back.gpus)
    assert there.error == pytest.approx(back.error)


@given(VALUES, VALUES, st.floats(0.1, 10))
def test_it_scales_with_the_fleet(before: list[float], after: list[float], by: float) -> None:
    """Twice the GPUs, twice the saving and twice its error."""
    one, many = (
        measured(before, after),
        measured([by * value for value in before], [by * value for value in after]),
    )
    assert many.gpus == pytest.approx(by * one.gpus, abs=1e-9)
    assert many.error == pytest.approx(by * one.error, abs=1e-6)


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    """Of 400 trials with independent noise 95 % should; at least 90 % do."""
    dice = random.Random(1)
    held = 0
    for _ in range(400):
        before = [3.0 + dice.gauss(0, 0.5) for _ in range(40)]
        after = [1.0 + dice.gauss(0, 0.5) for _ in range(40)]
        found = measured(before, after)
        held += abs(found.gpus - 2.0) <= found.error
    assert held >= 360


def test_values_that_follow_one_another_count_for_less() -> None:
    """A slow wave is seen once, however often it is sampled."""
    slow = [math.sin(step / 20) for step in range(60)]
    fast = [math.sin(step * 2.5) for step in range(60)]
    assert measured(slow, [0.0] * 60).error > 2 * measured(fast, [0.0] * 60).error


def test_too_few_values_are_refused() -> None:
    """One minute proves nothing."""
    assert effect([1.0] * 30, [0.0] * (LEAST - 1)) == Refusal(
        "effect", f"{LEAST - 1} values on one side, {LEAST} are needed"
    )


def test_it_is_told_in_gpus_and_in_money() -> None:
    """Per month, at the hour's price of one GPU."""
    told = Effect(2.0, 0.5, 30, 30).told(Money(Decimal("2.00"), "USD"))
    assert told == "+2.00 ± 0.50 GPUs no longer held idle, 2,920.00 USD ± 730.00 USD a month"
