"""What recommendations save together: no euro twice, in whatever way they overlap."""

from __future__ import annotations

import random
from dataclasses import dataclass
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from agentaflow_advisor.model import Money, Recommendation, Where
from agentaflow_advisor.savings import saved, totals
from tests.support.advice import about, recommendation


def amounts(*found: Recommendation) -> tuple[str, ...]:
    return tuple(str(money.amount) for money in saved(found))


def test_what_overlaps_is_saved_once() -> None:
    """Two about one GPU are one saving, and a node's stands in for its GPUs'."""
    one, same = about("10", node="a", uuid="1"), about("7", node="a", uuid="1")
    other, whole = about("5", node="a", uuid="2"), about("12", node="a")
    assert amounts(one, same) == ("10",)
    assert amounts(one, same, other, whole) == ("15",)
    assert amounts(one, whole) == ("12",)
    assert saved([]) == ()


def test_a_pod_and_the_gpu_that_it_holds_are_one_saving() -> None:
    """A right-sizing of the pod and the idle GPU under it do not add up; another GPU does."""
    pod = {"node": "a", "namespace": "ml", "pod": "train"}
    idle, smaller = about("10", uuid="1", **pod), about("8", **pod)
    other = about("5", node="a", uuid="2", namespace="ml", pod="chat")
    assert amounts(idle, smaller) == ("10",)
    assert amounts(idle, smaller, other) == ("15",)
    assert amounts(idle, about("8", namespace="ml", pod="train")) == ("10",)  # no node is said


def test_a_cluster_and_a_fleet_stand_in_for_what_is_below() -> None:
    """A saving on all of it and savings on parts of it: the larger side counts."""
    parts = [about("10", cluster=name, node="a", uuid=name) for name in "xy"]
    assert amounts(*parts) == ("20",)
    assert amounts(*parts, about("15", cluster="x")) == ("25",)
    assert amounts(*parts, about("30")) == ("30",)
    assert amounts(*parts, about("15")) == ("20",)
    assert amounts(*parts, about("12", cluster="x", namespace="ml")) == ("22",)


def test_currencies_do_not_mix() -> None:
    """One sum for each, in the order of their names."""
    found = [about("10", uuid="1"), about("7", "EUR", uuid="1")]
    assert saved(found) == (Money(Decimal(7), "EUR"), Money(Decimal(10), "USD"))


def test_totals_are_by_kind() -> None:
    """Each kind with its number and its own sum."""
    found = [recommendation("1"), recommendation("2"), recommendation("1", kind="zombie")]
    assert [(each.kind, each.recommendations) for each in totals(found)] == [
        ("idle-gpu", 2),
        ("zombie", 1),
    ]


# -- laws on a fleet whose bill is known ------------------------------------------------------


@dataclass(frozen=True)
class Card:
    """One GPU with what it costs; its pods share it."""

    cluster: str
    node: str
    uuid: str
    cost: int
    pods: tuple[str, ...]


@st.composite
def fleets(draw: st.DrawFn) -> tuple[Card, ...]:
    """A pod has GPUs on one node only; a GPU has no pod, one, or two."""
    places = draw(st.lists(st.sampled_from(["a", "b", "xa", "xb"]), min_size=1, max_size=6))
    cards = []
    for number, place in enumerate(places):
        cluster, node = place[:-1], place[-1]
        names = draw(st.lists(st.sampled_from("pq"), unique=True))
        pods = tuple(f"{place}-{name}" for name in names)
        cards.append(Card(cluster, node, f"GPU-{number}", draw(st.integers(1, 100)), pods))
    return tuple(cards)


@st.composite
def found_on(draw: st.DrawFn, fleet: tuple[Card, ...]) -> Recommendation:
    """One about a GPU, a pod, a node, a namespace, a cluster or all, saving what it may at most."""
    card = draw(st.sampled_from(fleet))
    level = draw(st.sampled_from(["gpu", "pod", "node", "namespace", "cluster", "fleet"]))
    cost = Decimal(0)
    if level == "gpu":
        pod = card.pods[0] if len(card.pods) == 1 else ""
        where = Where(card.cluster, card.node, "", card.uuid, "ml" if pod else "", pod)
        cost = Decimal(card.cost)
    elif level == "pod" and card.pods:
        pod = draw(st.sampled_from(card.pods))
        node = card.node if draw(st.booleans()) else ""
        where = Where(card.cluster, node, namespace="ml", pod=pod)
        shares = (Decimal(each.cost) / len(each.pods) for each in fleet if pod in each.pods)
        cost = sum(shares, Decimal(0))
    else:
        cluster = "" if level == "fleet" else card.cluster
        node = card.node if level == "node" else ""
        where = Where(cluster, node, namespace="ml" if level == "namespace" else "")
        several = len({each.cluster for each in fleet}) > 1
        inside = [
            each
            for each in fleet
            if (each.cluster == cluster or (not cluster and not node and several))
            and (not node or each.node == node)
            and (level != "namespace" or each.pods)
        ]
        cost = Decimal(sum(each.cost for each in inside))
    part = Decimal(draw(st.integers(0, 100))) / 100
    return about(str(cost * part), **{n: getattr(where, n) for n in Where.__slots__})


@given(st.data())
def test_savings_never_exceed_the_bill_they_come_from(data: st.DataObject) -> None:
    """Each saves at most what its GPUs cost; then all together save at most what all GPUs cost."""
    fleet = data.draw(fleets())
    found = data.draw(st.lists(found_on(fleet), max_size=12))
    bill = sum(card.cost for card in fleet)
    for total in saved(found):
        assert total.amount <= bill + Decimal("1e-20")  # thirds of a price are not exact


@given(st.data(), st.randoms(use_true_random=False))
def test_sums_lie_between_the_largest_and_all_and_know_no_order(
    data: st.DataObject, rng: random.Random
) -> None:
    """Taking overlaps out lowers the sum, never below the largest; shuffling changes nothing."""
    fleet = data.draw(fleets())
    found = data.draw(st.lists(found_on(fleet), min_size=1, max_size=12))
    (total,) = saved(found)
    each = [one.saves.per_month.amount for one in found if one.saves]
    assert max(each) <= total.amount <= sum(each)
    shuffled = list(found)
    rng.shuffle(shuffled)
    (again,) = saved(shuffled)
    assert abs(again.amount - total.amount) < Decimal("1e-20")


@given(st.data())
def test_one_more_recommendation_never_lowers_the_sum(data: st.DataObject) -> None:
    """Finding more cannot save less."""
    fleet = data.draw(fleets())
    found = data.draw(st.lists(found_on(fleet), min_size=1, max_size=8))
    more = [*found, data.draw(found_on(fleet))]
    assert saved(more)[0].amount >= saved(found)[0].amount
