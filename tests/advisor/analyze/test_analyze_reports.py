"""Cost and efficiency: parts that add up, sharers counted once, unknown kept apart from zero."""

from __future__ import annotations

import random
from dataclasses import replace
from decimal import Decimal
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentaflow_advisor.analyze import IdleSettings, cost, efficiency
from agentaflow_advisor.analyze.cost import CostReport, CostRow
from agentaflow_advisor.model import Gpu, Held, Missing, Money, Node, Refusal, Snapshot, Usage
from agentaflow_advisor.price import NodeKey, NodePrice

DAY = 86_400.0
IDLE = Usage(0.0, 0.0, 5760, 15.0, DAY, 0.0)
BUSY = Usage(1.0, 0.9, 5760, 15.0, DAY, 0.6)
PRICE = NodePrice(
    "own", Money(Decimal(20)), Money(Decimal(10)), Money(Decimal(7)), assumed=False, how="own"
)
By = Literal["gpu", "node", "namespace"]


def gpu(index: int = 0, *held: Held, usage: Usage | None = BUSY, **changes: Any) -> Gpu:
    made = Gpu("c", "n", str(index), f"GPU-{index}", up=True, utilization=usage)
    return replace(made, **{"present_seconds": DAY, "held": held, **changes})


def look(*gpus: Gpu) -> Snapshot:
    return Snapshot(1_800_000_000.0, DAY, 0.99, gpus, (Node("c", "n", 2),))


def bill(
    *gpus: Gpu,
    by: By = "namespace",
    basis: Literal["whole", "residual"] = "whole",
    price: NodePrice | Refusal = PRICE,
) -> CostReport:
    prices: dict[NodeKey, NodePrice | Refusal] = {("c", "n"): price}
    return cost.report(look(*gpus), prices, IdleSettings(), by=by, basis=basis)


def dollars(row: CostRow) -> tuple[int, ...]:
    parts = (row.cost, row.used, row.idle, row.unallocated, row.unjudged)
    return tuple(int(part.amount) for part in parts)


def test_a_day_of_a_gpu_by_hand() -> None:
    """24 h at 10 USD, half of it held by research: 120 used, 120 unallocated."""
    report = bill(gpu(0, Held("research", DAY / 2)))
    rows = {row.name: dollars(row) for row in report.rows}
    assert rows == {"research": (120, 120, 0, 0, 0), "(none)": (120, 0, 0, 120, 0)}
    assert dollars(report.total) == (240, 120, 0, 120, 0)
    assert report.total.gpu_hours == 24


def test_idle_and_unjudged_parts() -> None:
    """A held GPU without work is idle cost; one without evidence is neither used nor idle."""
    held = Held("research", DAY)
    report = bill(gpu(0, held, usage=IDLE), gpu(1, held, usage=None))
    (row,) = report.rows
    assert dollars(row) == (480, 0, 240, 0, 240)


def test_the_residual_basis() -> None:
    """The GPU's own share, labelled as such."""
    report = bill(gpu(0, Held("research", DAY)), basis="residual")
    assert report.basis == "residual"
    assert report.total.cost == Money(Decimal(168))


def test_sharers_pay_for_one_gpu_together() -> None:
    """Two namespaces that share a GPU split its price; it is not paid twice."""
    report = bill(gpu(0, Held("a", DAY / 4), Held("b", DAY * 3 / 4)))
    assert [(row.name, int(row.cost.amount)) for row in report.rows] == [("b", 180), ("a", 60)]
    assert int(report.total.cost.amount) == 240


def test_what_works_outside_pods_is_used_and_not_unallocated() -> None:
    """A busy GPU without a pod has a user, though none that pods name."""
    report = bill(gpu(0, Held("a", DAY)), gpu(1))
    rows = {row.name: dollars(row) for row in report.rows}
    assert rows["(none)"] == (240, 240, 0, 0, 0)


def test_without_pod_attribution_nothing_is_called_unallocated() -> None:
    """Where no pod is known, the report says so instead of calling every GPU free."""
    report = bill(gpu(0, usage=IDLE), gpu(1, usage=None))
    assert dollars(report.total) == (480, 0, 240, 0, 240)
    (refusal,) = report.refusals
    assert "nothing is called unallocated" in refusal.reason


def test_hours_without_a_price_are_told() -> None:
    """They are in no amount, but in the hours, and the reason is passed on."""
    why = Refusal("node n", "no price: unknown")
    report = bill(gpu(0, Held("a", DAY)), price=why)
    assert report.total.cost.amount == 0
    assert report.total.unpriced_gpu_hours == report.total.gpu_hours == 24
    assert why in report.refusals


def test_a_gpu_that_was_there_for_an_hour_costs_an_hour() -> None:
    """Presence in the window is what is paid for, by whichever signal tells it."""
    there = gpu(0, usage=replace(BUSY, covered_seconds=7200.0))
    assert int(bill(replace(there, present_seconds=3600.0)).total.cost.amount) == 10
    assert int(bill(replace(there, present_seconds=None)).total.cost.amount) == 20
    assert int(bill(gpu(0, usage=None, present_seconds=None)).total.cost.amount) == 0


@pytest.mark.parametrize(("by", "name"), [("gpu", "n/3"), ("node", "n"), ("namespace", "a")])
def test_what_a_row_is_called(by: By, name: str) -> None:
    """By GPU, node or namespace."""
    (row,) = bill(gpu(3, Held("a", DAY)), by=by).rows
    assert (row.by, row.cluster, row.name) == (by, "c", name)


def test_assumed_prices_mark_their_rows() -> None:
    """A row that rests on an assumed price says so."""
    assert bill(gpu(), price=replace(PRICE, assumed=True)).rows[0].assumed
    assert not bill(gpu()).rows[0].assumed


usages = st.sampled_from([None, IDLE, BUSY])
seconds = st.floats(0, DAY)
helds = st.lists(
    st.builds(Held, st.sampled_from(["a", "b", "c"]), seconds),
    max_size=3,
    unique_by=lambda one: one.namespace,
)


def made(index: int, held: list[Held], usage: Usage | None, present: float) -> Gpu:
    return gpu(index, *held, usage=usage, present_seconds=present)


gpus = st.builds(
    made,
    st.integers(0, 9),
    helds,
    usages,
    seconds,
)
fleets = st.lists(gpus, max_size=6, unique_by=lambda one: one.uuid)


@given(fleets, st.sampled_from(["gpu", "node", "namespace"]))
def test_parts_add_up_and_grouping_moves_no_money(fleet: list[Gpu], by: By) -> None:
    """Rows sum to the total, parts to their row, hours to presence: nothing is lost or doubled."""
    report = bill(*fleet, by=by)
    cent = Decimal("0.000001")
    for row in (*report.rows, report.total):
        assert row.used + row.idle + row.unallocated + row.unjudged == row.cost
    total = sum((row.cost.amount for row in report.rows), Decimal(0))
    assert abs(total - report.total.cost.amount) < cent
    present = sum(one.present_seconds or 0 for one in fleet) / 3600
    assert float(report.total.gpu_hours) == pytest.approx(present, abs=0.01)


@given(fleets, st.randoms(use_true_random=False))
def test_reports_do_not_depend_on_the_order_of_gpus(fleet: list[Gpu], rng: random.Random) -> None:
    """A shuffled fleet has the same bill and the same efficiency."""
    shuffled = rng.sample(fleet, len(fleet))
    assert bill(*shuffled) == bill(*fleet)
    assert efficiency.report(look(*shuffled), by="namespace") == efficiency.report(
        look(*fleet), by="namespace"
    )


@given(fleets)
def test_doubled_prices_double_the_bill(fleet: list[Gpu]) -> None:
    """Money is linear in prices."""
    twice = replace(PRICE, per_gpu_hour_whole=PRICE.per_gpu_hour_whole * 2)
    doubled, once = bill(*fleet, price=twice).total, bill(*fleet).total
    assert abs(doubled.cost.amount - once.cost.amount * 2) < Decimal("1e-20")


def test_efficiency_of_a_node_by_hand() -> None:
    """Means weigh by hours, peaks are peaks, energy is summed into kWh."""
    told: dict[str, Any] = {
        "memory_total_bytes": 80e9,
        "power_mean_watts": 300.0,
        "energy_joules": 7.2e6,
    }
    full = gpu(0, memory_used_max_bytes=40e9, **told)
    half = replace(
        gpu(1, usage=replace(IDLE, high=0.1), memory_used_max_bytes=20e9, **told),
        present_seconds=DAY / 2,
        power_mean_watts=90.0,
    )
    (row,) = efficiency.report(look(full, half), by="node")
    assert (row.cluster, row.name, row.gpus, row.gpu_hours) == ("c", "n", 2, 36.0)
    assert row.utilization_mean == pytest.approx(0.4)
    assert row.utilization_high == 0.9
    assert row.memory_peak_ratio == pytest.approx((0.5 * 24 + 0.25 * 12) / 36)
    assert row.power_mean_watts == pytest.approx(230)
    assert row.energy_kwh == pytest.approx(4.0)
    assert row.unmeasured_gpus == 0


def test_efficiency_by_namespace_splits_energy_by_time() -> None:
    """Half the time is half the energy; the rest of the GPU's time is nobody's."""
    rows = efficiency.report(
        look(gpu(0, Held("a", DAY / 2), Held("b", DAY / 4), energy_joules=7.2e6)), by="namespace"
    )
    assert [(row.name, row.gpu_hours, row.energy_kwh) for row in rows] == [
        ("a", 12.0, 1.0),
        ("(none)", 6.0, 0.5),
        ("b", 6.0, 0.5),
    ]


def test_efficiency_of_what_was_not_measured_is_none() -> None:
    """No series is no zero."""
    (row,) = efficiency.report(look(gpu(0, usage=None)), by="gpu")
    assert (row.utilization_mean, row.utilization_high, row.memory_peak_ratio) == (None,) * 3
    assert (row.power_mean_watts, row.energy_kwh, row.unmeasured_gpus) == (None, None, 1)


def test_work_beside_what_was_held_and_what_it_took() -> None:
    """24 h held at 25 % SM activity are 6 SM hours; 12 kWh for them are 2 kWh an hour."""
    told = {"sm_active_mean": 0.25, "tensor_active_mean": 0.1}
    one = gpu(0, Held("research", DAY), measures=told, energy_joules=12 * 3.6e6)
    blind = gpu(1, Held("research", DAY), energy_joules=99 * 3.6e6)
    (row,) = efficiency.report(look(one, blind), by="namespace")
    assert row.gpu_hours == 48
    assert row.sm_active_mean == 0.25
    assert row.sm_active_hours == pytest.approx(6.0)
    assert row.tensor_active_hours == pytest.approx(2.4)
    assert row.kwh_per_sm_active_hour == pytest.approx(2.0)
    assert row.kwh_per_tensor_active_hour == pytest.approx(5.0)
    assert row.unprofiled_gpus == 1


@pytest.mark.parametrize(
    ("changes", "hours"),
    [
        ({}, None),
        ({"measures": {"sm_active_mean": 0.0}, "energy_joules": 1e6}, 0.0),
        ({"measures": {"sm_active_mean": 0.5}}, 12.0),
    ],
)
def test_no_work_per_energy_where_a_part_is_missing(
    changes: dict[str, Any], hours: float | None
) -> None:
    """Not told is not 0, and no work at all has no ratio."""
    (row,) = efficiency.report(look(gpu(0, **changes)), by="node")
    assert row.sm_active_hours == hours
    assert row.kwh_per_sm_active_hour is None


@pytest.mark.parametrize("usage", [IDLE, BUSY, None])
@pytest.mark.parametrize("held", [(), (Held("research", DAY / 2),)])
def test_a_cluster_that_was_not_told_whole_is_neither_idle_nor_unallocated(
    usage: Usage | None, held: tuple[Held, ...]
) -> None:
    """All that was seen of it is unjudged; another cluster's bill is as ever."""
    lost = gpu(0, *held, usage=usage)
    whole = replace(gpu(0, Held("research", DAY / 2), usage=IDLE), cluster="d")
    snapshot = replace(look(lost, whole), missing=Missing({"c": "a partial response"}))
    prices: dict[NodeKey, NodePrice | Refusal] = {("c", "n"): PRICE, ("d", "n"): PRICE}
    told = cost.report(snapshot, prices, IdleSettings(), by="cluster")
    rows = {row.name: row for row in told.rows}
    assert rows["c"].unjudged == rows["c"].cost == Money(Decimal(240))
    assert rows["d"].idle == rows["d"].unallocated == Money(Decimal(120))
    assert told.refusals == ()
    assert {row.cluster for row in efficiency.report(snapshot, by="gpu")} == {"d"}
