"""The advice joined with its history: what was not judged is not over, and a bug ends nothing."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from agentaflow_advisor.advice import Advice
from agentaflow_advisor.analyses import Outcome
from agentaflow_advisor.analyze import Findings
from agentaflow_advisor.configuration import load
from agentaflow_advisor.history import History
from agentaflow_advisor.model import Gpu, Missing, Money, Refusal, Snapshot, Where
from agentaflow_advisor.price import PriceTable
from agentaflow_advisor.review import review, scope
from agentaflow_advisor.settings import Settings
from tests.support.advice import NOW, advice, recommendation
from tests.support.fleet import gpus_of

GPUS = gpus_of("node-0", 0.0, 0.0)
FOUND = recommendation(where=Where("", "node-0", "0", GPUS[0].uuid))

WHOLE = Missing()
LEFT_OUT = Missing({"": "a partial response"})


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load(None, {"journal": tmp_path / "journal.db"})


def looked(
    at: float,
    *gpus: Gpu,
    missing: Missing = WHOLE,
    **changes: frozenset[str],
) -> Advice:
    """A later look that found nothing."""
    refused = changes.pop("refused", frozenset())
    outcome = Outcome(Findings((), ()), {}, {"idle": refused}, **changes)
    refusals = tuple(Refusal(subject, "thin") for subject in refused)
    snapshot = Snapshot(at, 604_800.0, 0.95, gpus, missing=missing)
    return Advice(snapshot, PriceTable.load(), {}, (), refusals, outcome)


def closed(settings: Settings, later: Advice) -> bool:
    """Whether the recommendation about the first GPU is over after that look."""
    seen = replace(advice([FOUND]).snapshot, gpus=GPUS)
    review(settings, advice([FOUND], snapshot=seen), actor="serve")
    review(settings, later, actor="serve")
    with History(settings.history_file) as history:
        return history.get(FOUND.id).closed_at is not None


def test_a_gpu_that_was_judged_again_ends_its_recommendation(settings: Settings) -> None:
    """It was seen, its analysis ran and refused nothing about it."""
    assert closed(settings, looked(NOW + 60, *GPUS))


def test_a_refusal_about_another_gpu_keeps_nothing_open(settings: Settings) -> None:
    """Each is judged by itself."""
    assert closed(settings, looked(NOW + 60, *GPUS, refused=frozenset({GPUS[1].name})))


@pytest.mark.parametrize(
    "later",
    [
        pytest.param(looked(NOW + 60, GPUS[1]), id="the GPU was not seen"),
        pytest.param(looked(NOW + 60), id="nothing was seen"),
        pytest.param(looked(NOW + 60, *GPUS, refused=frozenset({GPUS[0].name})), id="refused"),
        pytest.param(looked(NOW + 60, *GPUS, refused=frozenset({"node node-0"})), id="its node"),
        pytest.param(looked(NOW + 60, *GPUS, failed=frozenset({"idle"})), id="a bug"),
        pytest.param(looked(NOW + 60, *GPUS, lacking=frozenset({"idle"})), id="no signals"),
        pytest.param(looked(NOW - 60, *GPUS), id="an older look"),
        pytest.param(looked(NOW + 60, *GPUS, missing=LEFT_OUT), id="its cluster is left out"),
        pytest.param(looked(NOW + 60, missing=Missing(anywhere="x")), id="some cluster is"),
    ],
)
def test_what_could_not_be_judged_is_not_over(settings: Settings, later: Advice) -> None:
    """The absence of a finding is no finding."""
    assert not closed(settings, later)


def test_the_sum_of_what_is_shown_is_remembered(settings: Settings) -> None:
    """Under this Prometheus and this window; the hidden are not in it."""
    review(settings, advice([FOUND, recommendation("two", "5")]), actor="serve")
    with History(settings.history_file) as history:
        ((_, amount),) = history.trend(scope(settings))
        assert amount == Money(Decimal(15))
        history.dismiss(FOUND.id, actor="alice", at=NOW, reason="x")
    review(settings, advice([FOUND, recommendation("two", "5")]), actor="serve")
    with History(settings.history_file) as history:
        ((_, amount),) = history.trend(scope(settings))
    assert amount == Money(Decimal(5))


def test_a_sum_that_lacks_a_cluster_is_not_remembered(settings: Settings) -> None:
    """It would look like a saving made."""
    review(settings, advice([FOUND]), actor="serve")
    review(settings, looked(NOW + 7200, missing=Missing({"b": "x"})), actor="serve")
    with History(settings.history_file) as history:
        assert [amount for _, amount in history.trend(scope(settings))] == [Money(Decimal(10))]


def test_what_another_cluster_lacks_keeps_nothing_open(settings: Settings) -> None:
    """Each cluster is judged by itself."""
    assert closed(settings, looked(NOW + 60, *GPUS, missing=Missing({"b": "x"})))


def test_a_damaged_history_costs_no_advice(settings: Settings) -> None:
    """One line says so; nothing is hidden by what cannot be read."""
    settings.history_file.write_text("{not a database}\n" * 1000)
    reviewed, problem = review(settings, advice([FOUND]), actor="serve")
    assert reviewed.active == (FOUND,)
    assert problem is not None
    assert "damaged or no history" in problem
    assert "\n" not in problem
