"""Fragmentation: FGD's measure over the cluster's own pods, told with its cost where it is high."""

from __future__ import annotations

import random
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentaflow_advisor.analyze import (
    Findings,
    FragmentationSettings,
    SettingsError,
    fragmentation,
    room,
)
from agentaflow_advisor.model import Gpu, Held, Money, Node, Query, Refusal, Workload
from agentaflow_advisor.price import NodeKey, NodePrice
from tests.support.fleet import gated_pod, node, running_pod, snapshot

WEEK = 604_800.0
PRICE = NodePrice(
    "own", Money(Decimal(64)), Money(Decimal(8)), Money(Decimal(5)), assumed=False, how="own"
)


def cards(name: str, number: int = 8) -> list[Gpu]:
    """GPUs that were free all week, in a cluster that tells who holds GPUs."""
    made = [Gpu("", name, str(i), f"GPU-{name}-{i}", up=True) for i in range(number)]
    return [replace(one, present_seconds=WEEK, held=(Held("x", 0.0),)) for one in made]


def find(
    nodes: list[Node],
    pods: list[Workload],
    gpus: list[Gpu] | None = None,
    price: NodePrice | Refusal | None = PRICE,
    settings: FragmentationSettings | None = None,
    **changes: Any,
) -> Findings:
    shown = [one for each in nodes for one in cards(each.name)] if gpus is None else gpus
    queries = (Query("held", "promql of held", 1, 0.1),)
    seen = snapshot(nodes, pods, shown, queries=queries, **changes)
    prices: dict[NodeKey, NodePrice | Refusal] = {}
    if price is not None:
        prices = {(one.cluster, one.name): price for one in nodes}
    return fragmentation.analyze(seen, prices, settings or FragmentationSettings())


def fragmented() -> tuple[list[Node], list[Workload]]:
    """Three nodes with 6 of 8 GPUs taken by a pod each; 3 of 6 pods take one GPU, 3 take eight."""
    nodes = [node(name) for name in "abc"]
    taken = [running_pod(f"r{name}-{i}", name, 1) for name in "abc" for i in range(6)]
    waits = [gated_pod(f"w{i}", 8) for i in range(18)]
    return nodes, [*taken, *waits]


def test_the_measure_by_hand() -> None:
    """6 GPUs are idle; 18 of 36 pods ask for one and can have it, 18 ask for eight and cannot:
    half of the 6 is fragmented, 3 x 5 USD x 730 h.
    """
    nodes, pods = fragmented()
    (found,) = find(nodes, pods).recommendations
    assert found.kind == "fragmentation"
    assert found.what == (
        "50% of the 6 idle GPUs of the cluster are fragments: 3.0 GPUs are of no use to its "
        "typical pods, 0 of them to none at all"
    )
    assert found.saves
    assert found.saves.per_month == Money(Decimal(3 * 5 * 730))
    assert found.saves.inputs["fragmentation_ratio"] == "0.5000"
    assert found.enforceable == "node"
    assert "agentaflow replay" in found.risk
    assert found.evidence.promql == ("promql of held",)
    assert found.confidence == pytest.approx(1 - 3 / 36)


def test_gpus_that_no_typical_pod_can_take() -> None:
    """No CPU is left on one of two nodes: its eight GPUs are of no use at all."""
    eater = running_pod("etl", "a", gpus=0, cpu_cores=64.0)
    waits = [gated_pod(f"w{i}", 8) for i in range(10)]
    nodes = [node("a"), node("b")]
    measured = fragmentation.measure(
        room.spares(snapshot(nodes, [eater, *waits])), room.gpu_pods(snapshot(nodes, waits))
    )
    assert (measured.idle, measured.useless, measured.ratio) == (16, 8, Decimal("0.5"))


def test_an_empty_cluster_is_not_fragmented() -> None:
    """Everything is free, and everything is of use."""
    waits = [gated_pod(f"w{i}", 8) for i in range(10)]
    assert find([node("a"), node("b")], waits) == Findings((), ())


def test_thresholds() -> None:
    """Half is not told where more is asked for, nor three GPUs where four are."""
    nodes, pods = fragmented()
    assert find(nodes, pods, settings=FragmentationSettings(max_ratio=0.51)).recommendations == ()
    assert find(nodes, pods, settings=FragmentationSettings(min_gpus=3.1)).recommendations == ()
    with pytest.raises(SettingsError, match="max_ratio is 2: give "):
        FragmentationSettings(max_ratio=2)


def test_what_is_not_known_is_refused() -> None:
    """No Kubernetes, no GPU pods, no prices, nobody who tells since when."""
    nodes, pods = fragmented()
    (blind,) = find([], [], [], has_cluster=False).refusals
    assert "give --kubeconfig" in blind.reason
    (none,) = find(nodes, []).refusals
    assert "none is typical" in none.reason
    assert find(nodes, pods, price=None).recommendations == ()
    assert {each.reason for each in find(nodes, pods, price=None).refusals} == {"no price"}
    (untold,) = find(nodes, pods, []).refusals
    assert untold == Refusal("cluster", "how long its GPUs were free is not told")


def test_an_unpriced_node_is_left_out_of_the_sum() -> None:
    """Two of three nodes have a price: two thirds of the money, and a refusal."""
    nodes, pods = fragmented()
    seen = snapshot(nodes, pods, [one for each in nodes for one in cards(each.name)])
    prices: dict[NodeKey, NodePrice | Refusal] = {("", "a"): PRICE, ("", "b"): PRICE}
    findings = fragmentation.analyze(seen, prices, FragmentationSettings())
    (found,) = findings.recommendations
    assert found.saves
    assert found.saves.per_month == Money(Decimal(2 * 5 * 730))
    assert findings.refusals == (Refusal("node c", "no price"),)


def test_a_hundred_fleets_are_fragmented_as_one_is() -> None:
    """80,000 GPUs and 40,000 pods of a hundred kinds give the ratio of their hundredth part."""

    def ratio(count: int) -> Decimal:
        nodes = [node(f"n{i}") for i in range(count)]
        pods = [
            running_pod(f"p{i}", f"n{i // 4}", 1 + i % 2, cpu_cores=float(1 + i % 50))
            for i in range(4 * count)
        ]
        return fragmentation.measure(room.spares(snapshot(nodes, pods)), pods).ratio

    assert 0 < ratio(100) < 1
    assert ratio(10_000) == ratio(100)


pods = st.builds(
    lambda name, on, count, cores: running_pod(name, on, gpus=count, cpu_cores=cores),
    st.uuids().map(str),
    st.sampled_from("abc"),
    st.sampled_from([0, 1, 2]),
    st.sampled_from([1.0, 20.0]),
)
loads = st.lists(pods, max_size=12, unique_by=lambda pod: pod.name)
waiting = st.lists(st.sampled_from([1, 2, 4, 8]), min_size=1, max_size=8)
LOW = FragmentationSettings(max_ratio=0.05, min_gpus=0.1)


def fleet(load: list[Workload], queue: list[int]) -> tuple[list[Node], list[Workload]]:
    queued = [gated_pod(f"q{i}", count) for i, count in enumerate(queue)]
    return [node(name) for name in "abc"], [*load, *queued]


@given(loads, waiting)
def test_fragments_are_never_more_than_is_idle(load: list[Workload], queue: list[int]) -> None:
    """0 <= useless, F <= idle on every node, and savings below the price of what is idle."""
    nodes, all_pods = fleet(load, queue)
    spares = room.spares(snapshot(nodes, all_pods))
    measured = fragmentation.measure(spares, room.gpu_pods(snapshot(nodes, all_pods)))
    for spare in spares:
        assert 0 <= measured.fragments[spare.key] <= max(0, spare.free.gpus)
    assert 0 <= measured.useless <= measured.idle
    for found in find(nodes, all_pods, settings=LOW).recommendations:
        assert found.saves
        assert found.saves.per_month.amount <= PRICE.per_gpu_hour_whole.amount * measured.idle * 730
        assert 0 <= found.confidence <= 1


@given(loads, waiting, st.randoms(use_true_random=False))
def test_the_order_changes_nothing(
    load: list[Workload], queue: list[int], rng: random.Random
) -> None:
    """Nodes, pods and GPUs in any order."""
    nodes, all_pods = fleet(load, queue)
    shuffled = find(
        rng.sample(nodes, len(nodes)), rng.sample(all_pods, len(all_pods)), settings=LOW
    )
    assert shuffled == find(nodes, all_pods, settings=LOW)


@given(loads, waiting)
def test_doubled_prices_double_the_money(load: list[Workload], queue: list[int]) -> None:
    """And nothing else."""
    twice = replace(PRICE, per_gpu_hour_residual=PRICE.per_gpu_hour_residual * 2)
    parts = fleet(load, queue)
    once = find(*parts, settings=LOW).recommendations
    doubled = find(*parts, price=twice, settings=LOW).recommendations
    assert [one.id for one in once] == [one.id for one in doubled]
    for one, two in zip(once, doubled, strict=True):
        assert one.saves
        assert two.saves
        assert two.saves.per_month == one.saves.per_month * 2
