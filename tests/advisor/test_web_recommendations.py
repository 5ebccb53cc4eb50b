"""The advice as metrics: sums of all of it, and a bounded number of single ones."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agentaflow_advisor.history import Life, Mark, Standing
from agentaflow_advisor.model import Where
from agentaflow_advisor.web.recommendations import recommendation_metrics
from tests.support.advice import NOW, advice, recommendation

ONE = "agentaflow_advisor_recommendation_"


def samples(*found: object, most: int = 200, **changes: object) -> dict[str, list[float]]:
    made = replace(advice(found), **changes)  # type: ignore[arg-type]
    families = list(recommendation_metrics(made, most))
    return {family.name: [sample.value for sample in family.samples] for family in families}


@pytest.mark.parametrize("most", [0, 3, 200])
def test_single_ones_are_bounded_and_sums_are_not(most: int) -> None:
    """What is left out is told; the sums hold all of them."""
    told = samples(*(recommendation(str(number), "10") for number in range(50)), most=most)
    shown = min(50, most)
    for name in ("info", "saving_per_month"):
        assert len(told[f"{ONE}{name}"]) == shown
    assert told[f"{ONE}metrics_left_out"] == [50 - shown]
    assert told[f"{ONE}savings_per_month"] == [500]


def test_kinds_that_overlap_are_not_added_in_the_sum_of_all() -> None:
    """Each kind by itself, and both together once."""
    told = samples(recommendation(amount="10"), recommendation(amount="7", kind="zombie", id="z"))
    assert told[f"{ONE}savings_per_month"] == [10, 7]
    assert told[f"{ONE}savings_together_per_month"] == [10]


def test_the_hidden_are_counted_and_in_no_sum() -> None:
    """By state, with zeros, so that an alert can compare."""
    found = recommendation()
    mark = Mark(Standing.DISMISSED, NOW, "alice", "x")
    life = Life(found.id, found.kind, "idle", "", Where(), None, NOW, NOW, 1, mark=mark)
    told = samples(found, lives={found.id: life})
    assert told["agentaflow_advisor_recommendations"] == [0, 0, 1]
    assert told[f"{ONE}savings_per_month"] == told[f"{ONE}info"] == []
