"""Cost by pod, workload, team and cluster; slices, energy and the exact laws of adding up."""

from __future__ import annotations

import random
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentaflow_advisor.analyze import IdleSettings, cost
from agentaflow_advisor.analyze.cost import By, CostReport
from agentaflow_advisor.analyze.energy import EnergyRates
from agentaflow_advisor.analyze.explanation import explain
from agentaflow_advisor.analyze.sharers import Sharers
from agentaflow_advisor.model import (
    CurrencyMismatch,
    Gpu,
    Held,
    Money,
    Node,
    Snapshot,
    Usage,
    Workload,
)
from agentaflow_advisor.price import NodeKey, NodePrice, Terms

DAY = 86_400.0
GIB = 2.0**30
IDLE = Usage(0.0, 0.0, 5760, 15.0, DAY, 0.0)
BUSY = Usage(1.0, 0.9, 5760, 15.0, DAY, 0.6)
EVERY_BY: tuple[By, ...] = ("gpu", "node", "pod", "workload", "namespace", "team", "cluster")


def price(amount: str = "10", currency: str = "USD") -> NodePrice:
    each = Money(Decimal(amount), currency)
    return NodePrice("own", each * 8, each, each, assumed=False, how=f"own {amount}")


def gpu(index: int, *held: Held, usage: Usage | None = BUSY, node: str = "n", **more: Any) -> Gpu:
    made = Gpu("c", node, str(index), f"GPU-{node}-{index}", up=True, utilization=usage)
    return replace(made, **{"present_seconds": DAY, "held": held, **more})


def look(*gpus: Gpu, **more: Any) -> Snapshot:
    made = Snapshot(1_800_000_000.0, DAY, 0.99, gpus, (Node("c", "n", 2),))
    return replace(made, **more)


def bill(snapshot: Snapshot, by: By, **more: Any) -> CostReport:
    prices: dict[NodeKey, Any] = {("c", "n"): price(), ("c", "m"): price("3.333333333333333333")}
    return cost.report(snapshot, more.pop("prices", prices), IdleSettings(), by=by, **more)


def named(report: CostReport) -> dict[str, int]:
    return {row.name: round(row.cost.amount) for row in report.rows}


def test_pods_have_rows_of_their_own_once_they_are_told() -> None:
    """Half a day each, the rest of the GPU in no pod."""
    half = DAY / 2
    snapshot = look(gpu(0, Held("a", half, "x"), Held("a", half / 2, "y")))
    assert named(bill(snapshot, "pod")) == {"a/x": 120, "a/y": 60, "(none)": 60}
    assert bill(snapshot, "pod").refusals == ()


def test_pods_that_are_not_told_are_not_made_up() -> None:
    """Rows by namespace, and a line that says why."""
    report = bill(look(gpu(0, Held("a", DAY))), "pod")
    assert named(report) == {"a/(pod unknown)": 240}
    assert "only its namespace" in report.refusals[0].reason


def test_workloads_by_their_owner() -> None:
    """Two pods of a Deployment are one row, whatever ReplicaSet made them; a bare pod is itself."""
    pods = [
        Workload(
            "a",
            f"chat-{n}",
            "u",
            "1",
            owner=f"ReplicaSet/chat-{revision}",
            labels={"pod-template-hash": revision},
        )
        for n, revision in ((1, "5d9"), (2, "7c4"))
    ]
    pods.append(Workload("a", "train-0", "u", "1", owner="Job/train"))
    quarter = DAY / 4
    held = (Held("a", quarter, name) for name in ("chat-1", "chat-2", "train-0", "gone"))
    report = bill(look(gpu(0, *held), workloads=tuple(pods)), "workload")
    assert named(report) == {"a/Deployment/chat": 120, "a/Job/train": 60, "a/Pod/gone": 60}


def test_teams_by_the_cost_file_then_by_the_namespaces_label() -> None:
    """A list wins over a label; who is in neither has no team."""
    quarter = DAY / 4
    snapshot = look(
        gpu(0, *(Held(n, quarter) for n in ("cv-1", "web", "none"))),
        namespaces={"cv-1": {"team": "other"}, "web": {"team": "front"}},
    )
    report = bill(snapshot, "team", terms=Terms(teams={"vision": ("cv-*",)}), team_label="team")
    assert named(report) == {"vision": 60, "front": 60, "(no team)": 60, "(none)": 60}


def test_a_cluster_is_one_row() -> None:
    """Each cluster apart, one without a label by that name."""
    report = bill(
        look(gpu(0, Held("a", DAY)), replace(gpu(1, Held("a", DAY)), cluster="")), "cluster"
    )
    assert {row.name for row in report.rows} == {"c", "(no cluster label)"}


def test_mig_slices_pay_for_their_part() -> None:
    """A 3g.40gb is half of an 80 GB GPU, a 1g.10gb a seventh; the rest is unallocated."""
    held = (Held("a", DAY, "x", "3g.40gb"), Held("b", DAY, "y", "1g.10gb"))
    report = bill(look(gpu(0, *held, memory_total_bytes=80 * GIB)), "namespace")
    assert named(report) == {"a": 120, "b": 34, "(none)": 86}
    assert report.total.cost == Money(Decimal(240))


def test_slices_that_claim_more_than_the_gpu_are_scaled_down() -> None:
    """4g and 3g of 40 GB claim 4/7 and 1/2; together they pay for one GPU."""
    held = (Held("a", DAY, "x", "4g.40gb"), Held("b", DAY, "y", "3g.40gb"))
    report = bill(look(gpu(0, *held, memory_total_bytes=80 * GIB)), "namespace")
    assert named(report) == {"a": 128, "b": 112}


def sharing(use: dict[tuple[str, str], float]) -> Sharers:
    return Sharers(frozenset({("c", "GPU-n-0")}), {("c", "GPU-n-0"): use})


def parts(report: CostReport) -> dict[str, tuple[int, int]]:
    return {row.name: (round(row.used.amount), round(row.idle.amount)) for row in report.rows}


TWO = (Held("a", DAY / 2, "x"), Held("b", DAY / 2, "y"))
"""Two pods shared a GPU for a day, 240 USD, that was in use for 60 % of it."""


def test_sharers_pay_for_what_each_used_and_evenly_for_what_nobody_did() -> None:
    """One did three quarters of the work; of the idle 40 % each pays a half."""
    use = {("a", "x"): 0.45, ("b", "y"): 0.15}
    report = bill(look(gpu(0, *TWO)), "pod", sharers=sharing(use))
    assert parts(report) == {"a/x": (108, 48), "b/y": (36, 48)}
    assert report.refusals == ()


def test_a_sharer_that_did_nothing_has_no_part_in_use() -> None:
    """Its half of the idle time is all that it pays, by namespace as well."""
    report = bill(look(gpu(0, *TWO)), "namespace", sharers=sharing({("a", "x"): 0.6}))
    assert parts(report) == {"a": (144, 48), "b": (0, 48)}


def test_without_each_ones_use_sharers_split_evenly_and_that_is_said() -> None:
    """Use and idle time of the whole GPU, each a half."""
    report = bill(look(gpu(0, *TWO)), "namespace", sharers=sharing({}))
    assert parts(report) == {"a": (72, 48), "b": (72, 48)}
    (refusal,) = report.refusals
    assert "split evenly" in refusal.reason


def test_pods_that_followed_one_another_did_not_share() -> None:
    """Each held it alone for half a day: all of that is used, whatever the measured use was."""
    report = bill(look(gpu(0, *TWO)), "namespace", sharers=Sharers())
    assert parts(report) == {"a": (120, 0), "b": (120, 0)}


def test_energy_by_hand() -> None:
    """12 kWh, half of it held, at PUE 1.5: 18 kWh, 5.40 in money, 7.2 kg; the free half is idle."""
    rates = EnergyRates(Decimal("0.3"), Decimal(400), Decimal("1.5"))
    snapshot = look(gpu(0, Held("a", DAY / 2), energy_joules=43.2e6), gpu(1, Held("a", DAY)))
    report = bill(snapshot, "namespace", energy=rates)
    total = report.total.energy
    assert (total.kwh, total.idle_kwh) == (Decimal(18), Decimal(9))
    assert total.cost == Money(Decimal("5.4"))
    assert total.kg_co2e == Decimal("7.2")
    assert total.unmeasured_gpu_hours == 24
    assert report.total.cost == Money(Decimal(480)), "energy is beside the cost, never in it"


def test_energy_that_was_not_told_is_none() -> None:
    """No series is no zero; without a tariff there is no money."""
    assert bill(look(gpu(0)), "gpu").total.energy.kwh is None
    told = bill(look(gpu(0, energy_joules=3.6e6)), "gpu").total.energy
    assert (told.kwh, told.cost, told.kg_co2e) == (Decimal(1), None, None)


def test_currencies_are_never_added() -> None:
    """Prices in two currencies are an error, not a sum."""
    prices = {("c", "n"): price(), ("c", "m"): price("3", "EUR")}
    with pytest.raises(CurrencyMismatch):
        bill(look(gpu(0), gpu(0, node="m")), "node", prices=prices)


seconds = st.floats(0, DAY)
helds = st.lists(
    st.builds(
        Held,
        st.sampled_from(["a", "b", "c"]),
        seconds,
        st.sampled_from(["", "x", "y"]),
        st.sampled_from(["", "", "1g.10gb", "3g.40gb", "4g.40gb"]),
    ),
    max_size=4,
    unique_by=lambda one: (one.namespace, one.pod),
)
gpus = st.builds(
    lambda index, node, held, usage, present, joules: gpu(
        index,
        *held,
        usage=usage,
        node=node,
        present_seconds=present,
        energy_joules=joules,
        memory_total_bytes=80 * GIB,
    ),
    st.integers(0, 9),
    st.sampled_from(["n", "m", "unpriced"]),
    helds,
    st.sampled_from([None, IDLE, BUSY]),
    seconds,
    st.none() | st.floats(0, 1e9),
)
fleets = st.lists(gpus, max_size=6, unique_by=lambda one: one.uuid)
bys = st.sampled_from(EVERY_BY)
RATES = EnergyRates(Decimal("0.2971"), Decimal("381.5"), Decimal("1.13"))


everyone = st.dictionaries(
    st.tuples(st.sampled_from(["a", "b", "c"]), st.sampled_from(["", "x", "y"])), st.floats(0, 1e6)
)


@given(fleets, bys, everyone)
def test_rows_add_up_to_the_total_to_the_last_digit(
    fleet: list[Gpu], by: By, use: dict[tuple[str, str], float]
) -> None:
    """Parts to rows, rows to the total, hours to the time the GPUs were there; so does energy."""
    keys = [(one.cluster, one.uuid) for one in fleet]
    sharers = Sharers(frozenset(keys), dict.fromkeys(keys, use))
    report = bill(look(*fleet), by, energy=RATES, sharers=sharers)
    with_total = (*report.rows, report.total)
    for row in with_total:
        assert row.used.amount + row.idle.amount + row.unallocated.amount + row.unjudged.amount == (
            row.cost.amount
        )
    assert sum((row.cost.amount for row in report.rows), Decimal(0)) == report.total.cost.amount
    assert sum((row.gpu_hours for row in report.rows), Decimal(0)) == report.total.gpu_hours
    told = [row.energy.kwh for row in report.rows if row.energy.kwh is not None]
    assert sum(told, Decimal(0)) == (report.total.energy.kwh or 0)
    there = sum(one.present_seconds or 0 for one in fleet) / 3600
    assert float(report.total.gpu_hours) == pytest.approx(there, abs=1e-4)


@given(fleets, bys)
def test_grouping_moves_no_money(fleet: list[Gpu], by: By) -> None:
    """Whatever a row is about, the total is the same to the digit."""
    assert replace(bill(look(*fleet), by).total, by="gpu") == bill(look(*fleet), "gpu").total


@given(fleets, bys, st.randoms(use_true_random=False))
def test_the_order_of_gpus_and_holders_does_not_matter(
    fleet: list[Gpu], by: By, rng: random.Random
) -> None:
    """A shuffled fleet has the same bill, row by row."""
    mixed = [replace(one, held=tuple(rng.sample(one.held, len(one.held)))) for one in fleet]
    shuffled = bill(look(*rng.sample(mixed, len(mixed))), by, energy=RATES)
    assert shuffled.rows == bill(look(*fleet), by, energy=RATES).rows


@given(fleets, bys, st.decimals("0.0001", 500, places=4))
def test_doubled_prices_double_every_amount(fleet: list[Gpu], by: By, hour: Decimal) -> None:
    """Exactly, and nobody's hours change."""
    once = bill(look(*fleet), by, prices={("c", "n"): price(str(hour))})
    twice = bill(look(*fleet), by, prices={("c", "n"): price(str(hour * 2))})
    assert twice.total.cost.amount == once.total.cost.amount * 2
    assert twice.total.idle.amount == once.total.idle.amount * 2
    assert twice.total.gpu_hours == once.total.gpu_hours


@given(fleets, bys)
def test_an_explanation_adds_up_to_its_row(fleet: list[Gpu], by: By) -> None:
    """Each term is hours times a rate, and the terms are the cost to the digit."""
    report = bill(look(*fleet), by)
    for row, found in zip(report.rows, explain(report), strict=True):
        assert (row.cluster, row.name) == (found.cluster, found.name)
        assert sum((term.amount.amount for term in found.terms), Decimal(0)) == row.cost.amount
        hours = sum((term.gpu_hours for term in found.terms), Decimal(0))
        assert hours + found.unpriced_gpu_hours == row.gpu_hours
