"""The registry of analyses: each runs on its own, and what one cannot do costs no other."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentaflow_advisor.advice import SIGNALS, advise
from agentaflow_advisor.analyses import ANALYSES, Analysis, Prices, run
from agentaflow_advisor.analyze import Findings
from agentaflow_advisor.configuration import load
from agentaflow_advisor.model import Gpu, Missing, Query, Recommendation, Refusal, Snapshot, Where
from agentaflow_advisor.price import PriceTable
from agentaflow_advisor.settings import Settings
from tests.support.advice import recommendation
from tests.support.fleet import gpus_of, node, running_pod, snapshot

SETTINGS = load()
SEEN = snapshot([node("a")], gpus=gpus_of("a", 0.0, 0.5))


def finding(name: str, *found: Recommendation, needs: frozenset[str] = frozenset()) -> Analysis:
    def analyze(_: Snapshot, __: Prices, ___: Settings) -> Findings:
        return Findings(found, (Refusal(name, "thin"),))

    return Analysis(name, needs, analyze, needs)


def raising(_: Snapshot, __: Prices, ___: Settings) -> Findings:
    raise ZeroDivisionError("of nothing\nat all")


def test_an_analysis_that_raises_refuses_and_the_others_run() -> None:
    """The refusal names it and the error in one line, and the outcome tells that it failed."""
    broken = Analysis("broken", frozenset(), raising)
    outcome = run(SEEN, {}, SETTINGS, (broken, finding("sound", recommendation())))
    assert [each.id for each in outcome.findings.recommendations] == ["idle-gpu-one"]
    (refusal,) = (each for each in outcome.findings.refusals if "broken" in each.subject)
    assert "ZeroDivisionError: of nothing at all" in refusal.reason
    assert outcome.failed == outcome.silent == {"broken"}
    assert outcome.found_by == {"idle-gpu-one": "sound"}


def test_an_analysis_without_its_signals_refuses_as_a_whole() -> None:
    """Asked for and answered by no series: it is not run, and the signal is named."""
    asked = (Query("xids", "x", 0, 0.1), Query("up", "up", 8, 0.1))
    seen = replace(SEEN, queries=asked)
    lacking = finding("health", recommendation("x"), needs=frozenset({"xids", "up"}))
    fed = finding("idle", recommendation("y"), needs=frozenset({"up"}))
    outcome = run(seen, {}, SETTINGS, (lacking, fed))
    assert [each.id for each in outcome.findings.recommendations] == ["idle-gpu-y"]
    assert Refusal("analysis health", "no series tells xids") in outcome.findings.refusals
    assert outcome.silent == {"health"}


DOUBT = "a partial response"


@pytest.mark.parametrize(
    ("where", "subject"),
    [
        (Where("b", "n", "0", "GPU-0"), "b/n/gpu 0"),
        (Where("b", "n", "0", "GPU-0", "research", "notebook"), "b/n/gpu 0"),
        (Where("b", "n"), "b/n/gpu 0"),
        (Where("b", namespace="research", pod="notebook"), "cluster b"),
        (Where("b"), "cluster b"),
        (Where(namespace="research"), "fleet"),
    ],
)
def test_no_analysis_can_judge_what_is_in_doubt(where: Where, subject: str) -> None:
    """Also one that never asks: what it recommends there becomes a refusal, the rest stays."""
    gpus = tuple(
        Gpu(cluster, "n", "0", "GPU-0", doubt=doubt) for cluster, doubt in (("a", ""), ("b", DOUBT))
    )
    seen = replace(SEEN, gpus=gpus, missing=Missing({"b": DOUBT}))
    sound = recommendation("sound", where=Where("a", "n", "0", "GPU-0"))
    careless = finding("careless", sound, recommendation("unsound", where=where))
    outcome = run(seen, {}, SETTINGS, (careless,))
    assert [each.id for each in outcome.findings.recommendations] == ["idle-gpu-sound"]
    assert Refusal(subject, DOUBT) in outcome.findings.refusals
    assert subject in outcome.refused["careless"]


@pytest.mark.parametrize("analysis", ANALYSES, ids=lambda each: each.name)
def test_every_analysis_is_silent_about_a_fleet_in_doubt(analysis: Analysis) -> None:
    """Whatever samples its GPUs have."""
    gpus = (
        replace(gpu, doubt=DOUBT, up=up, counts={"xids": {"79": 1.0}, "throttled_seconds": HELD})
        for gpu in gpus_of("a", 0.0, 1.0)
        for up in (True, False)
    )
    seen = replace(SEEN, gpus=tuple(gpus), missing=Missing(anywhere=DOUBT))
    outcome = run(seen, {}, SETTINGS, (analysis,))
    assert outcome.findings.recommendations == ()
    assert outcome.failed == frozenset()


HELD = {"hw_thermal_slowdown": 300_000.0}


def test_one_id_is_one_recommendation() -> None:
    """Two analyses that find the same thing say it once."""
    twice = [finding(name, recommendation()) for name in "ab"]
    outcome = run(SEEN, {}, SETTINGS, twice)
    assert len(outcome.findings.recommendations) == 1
    assert outcome.found_by == {"idle-gpu-one": "a"}


def test_names_are_unique_and_every_signal_is_asked_for() -> None:
    """What an analysis needs is among what it asks, and `recommend` asks for all of it."""
    names = [each.name for each in ANALYSES]
    assert len(set(names)) == len(names)
    for each in ANALYSES:
        assert each.needs <= each.signals <= SIGNALS


busy = st.sampled_from([0.0, 0.01, 0.5])


@given(st.lists(st.tuples(st.sampled_from("abc"), busy), max_size=8), st.randoms())
def test_shuffling_the_input_changes_nothing(
    cards: list[tuple[str, float]], rng: random.Random
) -> None:
    """GPUs, nodes, pods and refusals may come in any order."""
    gpus = [gpu for name in "abc" for gpu in gpus_of(name, *(b for n, b in cards if n == name))]
    pods = [running_pod(f"pod-{name}", name) for name in "abc"]
    nodes = [node(name) for name in "abc"]
    refusals = [Refusal(f"signal {name}", "thin") for name in "abc"]
    table = PriceTable.load()
    seen = snapshot(nodes, pods, gpus, refusals=tuple(refusals))
    for values in (gpus, pods, nodes, refusals):
        rng.shuffle(values)
    other = snapshot(nodes, pods, gpus, refusals=tuple(refusals))
    one, two = advise(SETTINGS, seen, table), advise(SETTINGS, other, table)
    assert (one.recommendations, one.refusals) == (two.recommendations, two.refusals)


@pytest.mark.parametrize(
    ("hours", "errors", "kinds"),
    [
        (60.0, 0.0, {"thermal-throttling"}),
        (2.0, 0.0, {"check-gpu"}),
        (60.0, 4.0, {"thermal-throttling", "reset-gpu"}),
    ],
)
def test_what_heat_does_is_told_once(hours: float, errors: float, kinds: set[str]) -> None:
    """With its cost where it took long; else as a sign, or as one of several."""
    (gpu,) = gpus_of("a", 0.9)
    hot = replace(
        gpu,
        up=True,
        present_seconds=SEEN.window_seconds,
        measures={"ecc_uncorrected": errors},
        counts={"throttled_seconds": {"hw_thermal_slowdown": hours * 3600}},
    )
    advice = advise(SETTINGS, snapshot([node("a")], gpus=[hot]), PriceTable.load())
    assert {each.kind for each in advice.recommendations} == kinds
