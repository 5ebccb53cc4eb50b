"""Idle GPUs: verdicts need evidence, advice says what it rests on and what it is worth."""

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

from agentaflow_advisor.analyze import Findings, IdleSettings, SettingsError, idle
from agentaflow_advisor.analyze.idleness import EVIDENCE, Busy, Idle, judge
from agentaflow_advisor.model import (
    Gpu,
    Money,
    Node,
    PodRef,
    Query,
    Refusal,
    Snapshot,
    Usage,
    Workload,
)
from agentaflow_advisor.price import NodeKey, NodePrice

DAY = 86_400.0
IDLE = Usage(0.0, 0.0, 5760, 15.0, DAY, 0.0)
NOTEBOOK = PodRef("research", "notebook", "main")
PRICE = NodePrice(
    "p5.48xlarge",
    Money(Decimal("55.04")),
    Money(Decimal("6.88")),
    Money(Decimal("5.15")),
    assumed=True,
    how="assumed",
)


def gpu(index: int = 0, **changes: Any) -> Gpu:
    """A GPU that a notebook holds and that did nothing for a day."""
    made = Gpu(
        "c",
        "n",
        str(index),
        f"GPU-{index}",
        model="NVIDIA H100 80GB HBM3",
        up=True,
        utilization=IDLE,
        memory_used_max_bytes=20 * 2.0**30,
        processes=1,
        pods=(NOTEBOOK,),
    )
    return replace(made, **changes)


def look(*gpus: Gpu, **changes: Any) -> Snapshot:
    queries = tuple(Query(signal, f"promql of {signal}", 1, 0.1) for signal in (*EVIDENCE, "info"))
    made = Snapshot(1_800_000_000.0, DAY, 0.99, gpus, (Node("c", "n", 8),), queries=queries)
    return replace(made, **changes)


def find(
    *gpus: Gpu,
    prices: Mapping[NodeKey, NodePrice | Refusal] | None = None,
    settings: IdleSettings | None = None,
    **changes: Any,
) -> Findings:
    known = {("c", "n"): PRICE} if prices is None else prices
    return idle.analyze(look(*gpus, **changes), known, settings or IdleSettings())


def test_an_idle_gpu_that_a_pod_holds() -> None:
    """What, where, how sure, what it costs both ways, on what evidence, and at what risk."""
    (found,) = find(gpu(3)).recommendations
    assert found.kind == "idle-gpu"
    assert found.what == (
        "GPU 3 (NVIDIA H100 80GB HBM3) on n did nothing for 1 d; "
        "research/notebook holds it, with up to 20.0 GiB of its memory"
    )
    assert (found.where.cluster, found.where.node, found.where.uuid) == ("c", "n", "GPU-3")
    assert (found.where.namespace, found.where.pod) == ("research", "notebook")
    assert found.saves
    assert found.saves.per_month == Money(Decimal("5.15") * 730)
    assert found.saves.formula == "per_gpu_hour_residual x 730 h"
    assert found.saves.inputs["per_month_whole"] == "5,022.40 USD"
    assert found.saves.inputs["per_month_residual"] == "3,759.50 USD"
    assert found.confidence == pytest.approx(1 - 3 / 5760)
    assert found.evidence.promql == tuple(f"promql of {signal}" for signal in EVIDENCE)
    assert (found.evidence.samples, found.evidence.newest_age_seconds) == (5760, 15.0)
    assert found.enforceable == "none"
    assert found.action is None
    assert "cannot be handed back" in found.risk


@pytest.mark.parametrize(
    ("usage", "verdict"),
    [
        (replace(IDLE, maximum=0.05), Idle),
        (replace(IDLE, maximum=0.051), Busy),
        (replace(IDLE, maximum=0.05, high=0.02), Idle),
        (replace(IDLE, maximum=0.05, high=0.021), Busy),
        (replace(IDLE, maximum=1.0, mean=0.001), Busy),
        (replace(IDLE, mean=0.04), Idle),
    ],
)
def test_the_maximum_and_the_high_percentile_decide_and_never_the_mean(
    usage: Usage, verdict: type
) -> None:
    """One sample of work in a day is enough to be in use."""
    one = gpu(utilization=usage)
    assert isinstance(judge(one, look(one), IdleSettings()), verdict)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"utilization": None}, "no usable utilization"),
        ({"up": False}, "the GPU does not answer"),
        ({"up": None}, "not listed now"),
        ({"utilization": replace(IDLE, newest_age_seconds=301.0)}, "is 5.02 min old"),
        ({"utilization": replace(IDLE, newest_age_seconds=math.inf)}, "more than 5 min old"),
        ({"utilization": replace(IDLE, covered_seconds=0.8 * DAY)}, "seen in 80% of the window"),
        ({"utilization": replace(IDLE, samples=258)}, "only 258 samples in 1 d, 259 are the least"),
        ({"utilization": replace(IDLE, samples=1)}, "only 1 samples"),
    ],
)
def test_thin_stale_or_missing_evidence_is_refused_with_its_reason(
    changes: dict[str, Any], reason: str
) -> None:
    """No verdict without a whole window of fresh samples, and a line that says why."""
    findings = find(gpu(**changes))
    assert findings.recommendations == ()
    (refusal,) = findings.refusals
    assert refusal.subject == "c/n/gpu 0"
    assert reason in refusal.reason


def test_a_short_window_proves_nothing() -> None:
    """Half an hour without work is a pause."""
    (refusal,) = find(gpu(), window_seconds=1800.0).refusals
    assert refusal.reason == "a window of 30 min is too short, 1 h is the least"


def test_work_seen_is_proof_even_on_thin_evidence() -> None:
    """A GPU that worked needs no refusal: it is in use."""
    findings = find(gpu(utilization=replace(IDLE, maximum=0.9, samples=2)))
    assert findings == Findings((), ())


def other_pod() -> Gpu:
    """A GPU of another node by which the cluster is known to tell its pods."""
    return gpu(9, node="m", uuid="GPU-m", utilization=replace(IDLE, maximum=1.0))


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"pods": (), "processes": 2}, "forgotten-process", "no pod holds it, yet a process does"),
        ({"pods": (), "processes": 0}, "unallocated-gpu", "free for pods to take"),
        ({"pods": (), "processes": None}, "forgotten-process", "20.0 GiB"),
        (
            {"pods": (), "processes": None, "memory_used_max_bytes": 4e8},
            "unallocated-gpu",
            "free for pods",
        ),
        (
            {"pods": (), "processes": None, "memory_used_max_bytes": None},
            "idle-gpu",
            "which pod holds it is not known",
        ),
    ],
)
def test_who_holds_it_makes_the_kind(changes: dict[str, Any], kind: str, words: str) -> None:
    """A pod, a process without one, nobody, or somebody unknown."""
    (found,) = find(gpu(**changes), other_pod()).recommendations
    assert found.kind == kind
    assert words in found.what


def test_without_pod_attribution_no_gpu_is_called_free() -> None:
    """Where no pod is known at all, the absence of pods says nothing."""
    (found,) = find(gpu(pods=(), processes=0)).recommendations
    assert found.kind == "idle-gpu"
    assert "not known" in found.what


def test_a_gpu_that_kubernetes_gave_away_is_not_free() -> None:
    """More GPUs requested by the node's pods than the join metric shows: one of these is taken."""
    pod = Workload("research", "hidden", "u", "1", phase="Running", node="n", gpus=1)
    free = gpu(pods=(), processes=0)
    (found,) = find(free, other_pod(), workloads=(pod,)).recommendations
    assert found.kind == "idle-gpu"


def test_a_shared_gpu_names_all_its_pods() -> None:
    """One recommendation for the GPU, whoever shares it."""
    pods = (PodRef("b", "two"), PodRef("a", "one", "x"), PodRef("a", "one", "y"))
    (found,) = find(gpu(pods=pods)).recommendations
    assert "a/one, b/two holds it" in found.what
    assert found.where.pod == ""


def test_without_a_price_the_finding_stays() -> None:
    """Idle is idle: the saving is missing, and the reason for that is told once."""
    refusal = Refusal("node n", "no price: unknown")
    findings = find(gpu(0), gpu(1), prices={("c", "n"): refusal})
    assert [found.saves for found in findings.recommendations] == [None, None]
    assert findings.refusals == (refusal,)


def test_the_id_is_stable() -> None:
    """Other figures, same finding; another pod, another finding."""
    (one,) = find(gpu()).recommendations
    (later,) = find(gpu(memory_used_max_bytes=1.0), taken_at=1_900_000_000.0).recommendations
    (other,) = find(gpu(pods=(PodRef("research", "other"),))).recommendations
    assert one.id == later.id
    assert one.id != other.id
    assert one.id.startswith("idle-gpu-")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("maximum_ratio", 1.1),
        ("high_ratio", -0.1),
        ("min_coverage", math.nan),
        ("min_window_seconds", math.inf),
        ("max_age_seconds", 0),
        ("max_sample_interval_seconds", 0),
        ("held_memory_bytes", -1),
    ],
)
def test_settings_out_of_bounds(name: str, value: float) -> None:
    """A setting that cannot be meant is refused by name."""
    with pytest.raises(SettingsError, match=f"{name} is .*: give "):
        IdleSettings(**{name: value})


ratios = st.floats(0, 1)
usages = st.builds(
    Usage,
    maximum=ratios,
    high=ratios,
    mean=ratios,
    samples=st.integers(0, 10_000),
    newest_age_seconds=st.one_of(st.floats(0, 1000), st.just(math.inf)),
    covered_seconds=st.floats(0, DAY),
)
gpus = st.builds(
    gpu,
    st.integers(0, 9),
    up=st.sampled_from([True, False, None]),
    utilization=st.one_of(st.none(), st.just(IDLE), usages),
    processes=st.one_of(st.none(), st.integers(0, 3)),
    pods=st.sampled_from([(), (NOTEBOOK,)]),
)
fleets = st.lists(gpus, max_size=8, unique_by=lambda one: one.uuid)


@given(fleets)
def test_no_recommendation_on_missing_data(fleet: list[Gpu]) -> None:
    """Every recommendation is about a GPU that is up and measured, whole window, low throughout."""
    for found in find(*fleet).recommendations:
        (one,) = [one for one in fleet if one.uuid == found.where.uuid]
        assert one.up is True
        assert one.utilization
        assert one.utilization.maximum <= 0.05
        assert one.utilization.newest_age_seconds <= 300
        assert one.utilization.covered_seconds >= 0.9 * DAY
        assert 0 <= found.confidence <= 1


@given(fleets)
def test_every_gpu_is_busy_recommended_or_refused(fleet: list[Gpu]) -> None:
    """None is passed over in silence."""
    findings = find(*fleet)
    subjects = {refusal.subject for refusal in findings.refusals}
    found = {one.where.uuid for one in findings.recommendations}
    for one in fleet:
        busy = isinstance(judge(one, look(one), IdleSettings()), Busy)
        assert [busy, one.uuid in found, one.name in subjects].count(True) == 1


@given(fleets, st.randoms(use_true_random=False))
def test_the_order_of_gpus_changes_nothing(fleet: list[Gpu], rng: random.Random) -> None:
    """A shuffled fleet gets the same findings in the same order."""
    assert find(*rng.sample(fleet, len(fleet))) == find(*fleet)


@given(fleets)
def test_doubled_prices_double_the_money_and_nothing_else(fleet: list[Gpu]) -> None:
    """Money is linear in prices; verdicts do not depend on them."""
    twice = NodePrice(
        PRICE.instance_type,
        PRICE.per_hour * 2,
        PRICE.per_gpu_hour_whole * 2,
        PRICE.per_gpu_hour_residual * 2,
        PRICE.assumed,
    )
    once = {one.id: one for one in find(*fleet).recommendations}
    doubled = find(*fleet, prices={("c", "n"): twice}).recommendations
    assert {one.id for one in doubled} == set(once)
    for one in doubled:
        single = once[one.id].saves
        assert one.saves
        assert single
        assert one.saves.per_month == single.per_month * 2


@given(fleets)
def test_savings_never_exceed_what_the_gpus_cost(fleet: list[Gpu]) -> None:
    """Each GPU is recommended once at most, for at most its part of the node's price."""
    found = find(*fleet).recommendations
    assert len({one.where.uuid for one in found}) == len(found)
    saved = sum(one.saves.per_month.amount for one in found if one.saves)
    assert saved <= PRICE.per_gpu_hour_whole.amount * 730 * len(fleet)
