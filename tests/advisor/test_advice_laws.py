"""Laws that hold for all analyses together, whatever the fleet: missing data, money, order."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agentaflow_advisor.advice import Advice, advise
from agentaflow_advisor.configuration import load
from agentaflow_advisor.model import Gpu, Held, Node, PodRef, Saving, Snapshot, Usage, Workload
from agentaflow_advisor.observe.signals import MEASURES
from agentaflow_advisor.price import NodePrice, PriceTable, ResidualRates, Terms
from agentaflow_advisor.price.pricelist import PriceList
from agentaflow_advisor.price.tablefile import read
from agentaflow_advisor.price.terms import Discount
from agentaflow_advisor.savings import saved
from tests.support.fleet import GIB, node, running_pod, snapshot

WEEK = 604_800.0
SETTINGS = load()
H100 = "NVIDIA H100 80GB HBM3"
ON_USE = ("idle", "unallocated", "forgotten", "smaller", "mig", "share", "thermal", "power")
"""How the kinds begin that say how much, or how little, a GPU worked."""


def prices(
    times: int = 1,
    node_hour: Decimal = Decimal(80),
    small_hour: Decimal = Decimal(2),
    terms: Terms | None = None,
) -> PriceTable:
    rows = (
        f"p5.48xlarge,h100,8,81920,192,2048,{node_hour * times}",
        f"g6e.xlarge,l40s,1,45776,4,32,{small_hour * times}",
    )
    head = "# provider: AWS\n# region: r\n# date: 2026-11-01\n"
    columns = "instance,gpu,gpus,gpu_mem_mib_each,vcpu,ram_gib,ondemand_usd_h\n"
    rates = ResidualRates(Decimal(".02") * times, Decimal(".002") * times)
    text = head + columns + "\n".join(rows)
    return PriceTable([PriceList(read(Path("prices.csv"), text))], rates, terms)


ratios = st.sampled_from([0.0, 0.01, 0.05, 0.3, 0.99, 1.0])
usages = st.builds(
    lambda low, high, samples, age: Usage(
        max(low, high), high, samples, age, WEEK if samples > 1000 else 3600.0, min(low, high)
    ),
    ratios,
    ratios,
    st.sampled_from([1, 10_000, 40_000]),
    st.sampled_from([15.0, 15.0, 9000.0]),
)
measures = st.dictionaries(
    st.sampled_from(sorted(MEASURES)), st.sampled_from([0.0, 0.2, 1.0, 16.0]), max_size=6
)
counts: st.SearchStrategy[Mapping[str, Mapping[str, float]]] = st.fixed_dictionaries(
    {},
    optional={
        "throttled_seconds": st.dictionaries(
            st.sampled_from(["hw_thermal_slowdown", "sw_power_cap"]), st.floats(0, WEEK), max_size=2
        ),
        "xids": st.dictionaries(st.sampled_from(["13", "79"]), st.just(2.0), max_size=2),
    },
)


@st.composite
def cards(draw: st.DrawFn, place: str, index: int) -> Gpu:
    pod = draw(st.sampled_from([None, f"pod-{place}-{index}"]))
    seconds = draw(st.sampled_from([60.0, WEEK]))
    return Gpu(
        "",
        place,
        str(index),
        f"GPU-{place}-{index}",
        model=H100,
        up=draw(st.sampled_from([True, True, True, False, None])),
        memory_total_bytes=80 * GIB,
        memory_used_max_bytes=draw(st.sampled_from([None, 0.0, 4 * GIB, 60 * GIB])),
        utilization=draw(st.one_of(usages, st.none())),
        processes=draw(st.sampled_from([None, 0, 1])),
        pods=(PodRef("research", pod),) if pod else (),
        present_seconds=draw(st.sampled_from([None, WEEK])),
        held=(Held("research", seconds),) if pod else (),
        measures=draw(measures),
        counts=draw(counts),
    )


@st.composite
def looks(draw: st.DrawFn) -> Snapshot:
    places = draw(st.lists(st.sampled_from("abc"), unique=True, max_size=3))
    gpus = [
        draw(cards(place, index)) for place in places for index in range(draw(st.integers(0, 4)))
    ]
    nodes: list[Node] = [node(place, labels=_type()) for place in places]
    pods: list[Workload] = [
        running_pod(gpu.pods[0].name, gpu.node, created_at=1.0) for gpu in gpus if gpu.pods
    ]
    pods += [
        running_pod(f"web-{place}", place, gpus=0, cpu_cores=draw(st.sampled_from([1.0, 63.0])))
        for place in places
    ]
    return snapshot(nodes, pods, gpus)


def _type() -> dict[str, str]:
    return {"node.kubernetes.io/instance-type": "p5.48xlarge"}


def say(seen: Snapshot, **changes: Any) -> Advice:
    return advise(SETTINGS, replace(seen, **changes), prices())


def together(advice: Advice) -> Decimal:
    return sum((each.amount for each in saved(advice.recommendations)), Decimal(0))


@given(looks(), st.randoms(use_true_random=False))
def test_the_order_of_the_input_changes_nothing(seen: Snapshot, rng: random.Random) -> None:
    """GPUs, nodes and pods may come in any order."""
    shuffled = {
        name: tuple(rng.sample(getattr(seen, name), len(getattr(seen, name))))
        for name in ("gpus", "nodes", "workloads")
    }
    one, two = say(seen), say(seen, **shuffled)
    assert one.recommendations == two.recommendations
    assert one.refusals == two.refusals


@given(looks())
def test_together_they_never_save_more_than_the_nodes_cost(seen: Snapshot) -> None:
    """Nor does any one of them save more than its own node, or the fleet, where it names none."""
    advice = say(seen)
    cost = {
        key: price.per_hour.amount * 730
        for key, price in advice.prices.items()
        if isinstance(price, NodePrice)
    }
    whole = sum(cost.values(), Decimal(0))
    for one in advice.recommendations:
        if one.saves:
            most = cost[one.where.cluster, one.where.node] if one.where.node else whole
            assert 0 <= one.saves.per_month.amount <= most
    assert together(advice) <= whole


@given(looks())
def test_doubled_prices_double_the_money_and_change_no_verdict(seen: Snapshot) -> None:
    """The same ids, each with twice the saving, and twice the sum."""
    one, two = advise(SETTINGS, seen, prices()), advise(SETTINGS, seen, prices(2))
    assert {each.id for each in one.recommendations} == {each.id for each in two.recommendations}
    once = {each.id: each.saves.per_month.amount for each in one.recommendations if each.saves}
    twice = {each.id: each.saves.per_month.amount for each in two.recommendations if each.saves}
    assert set(once) == set(twice)
    assert all(abs(twice[each] - 2 * once[each]) < Decimal("1e-12") for each in once)
    assert abs(together(two) - 2 * together(one)) < Decimal("1e-12")


@given(looks())
def test_nothing_is_said_about_use_that_nobody_measured(seen: Snapshot) -> None:
    """Without utilization, activity and clocks no GPU is idle, too large or held down."""
    blind = tuple(replace(gpu, utilization=None, measures={}, counts={}) for gpu in seen.gpus)
    kinds = {each.kind for each in say(seen, gpus=blind).recommendations}
    assert not {kind for kind in kinds if kind.startswith(ON_USE)} - {"forgotten-process"}


@given(looks())
def test_a_fleet_that_tells_nothing_gets_no_advice(seen: Snapshot) -> None:
    """GPUs that are known by name alone are refused, one by one."""
    bare = tuple(Gpu(gpu.cluster, gpu.node, gpu.index, gpu.uuid) for gpu in seen.gpus)
    assert say(seen, gpus=bare, workloads=()).recommendations == ()


COUNTED = ("idle", "unallocated", "forgotten", "ended", "stranded", "share", "smaller", "mig")
"""How the kinds begin whose formula names all that it multiplies."""
WORD = re.compile(r"[a-z_]*[a-z][a-z_]*")


def counted_again(saving: Saving) -> Decimal:
    """The formula with the inputs as they are printed."""
    inputs = {
        name: text.split()[0].replace(",", "") for name, text in saving.inputs.items() if text
    }
    text = re.sub(r"\b([\d.]+) h\b", r"\1", saving.formula.partition(";")[0])
    python = WORD.sub(
        lambda found: "*" if found[0] == "x" else f"Decimal('{inputs[found[0]]}')", text
    )
    result: Decimal = eval(python, {"Decimal": Decimal}, {})  # noqa: S307
    return result


awkward = st.decimals("0.5", 120, places=4)


@given(looks(), awkward, awkward, st.decimals("0.3", 1, places=3))
def test_a_formula_on_its_printed_inputs_gives_the_printed_saving(
    seen: Snapshot, node_hour: Decimal, small_hour: Decimal, factor: Decimal
) -> None:
    """To the cent, whatever digits the prices and discounts have."""
    terms = Terms(discounts=(Discount("deal", "negotiated", factor),))
    table = prices(1, node_hour, small_hour, terms)
    for one in advise(SETTINGS, seen, table).recommendations:
        if one.saves and one.kind.startswith(COUNTED):
            difference = counted_again(one.saves) - one.saves.per_month.amount
            assert abs(difference) < Decimal("0.005"), one
