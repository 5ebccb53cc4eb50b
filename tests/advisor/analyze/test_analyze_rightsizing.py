"""Right-sizing: only peaks, whole prices, published slices and peaks, and a reason for each no."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentaflow_advisor.analyze import (
    Findings,
    IdleSettings,
    RightsizingSettings,
    SettingsError,
    rightsizing,
)
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
from agentaflow_advisor.price import NodeKey, NodePrice, PriceTable, ResidualRates, price_nodes
from agentaflow_advisor.price.pricelist import PriceList
from agentaflow_advisor.price.tablefile import read
from tests.support.fleet import GIB

DAY = 86_400.0
WEEK = 7 * DAY
NOW = 1_800_000_000.0
H100 = ("NVIDIA H100 80GB HBM3", 80 * GIB)
A10G = ("NVIDIA A10G", 22.5 * GIB)
L40S = ("NVIDIA L40S", 45 * GIB)
HEAD = "# provider: AWS\n# region: r\n# date: 2026-11-01\n"
COLUMNS = "instance,gpu,gpus,gpu_mem_mib_each,vcpu,ram_gib,ondemand_usd_h\n"


def table(times: int = 1, *, without: str = "none") -> PriceTable:
    """Eight H100 for 80 USD, one L40S for 2, one A10G for 1, one T4 for 0.50, and an Arm one."""
    rows = (
        f"p5.48xlarge,h100,8,81920,192,2048,{80 * times}",
        f"g6e.xlarge,l40s,1,45776,4,32,{2 * times}",
        f"g5.xlarge,a10g,1,22888,4,16,{1 * times}",
        f"g4dn.xlarge,t4,1,16384,4,16,{Decimal('.5') * times}",
        f"g5g.xlarge,t4g,1,16384,4,8,{Decimal('.1') * times}",
        f"g5.48xlarge,a10g,8,22888,192,768,{16 * times}",
    )
    text = HEAD + COLUMNS + "\n".join(row for row in rows if not row.startswith(without))
    rates = ResidualRates(Decimal(".02") * times, Decimal(".002") * times)
    return PriceTable([PriceList(read(Path("prices.csv"), text))], rates)


def usage(maximum: float, high: float | None = None) -> Usage:
    return Usage(maximum, maximum if high is None else high, 40_000, 15.0, WEEK, maximum / 2)


def gpu(
    index: int = 0,
    kind: tuple[str, float] = H100,
    gib: float = 5.0,
    maximum: float = 0.5,
    sm: float | None = None,
    **changes: Any,
) -> Gpu:
    """One that pod research/p<index> alone has held for the week."""
    made = Gpu(
        "c",
        "n",
        str(index),
        f"GPU-{index}",
        model=kind[0],
        up=True,
        memory_total_bytes=kind[1],
        memory_used_max_bytes=gib * GIB,
        utilization=usage(maximum),
        pods=(PodRef("research", f"p{index}", "main"),),
        present_seconds=WEEK,
        held=(Held("research", WEEK),),
        measures={} if sm is None else {"sm_active_high": sm},
    )
    return replace(made, **changes)


def look(*gpus: Gpu, **changes: Any) -> Snapshot:
    names = ("utilization_max", "memory_used_max", "sm_active_high")
    queries = tuple(Query(name, f"promql of {name}", 1, 0.1) for name in names)
    made = Snapshot(NOW, WEEK, 0.95, gpus, (Node("c", "n", 8, known=False),), queries=queries)
    return replace(made, **changes)


def find(
    *gpus: Gpu,
    lists: PriceTable | None = None,
    prices: Mapping[NodeKey, NodePrice | Refusal] | None = None,
    settings: RightsizingSettings | None = None,
    **changes: Any,
) -> Findings:
    lists = lists or table()
    seen = look(*gpus, **changes)
    known = price_nodes(seen, lists) if prices is None else prices
    return rightsizing.analyze(
        seen, known, lists, settings or RightsizingSettings(), IdleSettings()
    )


def test_a_smaller_gpu_by_whole_prices_by_hand() -> None:
    """5 GiB and 5 % of an H100 need 6 GiB; an A10G may take 14.1 times longer (70 of 989 TFLOPS),
    so 71 % of it; a T4 would take 76 %: it costs 0.50 an hour where this GPU's part is 10.
    """
    (found,) = find(gpu(maximum=0.06, sm=0.05)).recommendations
    assert found.kind == "smaller-gpu"
    assert found.what == (
        "research/p0 holds GPU 0 (NVIDIA H100 80GB HBM3) on n and used 5.0 GiB of its memory at "
        "most, SM activity up to 5%; one T4 of 16 GiB has room for that: g4dn.xlarge with one "
        "costs 0.50 USD an hour, this one's part of its node 10.00 USD"
    )
    assert found.saves
    assert found.saves.per_month == Money(Decimal("9.5") * 730)
    assert found.saves.inputs["slowdown_at_most"] == "15.2"
    assert (found.where.uuid, found.where.namespace, found.where.pod) == ("GPU-0", "research", "p0")
    assert found.evidence.promql == (
        "promql of utilization_max",
        "promql of memory_used_max",
        "promql of sm_active_high",
    )
    assert found.confidence == pytest.approx((1 - 3 / 40_000) * 0.95 * 0.8)
    assert found.enforceable == "none"
    assert "The bill falls when the node goes" in found.risk
    assert "not known here" in found.risk


@pytest.mark.parametrize(
    ("gib", "sm", "kind", "instance"),
    [
        (13.3, 0.05, "smaller-gpu", "g4dn.xlarge"),
        (13.4, 0.05, "smaller-gpu", "g5.xlarge"),
        (18.7, 0.05, "smaller-gpu", "g6e.xlarge"),
        (5.0, 0.06, "smaller-gpu", "g6e.xlarge"),
        (5.0, 0.2, "smaller-gpu", "g6e.xlarge"),
        (30.0, 0.21, "mig-slice", "3g.40gb"),
        (8.3, 0.21, "mig-slice", "2g.20gb"),
    ],
)
def test_memory_and_speed_both_bound_the_choice(
    gib: float, sm: float, kind: str, instance: str
) -> None:
    """The cheapest that holds peak + 20 % and is at most 80 % busy by the worse published peak."""
    (found,) = find(gpu(gib=gib, maximum=1.0, sm=sm)).recommendations
    assert found.kind == kind
    assert found.saves
    inputs = found.saves.inputs
    assert inputs.get("profile", inputs.get("instance_type")) == instance


def test_a_slice_by_hand() -> None:
    """1g.10gb is an eighth of the memory and a seventh of the compute: 6/7 of 9.008 USD an hour.

    80 USD less 192 x 0.02 and 2048 x 0.002 is 72.064, by 8 is 9.008.
    """
    (found,) = find(gpu(gib=7.0, maximum=0.11), lists=table(without="g")).recommendations
    assert found.kind == "mig-slice"
    assert found.saves
    assert found.saves.inputs["profile"] == "1g.10gb"
    expected = Decimal("9.008") * 6 / 7 * 730
    assert abs(found.saves.per_month.amount - expected) < Decimal("1e-6")
    assert "only if others use the rest" in found.risk


def test_who_cannot_be_cut_gets_no_slice() -> None:
    """An L40S has no MIG, whatever it is used for; an RTX A1000 is no A100."""
    assert find(gpu(kind=L40S, gib=2.0, maximum=0.75)).recommendations == ()
    cheap = gpu(kind=("NVIDIA RTX A1000", 8 * GIB), gib=0.5, maximum=0.1)
    findings = find(cheap)
    assert findings.recommendations == ()
    assert "no price" in findings.refusals[0].reason


def test_arm_machines_are_not_proposed_to_others() -> None:
    """A T4G is the cheapest, and its CPUs may not run the pod's images."""
    (found,) = find(gpu(gib=1.0, sm=0.01)).recommendations
    assert found.saves
    assert found.saves.inputs["instance_type"] == "g4dn.xlarge"


def test_what_the_pod_asks_for_must_fit_too() -> None:
    """Eight cores do not fit a machine of four."""
    pod = Workload("research", "p0", "u", "1", phase="Running", node="n", gpus=1, cpu_cores=8.0)
    known = (Node("c", "n", 8, 192.0, 2000 * GIB),)
    (found,) = find(gpu(sm=0.02), workloads=(pod,), nodes=known).recommendations
    assert found.kind == "mig-slice"


def test_it_is_enforceable_where_such_gpus_are() -> None:
    """The cluster has a T4 node: a pod can be placed there."""
    other = gpu(9, kind=("Tesla T4", 15 * GIB), node="t4", uuid="GPU-t4", maximum=1.0, gib=14.0)
    nodes = (Node("c", "n", 8, known=False), Node("c", "t4", 1, known=False))
    found = {one.where.uuid: one for one in find(gpu(sm=0.02), other, nodes=nodes).recommendations}
    assert found["GPU-0"].enforceable == "node"


def test_two_pods_on_one_gpu() -> None:
    """13 and 5 GiB with a fifth more are 21.6 of 22.5 GiB, and 40 % and 35 % are below 80 %.

    16 USD less 192 x 0.02 and 768 x 0.002 is 10.624, by 8 GPUs is 1.328 an hour.
    """
    one = gpu(0, A10G, gib=13.0, maximum=0.9, sm=0.4)
    two = gpu(1, A10G, gib=5.0, maximum=0.9, sm=0.35)
    (found,) = find(one, two, lists=table(without="g4dn")).recommendations
    assert found.kind == "share-gpu"
    assert found.what == (
        "research/p1 on GPU 1 and research/p0 on GPU 0 of n (NVIDIA A10G) would fit one of them: "
        "21.6 GiB with head-room and 75% activity together at most, if their peaks ever met"
    )
    assert found.where.uuid == "GPU-1"
    assert found.confidence == pytest.approx((1 - 3 / 40_000) * 0.95 * 0.9)
    assert found.saves
    assert found.saves.per_month == Money(Decimal("1.328") * 730)


@pytest.mark.parametrize(
    "other",
    [
        gpu(1, A10G, gib=6.0, sm=0.35),
        gpu(1, A10G, gib=5.0, sm=0.41),
        gpu(1, A10G, gib=5.0, sm=0.35, node="m"),
    ],
)
def test_who_does_not_fit_together(other: Gpu) -> None:
    """Too much memory, too much work, or another node."""
    nodes = (Node("c", "n", 8, known=False), Node("c", "m", 8, known=False))
    one = gpu(0, A10G, gib=13.0, sm=0.4)
    assert find(one, other, nodes=nodes, lists=table(without="g4dn")).recommendations == ()


def price_of(one: Gpu) -> NodePrice:
    price = price_nodes(look(one), table())[one.cluster, one.node]
    assert isinstance(price, NodePrice)
    return price


POD = PodRef("research", "p0")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"utilization": None}, "no usable utilization"),
        ({"up": False}, "does not answer"),
        ({"doubt": "clocks disagree"}, "clocks disagree"),
        ({"memory_used_max_bytes": None}, "memory was in use is not told"),
        ({"memory_total_bytes": None}, "memory was in use is not told"),
        ({"model": None}, "its model is not told"),
        ({"held": ()}, "how long its pod has held it is not told"),
        ({"held": (Held("research", 3600.0),)}, "its pod has held it for 1 h, 1 d is the least"),
        ({"held": (Held("other", WEEK),)}, "its pod has held it for 0 s"),
        ({"pods": (POD, PodRef("research", "q"))}, "2 pods share it"),
        ({"measures": {"mig_enabled": 1.0, "sm_active_high": 0.1}}, "cut into MIG slices"),
    ],
)
def test_missing_or_thin_evidence_is_refused(changes: dict[str, Any], reason: str) -> None:
    """No recommendation, and a line that says why."""
    prices = {("c", "n"): price_of(gpu())}
    findings = find(gpu(sm=0.02, **changes), prices=prices)
    assert findings.recommendations == ()
    (refusal,) = findings.refusals
    assert refusal.subject == "c/n/gpu 0"
    assert reason in refusal.reason


def test_a_pod_over_several_gpus_is_refused_once() -> None:
    """What its GPUs say to each other is not measured."""
    findings = find(gpu(0, pods=(POD,), sm=0.02), gpu(1, pods=(POD,), sm=0.02))
    assert findings.recommendations == ()
    (refusal,) = findings.refusals
    assert refusal.subject == f"c/{POD}"
    assert "holds 2 GPUs" in refusal.reason


def test_a_young_pod_is_refused_whoever_held_it_before() -> None:
    """Its namespace held the GPU all week, but this pod is an hour old."""
    pod = Workload(
        "research", "p0", "u", "1", phase="Running", node="n", gpus=1, created_at=NOW - 3600
    )
    findings = find(gpu(sm=0.02), workloads=(pod,), nodes=(Node("c", "n", 8, 192.0, GIB),))
    assert findings.recommendations == ()
    assert "has held it for 1 h" in findings.refusals[0].reason


def test_a_high_utilization_says_little_of_how_much_works() -> None:
    """Half of the memory and more is free, but nobody tells the SM activity: refused by name."""
    findings = find(gpu(maximum=1.0))
    assert findings.recommendations == ()
    (refusal,) = findings.refusals
    assert "nobody tells sm_active_high" in refusal.reason


def test_idle_gpus_and_free_ones_are_not_its_matter() -> None:
    """The idle analysis tells them."""
    assert find(gpu(maximum=0.0), gpu(1, pods=())) == Findings((), ())


def test_without_a_price_it_is_refused() -> None:
    """A refusal with the price's own reason, and none of nothing."""
    refusal = Refusal("node n", "no price: unknown")
    assert find(gpu(sm=0.02), prices={("c", "n"): refusal}) == Findings((), (refusal,))
    (missing,) = find(gpu(sm=0.02), prices={}).refusals
    assert missing == Refusal("c/n/gpu 0", "its node has no price")


def test_a_node_of_your_own_has_no_smaller_one() -> None:
    """What else stands in the cellar is not known; the slice still is."""
    own = replace(price_of(gpu()), source="", provider="own")
    (found,) = find(gpu(sm=0.02), prices={("c", "n"): own}).recommendations
    assert found.kind == "mig-slice"


def test_ids_hang_on_names() -> None:
    """Other figures, same id; another pod, another id."""
    (one,) = find(gpu(sm=0.02)).recommendations
    (later,) = find(gpu(sm=0.03, gib=1.0), taken_at=NOW + DAY).recommendations
    (other,) = find(gpu(sm=0.02, pods=(PodRef("research", "q"),))).recommendations
    assert one.id == later.id
    assert one.id != other.id


@pytest.mark.parametrize(("hours", "part"), [(24, 1.0), (12, 0.5), (1, 1 / 24)])
def test_less_than_a_day_of_evidence_proves_so_much_less(hours: int, part: float) -> None:
    """Peaks come once a day: of real pods' homes by an hour of evidence a third was too small."""
    seconds = hours * 3600.0
    use = Usage(
        maximum=0.1,
        high=0.1,
        mean=0.1,
        samples=10**9,
        newest_age_seconds=15.0,
        covered_seconds=seconds,
    )
    one = gpu(utilization=use, held=(Held("research", seconds),), present_seconds=seconds)
    (found,) = find(
        one, settings=RightsizingSettings(min_held_seconds=60), window_seconds=seconds
    ).recommendations
    assert found.confidence == pytest.approx(part * (0.8 if found.kind == "smaller-gpu" else 0.9))


@pytest.mark.parametrize(
    ("name", "value"),
    [("memory_headroom_ratio", -0.1), ("max_activity_ratio", 1.1), ("min_held_seconds", -1)],
)
def test_settings_out_of_bounds(name: str, value: float) -> None:
    """A setting that cannot be meant is refused by name."""
    with pytest.raises(SettingsError, match=f"{name} is .*: give "):
        RightsizingSettings(**{name: value})


gpus = st.builds(
    gpu,
    st.integers(0, 7),
    st.sampled_from([H100, A10G, L40S]),
    st.floats(0.1, 40.0),
    st.floats(0, 1),
    st.one_of(st.none(), st.floats(0, 1)),
    up=st.sampled_from([True, True, False, None]),
    memory_used_max_bytes=st.one_of(st.none(), st.floats(1e8, 8e10)),
    node=st.sampled_from(["n", "m"]),
    held=st.sampled_from([(), (Held("research", 2 * DAY),), (Held("research", 60.0),)]),
)


def alike(fleet: list[Gpu]) -> list[Gpu]:
    """One model for each node, as a price takes it."""
    kinds = {one.node: (one.model, one.memory_total_bytes) for one in fleet}
    return [
        replace(one, model=kinds[one.node][0], memory_total_bytes=kinds[one.node][1])
        for one in fleet
    ]


fleets = st.lists(gpus, max_size=8, unique_by=lambda one: one.uuid).map(alike)
NODES = (Node("c", "n", 8, known=False), Node("c", "m", 8, known=False))


@given(fleets)
def test_never_on_missing_data(fleet: list[Gpu]) -> None:
    """Every recommendation is about a GPU that is up, measured, and held for a day at least."""
    for found in find(*fleet, nodes=NODES).recommendations:
        (one,) = [one for one in fleet if one.uuid == found.where.uuid]
        assert one.up is True
        assert one.memory_used_max_bytes is not None
        assert sum(each.seconds for each in one.held) >= DAY
        assert 0 <= found.confidence <= 2 / 7


@given(fleets)
def test_savings_never_exceed_what_the_gpus_cost(fleet: list[Gpu]) -> None:
    """Each GPU once at most, for less than its part of its node's price."""
    prices = price_nodes(look(*fleet, nodes=NODES), table())
    found = find(*fleet, nodes=NODES).recommendations
    assert len({one.where.uuid for one in found}) == len(found)
    for one in found:
        price = prices["c", one.where.node]
        assert isinstance(price, NodePrice)
        assert one.saves
        assert 0 < one.saves.per_month.amount <= price.per_gpu_hour_whole.amount * 730


@given(fleets, st.randoms(use_true_random=False))
def test_the_order_of_gpus_changes_nothing(fleet: list[Gpu], rng: random.Random) -> None:
    """A shuffled fleet gets the same findings in the same order."""
    assert find(*rng.sample(fleet, len(fleet)), nodes=NODES) == find(*fleet, nodes=NODES)


@given(fleets)
def test_doubled_prices_double_the_money_and_nothing_else(fleet: list[Gpu]) -> None:
    """Money is linear in prices; verdicts do not depend on them."""
    once = {one.id: one for one in find(*fleet, nodes=NODES).recommendations}
    twice = find(*fleet, nodes=NODES, lists=table(2)).recommendations
    assert {one.id for one in twice} == set(once)
    for one in twice:
        single = once[one.id].saves
        assert one.saves
        assert single
        difference = one.saves.per_month.amount - 2 * single.per_month.amount
        assert abs(difference) < Decimal("1e-18")
