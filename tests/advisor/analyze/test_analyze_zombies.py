"""Zombies: GPUs held by what no longer lives, each told once, by one analysis."""

from __future__ import annotations

import random
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentaflow_advisor.analyses import ANALYSES, run
from agentaflow_advisor.analyze import (
    Findings,
    IdleSettings,
    SettingsError,
    ZombieSettings,
    zombies,
)
from agentaflow_advisor.configuration import load
from agentaflow_advisor.model import (
    Gpu,
    Held,
    Money,
    Node,
    PodRef,
    Query,
    Refusal,
    Snapshot,
    Usage,
    Workload,
)
from agentaflow_advisor.price import NodePrice
from tests.support.fleet import GIB

NOW = 1_800_000_000.0
WEEK = 604_800.0
IDLE = Usage(0.0, 0.0, 40_000, 15.0, WEEK, 0.0)
BUSY = replace(IDLE, maximum=0.9, high=0.5, mean=0.2)
PRICE = NodePrice(
    "own", Money(Decimal(64)), Money(Decimal(8)), Money(Decimal(5)), assumed=False, how="own"
)
JOB = PodRef("research", "job", "main")


def gpu(index: int = 0, **changes: Any) -> Gpu:
    """A busy GPU in no pod, on which a process has 30 GiB."""
    made = Gpu(
        "c",
        "n",
        str(index),
        f"GPU-{index}",
        model="NVIDIA L40S",
        up=True,
        utilization=BUSY,
        memory_used_max_bytes=30 * GIB,
        processes=1,
        present_seconds=WEEK,
    )
    return replace(made, **changes)


def witness() -> Gpu:
    """A GPU of another node by which the cluster is known to tell its pods."""
    return gpu(9, node="m", uuid="GPU-m", pods=(PodRef("a", "b"),), held=(Held("a", WEEK),))


def workload(**changes: Any) -> Workload:
    made = Workload("research", "job", "u", "1", phase="Running", node="n", gpus=1)
    return replace(made, **changes)


def look(*gpus: Gpu, **changes: Any) -> Snapshot:
    queries = (Query("processes", "promql of processes", 1, 0.1),)
    nodes = (Node("c", "n", 8), Node("c", "m", 8, known=False))
    made = Snapshot(NOW, WEEK, 0.95, (*gpus, witness()), nodes, queries=queries, has_cluster=True)
    return replace(made, **changes)


def find(*gpus: Gpu, price: NodePrice | Refusal = PRICE, **changes: Any) -> Findings:
    return zombies.analyze(
        look(*gpus, **changes), {("c", "n"): price}, ZombieSettings(), IdleSettings()
    )


def held(**changes: Any) -> Gpu:
    """A GPU that the join metric says research/job holds."""
    return gpu(pods=(JOB,), held=(Held("research", WEEK / 2),), **changes)


def test_a_process_that_works_in_no_pod() -> None:
    """What, where, since when; nothing is saved by ending somebody's work."""
    (found,) = find(gpu()).recommendations
    assert found.kind == "forgotten-process"
    assert found.what == (
        "GPU 0 (NVIDIA L40S) on n is held by a process and by no pod, with up to 30.0 GiB of its "
        "memory in use; it was in no pod for 7 d of 7 d, and it was not idle all the time"
    )
    assert found.saves is None
    assert found.confidence == 1.0
    assert "Kubernetes takes this GPU for free" in found.risk
    assert found.evidence.promql == ("promql of processes",)


def test_memory_that_no_pod_can_have_taken() -> None:
    """Processes are not told, and no pod held the GPU in the window: the memory is not a pod's."""
    (found,) = find(gpu(processes=None)).recommendations
    assert found.kind == "forgotten-process"
    (refusal,) = find(gpu(processes=None, held=(Held("research", 60.0),))).refusals
    assert "may have been a pod's" in refusal.reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"present_seconds": None}, "since when is not told"),
        ({"held": (Held("research", WEEK - 600.0),)}, "pods did until 10 min ago at most"),
        ({"doubt": "clocks disagree"}, "clocks disagree"),
    ],
)
def test_thin_evidence_is_refused(changes: dict[str, Any], reason: str) -> None:
    """With its reason."""
    findings = find(gpu(**changes))
    assert findings.recommendations == ()
    assert reason in findings.refusals[0].reason


@pytest.mark.parametrize(
    "one",
    [
        gpu(processes=0),
        gpu(processes=None, memory_used_max_bytes=1e8),
        gpu(up=False),
        gpu(up=None),
        held(),
    ],
)
def test_what_is_no_zombie(one: Gpu) -> None:
    """Free, lost, gone, or in a living pod."""
    assert find(one, workloads=(workload(),)) == Findings((), ())


def test_without_pod_attribution_nothing_is_held_by_no_pod() -> None:
    """Where no pod is known at all, the absence of pods says nothing, and that is said."""
    seen = replace(look(gpu()), gpus=(gpu(),))
    settings = (ZombieSettings(), IdleSettings())
    findings = zombies.analyze(seen, {("c", "n"): PRICE}, *settings)
    assert findings.recommendations == ()
    (refusal,) = findings.refusals
    assert refusal.subject == "holders of GPUs in cluster c"
    assert "agentaflow_gpu_pod_info is absent" in refusal.reason


def test_a_pod_past_its_grace_period() -> None:
    """Ten hours over: its GPU's own share of the node is what it costs."""
    late = workload(deleting=True, deletes_at=NOW - 36_000)
    (found,) = find(held(), workloads=(late,)).recommendations
    assert found.kind == "ended-pod"
    assert found.what == (
        "GPU 0 (NVIDIA L40S) on n is still held by research/job, which should have ended 10 h ago"
    )
    assert found.saves
    assert found.saves.per_month == Money(Decimal(5 * 730))
    assert found.confidence == pytest.approx(0.9)
    assert (found.enforceable, found.where.pod) == ("node", "job")
    assert "finalizer" in found.risk


def test_a_pod_that_is_gone() -> None:
    """Kubernetes has it no more, or as finished: one look alone is not sure of it."""
    for pods in ((), (workload(phase="Failed"),), (workload(node="m"),)):
        (found,) = find(held(), workloads=pods).recommendations
        assert "does not have there any more" in found.what
        assert found.confidence == 0.5
        assert "look again" in found.risk


@pytest.mark.parametrize(
    "pods",
    [
        (workload(deleting=True, deletes_at=NOW - 60),),
        (workload(deleting=True, deletes_at=NOW + 60),),
        (workload(deleting=True),),
    ],
)
def test_a_pod_that_is_still_ending(pods: tuple[Workload, ...]) -> None:
    """Within its grace period, or hardly past it."""
    assert find(held(), workloads=pods) == Findings((), ())


def test_where_kubernetes_is_not_known_no_pod_is_over() -> None:
    """Nobody could say so."""
    nodes = (Node("c", "n", 8, known=False),)
    assert find(held(), nodes=nodes, has_cluster=False) == Findings((), ())


def test_without_a_price_an_ended_pod_is_refused() -> None:
    """With the price's reason."""
    refusal = Refusal("node n", "no price: unknown")
    assert find(held(), price=refusal) == Findings((), (refusal,))


@pytest.mark.parametrize(
    ("one", "kind", "by"),
    [
        (gpu(), "forgotten-process", "zombies"),
        (gpu(utilization=IDLE), "forgotten-process", "idle"),
        (held(), "ended-pod", "zombies"),
        (held(utilization=IDLE), "ended-pod", "zombies"),
    ],
)
def test_one_gpu_is_told_once_and_keeps_its_id(one: Gpu, kind: str, by: str) -> None:
    """Idle or not, a forgotten process has one id; an ended pod's GPU is not idle's as well."""
    outcome = run(look(one), {("c", "n"): PRICE}, load(), ANALYSES)
    found = [each for each in outcome.findings.recommendations if each.where.uuid == one.uuid]
    assert [each.kind for each in found] == [kind]
    assert outcome.found_by[found[0].id] == by
    busy = run(look(replace(one, utilization=BUSY)), {("c", "n"): PRICE}, load(), ANALYSES)
    assert found[0].id in busy.found_by


def test_settings_out_of_bounds() -> None:
    """A setting that cannot be meant is refused by name."""
    with pytest.raises(SettingsError, match="min_seconds is 1: give "):
        ZombieSettings(min_seconds=1)


gpus = st.builds(
    gpu,
    st.integers(0, 7),
    up=st.sampled_from([True, True, False, None]),
    utilization=st.sampled_from([None, IDLE, BUSY]),
    processes=st.sampled_from([None, 0, 1]),
    pods=st.sampled_from([(), (JOB,), (PodRef("research", "other"),)]),
    held=st.sampled_from([(), (Held("research", WEEK / 2),)]),
    present_seconds=st.sampled_from([None, WEEK]),
    memory_used_max_bytes=st.sampled_from([None, 1e8, 3e10]),
)
fleets = st.lists(gpus, max_size=8, unique_by=lambda one: one.uuid)
lives = st.sampled_from([(), (workload(),), (workload(deleting=True, deletes_at=NOW - WEEK),)])


@given(fleets, lives)
def test_never_on_missing_data(fleet: list[Gpu], pods: tuple[Workload, ...]) -> None:
    """Only GPUs that answer, and whose holder or process was told for long enough."""
    found = find(*fleet, workloads=pods).recommendations
    assert len({one.where.uuid for one in found}) == len(found)
    for one in found:
        (card,) = [card for card in fleet if card.uuid == one.where.uuid]
        assert card.up is True
        assert card.pods or card.present_seconds is not None
        assert 0 <= one.confidence <= 1
        if one.saves:
            assert one.saves.per_month.amount <= PRICE.per_gpu_hour_whole.amount * 730


@given(fleets, lives, st.randoms(use_true_random=False))
def test_the_order_changes_nothing(
    fleet: list[Gpu], pods: tuple[Workload, ...], rng: random.Random
) -> None:
    """A shuffled fleet gets the same findings in the same order."""
    shuffled = rng.sample(fleet, len(fleet))
    assert find(*shuffled, workloads=pods) == find(*fleet, workloads=pods)


@given(fleets, lives)
def test_doubled_prices_double_the_money(fleet: list[Gpu], pods: tuple[Workload, ...]) -> None:
    """And nothing else."""
    twice = replace(PRICE, per_gpu_hour_residual=PRICE.per_gpu_hour_residual * 2)
    once = find(*fleet, workloads=pods).recommendations
    doubled = find(*fleet, workloads=pods, price=twice).recommendations
    amounts = {one.id: one.saves.per_month * 2 for one in once if one.saves}
    assert {one.id: one.saves.per_month for one in doubled if one.saves} == amounts
    assert {one.id for one in once} == {one.id for one in doubled}
