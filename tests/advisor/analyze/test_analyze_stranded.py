"""Stranded GPUs: free where CPU, memory or pod slots are gone, with what would free them."""

from __future__ import annotations

import random
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentaflow_advisor.analyze import Findings, SettingsError, StrandedSettings, stranded
from agentaflow_advisor.model import Gpu, Held, Money, Node, PodRef, Query, Refusal, Workload
from agentaflow_advisor.price import NodeKey, NodePrice
from tests.support.fleet import GIB, gated_pod, node, running_pod, snapshot

WEEK = 604_800.0
PRICE = NodePrice(
    "own", Money(Decimal(32)), Money(Decimal(8)), Money(Decimal(5)), assumed=False, how="own"
)
FEEDER = 20
"""Pods elsewhere that make 1 GPU with 8 cores and 32 GiB typical."""


def typical(number: int = FEEDER) -> list[Workload]:
    return [
        running_pod(f"t{index}", f"far-{index}", cpu_cores=8.0, memory_bytes=32 * GIB)
        for index in range(number)
    ]


def gpus(
    name: str, number: int = 4, taken: int = 0, held: float = 0.0, **changes: Any
) -> list[Gpu]:
    """So many of the GPUs are in a pod; each was held for so much of the week."""
    return [
        replace(
            Gpu("", name, str(index), f"GPU-{name}-{index}", up=True),
            present_seconds=WEEK,
            pods=(PodRef("research", f"g{index}"),) if index < taken else (),
            held=(Held("research", WEEK if index < taken else held * WEEK),),
            **changes,
        )
        for index in range(number)
    ]


def find(
    nodes: list[Node],
    pods: list[Workload],
    cards: list[Gpu],
    price: NodePrice | Refusal | None = PRICE,
    settings: StrandedSettings | None = None,
    **changes: Any,
) -> Findings:
    queries = tuple(Query(name, f"promql of {name}", 1, 0.1) for name in ("held", "present"))
    seen = snapshot(nodes, pods, cards, queries=queries, **changes)
    prices: dict[NodeKey, NodePrice | Refusal] = {}
    if price is not None:
        prices = {(one.cluster, one.name): price for one in nodes}
    return stranded.analyze(seen, prices, settings or StrandedSettings())


def eater(name: str, cores: float, on: str = "a", **changes: Any) -> Workload:
    return running_pod(name, on, gpus=0, cpu_cores=cores, memory_bytes=GIB, **changes)


def test_a_node_without_cpu_by_hand() -> None:
    """64 cores less 40 and 18 leave 6, a typical pod asks for 8: 4 GPUs x 5 USD x 730 h."""
    pods = [*typical(), eater("etl", 40.0), eater("web", 18.0)]
    (found,) = find([node("a", 4)], pods, gpus("a")).recommendations
    assert found.kind == "stranded-gpus"
    assert found.what == (
        "4 GPUs are free on a and of no use to the pods that this cluster has: it lacks CPU "
        "(6 cores, 510.0 GiB and 108 pod slots left); moving research/etl (40 cores, 1.0 GiB) "
        "elsewhere makes 4 of use"
    )
    assert found.saves
    assert found.saves.per_month == Money(Decimal(4 * 5 * 730))
    assert found.enforceable == "node"
    assert (found.where.node, found.where.uuid) == ("a", "")
    assert found.evidence.promql == ("promql of held", "promql of present")
    assert found.confidence == pytest.approx(1 - 3 / FEEDER)


def test_memory_and_pod_slots() -> None:
    """Whatever runs out is named."""
    hog = running_pod("hog", "a", gpus=0, cpu_cores=1.0, memory_bytes=500 * GIB)
    (found,) = find([node("a", 4)], [*typical(), hog], gpus("a")).recommendations
    assert "it lacks memory (" in found.what
    (full,) = find(
        [node("a", 4, pods=2)], [*typical(), eater("x", 1.0), eater("y", 1.0)], gpus("a")
    ).recommendations
    assert "it lacks pod slots (" in full.what
    assert "makes 2 of use" in full.what


def test_part_of_the_gpus() -> None:
    """24 cores left feed three pods: one GPU of four is stranded."""
    pods = [*typical(), eater("etl", 40.0)]
    (found,) = find([node("a", 4)], pods, gpus("a")).recommendations
    assert found.what.startswith("1 GPU is free on a")
    assert found.saves
    assert found.saves.per_month == Money(Decimal(5 * 730))


def test_gpu_pods_and_daemons_are_not_moved() -> None:
    """A DaemonSet's pod would come back, and moving a GPU pod frees no GPU."""
    daemon = eater("agent", 30.0, owner="DaemonSet/agent")
    big = running_pod("big", "a", gpus=1, cpu_cores=33.0)
    (found,) = find(
        [node("a", 4)], [*typical(100), daemon, big], gpus("a", taken=1)
    ).recommendations
    assert "no pod without GPUs holds enough of it" in found.what


@pytest.mark.parametrize(
    "changes", [{"ready": False}, {"schedulable": False}, {"known": False}, {"gpus": 0}]
)
def test_nodes_that_take_no_pods_are_not_stranded(changes: dict[str, Any]) -> None:
    """Their GPUs are free for another reason."""
    pods = [*typical(), eater("etl", 64.0)]
    assert find([node("a", **changes), node("b")], pods, gpus("a")).recommendations == ()


def test_too_few_gpus_for_any_pod_is_not_stranding() -> None:
    """Three GPUs beside pods of four lack GPUs, not CPU."""
    pods = [running_pod(f"t{index}", "far", gpus=4) for index in range(20)]
    pods.append(eater("etl", 64.0))
    assert find([node("a", 3)], pods, gpus("a", 3)).recommendations == ()


def test_finished_pods_take_no_room() -> None:
    """Succeeded and Failed hold nothing."""
    pods = [*typical(), eater("etl", 64.0, phase="Succeeded"), eater("web", 64.0, phase="Failed")]
    assert find([node("a", 4)], pods, gpus("a")) == Findings((), ())


def test_lost_gpus_are_not_free() -> None:
    """A GPU that does not answer is of no use with CPU either."""
    pods = [*typical(), eater("etl", 64.0)]
    cards = [*gpus("a", 3), replace(gpus("a")[3], up=False)]
    (found,) = find([node("a", 4)], pods, cards).recommendations
    assert found.what.startswith("3 GPUs are free")


@pytest.mark.parametrize(
    ("cards", "reason"),
    [
        ([], "how long its GPUs were free is not told"),
        (gpus("a", held=0.6), "4 GPUs are stranded, but so many were free in 40% of 7 d only"),
        ([replace(one, held=()) for one in gpus("a")], "how long its GPUs were free is not told"),
    ],
)
def test_what_is_not_known_to_last_is_refused(cards: list[Gpu], reason: str) -> None:
    """A node that was full a minute ago, or of which nobody tells."""
    findings = find([node("a", 4)], [*typical(), eater("etl", 64.0)], cards)
    assert findings.recommendations == ()
    (refusal,) = findings.refusals
    assert refusal == Refusal("node a", reason)


def test_without_kubernetes_or_pods_or_prices_it_refuses() -> None:
    """Each with its reason."""
    (blind,) = find([node("a", known=False)], [], gpus("a"), has_cluster=False).refusals
    assert "give --kubeconfig" in blind.reason
    (none,) = find([node("a")], [eater("etl", 64.0)], gpus("a")).refusals
    assert "no pod asks for GPUs" in none.reason
    pods = [*typical(), eater("etl", 64.0)]
    (unpriced,) = find([node("a", 4)], pods, gpus("a"), price=None).refusals
    assert unpriced == Refusal("node a", "no price")


def test_the_id_hangs_on_the_node() -> None:
    """Other pods, same finding."""
    (one,) = find([node("a", 4)], [*typical(), eater("etl", 64.0)], gpus("a")).recommendations
    (two,) = find([node("a", 4)], [*typical(), eater("web", 60.0)], gpus("a")).recommendations
    assert one.id == two.id


def test_settings_out_of_bounds() -> None:
    """A setting that cannot be meant is refused by name."""
    with pytest.raises(SettingsError, match=r"min_free_ratio is 1\.1: give "):
        StrandedSettings(min_free_ratio=1.1)


pods = st.builds(
    lambda name, on, count, cores, gib: running_pod(
        name, on, gpus=count, cpu_cores=cores, memory_bytes=gib * GIB
    ),
    st.uuids().map(str),
    st.sampled_from(["a", "b", "c"]),
    st.sampled_from([0, 0, 1, 2]),
    st.sampled_from([1.0, 8.0, 30.0]),
    st.sampled_from([1.0, 100.0]),
)
loads = st.lists(pods, max_size=12, unique_by=lambda pod: pod.name)
waiting = st.lists(st.sampled_from([1, 2, 4]), min_size=1, max_size=5)


def fleet(load: list[Workload], queue: list[int]) -> tuple[list[Node], list[Workload], list[Gpu]]:
    nodes = [node(name, 4) for name in "abc"]
    queued = [gated_pod(f"q{index}", count) for index, count in enumerate(queue)]
    return nodes, [*load, *queued], [one for name in "ab" for one in gpus(name)]


@given(loads, waiting)
def test_never_more_than_is_free_nor_on_missing_data(
    load: list[Workload], queue: list[int]
) -> None:
    """Only nodes whose GPUs Prometheus shows, and never more GPUs than are free there."""
    for found in find(*fleet(load, queue)).recommendations:
        assert found.where.node in "ab"
        assert found.saves
        held = sum(pod.gpus for pod in load if pod.node == found.where.node)
        assert 0 < int(found.saves.inputs["stranded_gpus"]) <= 4 - held
        assert found.saves.per_month.amount <= PRICE.per_hour.amount * 730
        assert 0 <= found.confidence <= 1


@given(loads, waiting, st.randoms(use_true_random=False))
def test_the_order_changes_nothing(
    load: list[Workload], queue: list[int], rng: random.Random
) -> None:
    """Nodes, pods and GPUs in any order."""
    parts = fleet(load, queue)
    shuffled = [rng.sample(part, len(part)) for part in parts]
    assert find(*shuffled) == find(*parts)  # type: ignore[arg-type]


@given(loads, waiting)
def test_doubled_prices_double_the_money_and_nothing_else(
    load: list[Workload], queue: list[int]
) -> None:
    """Money is linear in prices."""
    twice = replace(
        PRICE,
        per_hour=PRICE.per_hour * 2,
        per_gpu_hour_whole=PRICE.per_gpu_hour_whole * 2,
        per_gpu_hour_residual=PRICE.per_gpu_hour_residual * 2,
    )
    parts = fleet(load, queue)
    once, doubled = find(*parts).recommendations, find(*parts, price=twice).recommendations
    assert [one.id for one in once] == [one.id for one in doubled]
    for one, two in zip(once, doubled, strict=True):
        assert one.saves
        assert two.saves
        assert two.saves.per_month == one.saves.per_month * 2
