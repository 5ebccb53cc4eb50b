"""MIG slices, published peaks and alternatives: exact tables, and the terms of the node itself."""

from __future__ import annotations

from decimal import Decimal

import pytest

from agentaflow_advisor.model import Node
from agentaflow_advisor.price import NodePrice, PriceTable, Terms
from agentaflow_advisor.price.peaks import PEAKS, slowdown
from agentaflow_advisor.price.slices import SLICES, share, slices_of
from agentaflow_advisor.price.terms import Discount, Selector


@pytest.mark.parametrize(
    ("model", "profiles"),
    [
        ("NVIDIA A30", ["1g.6gb", "2g.12gb"]),
        ("NVIDIA A100-SXM4-40GB", ["1g.5gb", "1g.10gb", "2g.10gb", "3g.20gb", "4g.20gb"]),
        ("NVIDIA H100 80GB HBM3", ["1g.10gb", "1g.20gb", "2g.20gb", "3g.40gb", "4g.40gb"]),
        ("NVIDIA H200", ["1g.18gb", "1g.35gb", "2g.35gb", "3g.71gb", "4g.71gb"]),
        ("NVIDIA B200", ["1g.23gb", "1g.45gb", "2g.45gb", "3g.90gb", "4g.90gb"]),
        ("NVIDIA RTX A1000", []),
        ("NVIDIA L40S", []),
    ],
)
def test_slices_by_product(model: str, profiles: list[str]) -> None:
    """As NVIDIA's guide lists them, from the smallest; none for what cannot be cut."""
    assert [each.profile for each in slices_of(model)] == profiles


@pytest.mark.parametrize(
    ("profile", "total", "part"),
    [
        ("1g.10gb", 80 * 2**30, Decimal(1) / 7),
        ("1g.20gb", 80 * 2**30, Decimal("0.25")),
        ("3g.40gb", 80 * 2**30, Decimal("0.5")),
        ("4g.40gb", 80 * 2**30, Decimal(4) / 7),
        ("7g.80gb", 80 * 2**30, Decimal(1)),
        ("1g.5gb", 40 * 2**30, Decimal(1) / 7),
        ("1g.10gb+me", 80 * 2**30, Decimal(1) / 7),
        ("1c.3g.40gb", 80 * 2**30, Decimal("0.5")),
        ("1g.18gb", 141 * 2**30, Decimal(1) / 7),
    ],
)
def test_a_slice_of_an_unknown_product_is_told_by_its_gigabytes(
    profile: str, total: float, part: Decimal
) -> None:
    """Its compute in sevenths or its memory in eighths, whichever is more."""
    assert share(profile, "NVIDIA H900", total) == part
    assert share(profile, None, total) == part


@pytest.mark.parametrize(
    ("profile", "model", "part"),
    [
        ("2g.12gb", "NVIDIA A30", Decimal("0.5")),
        ("4g.24gb", "NVIDIA A30", Decimal(1)),
        ("1g.24gb", "NVIDIA RTX PRO 6000 Blackwell Server Edition", Decimal("0.25")),
        ("1c.3g.71gb", "NVIDIA H200", Decimal("0.5")),
    ],
)
def test_a_slice_of_a_known_product_is_told_by_its_table(
    profile: str, model: str, part: Decimal
) -> None:
    """Whatever its memory, which DCGM does not tell of a GPU that is cut; an A30 is cut in four."""
    assert share(profile, model, None) == part


@pytest.mark.parametrize(("profile", "total"), [("", 1e11), ("big", 1e11), ("1g.10gb", None)])
def test_a_slice_that_is_not_understood_has_no_share(profile: str, total: float | None) -> None:
    """None, rather than a guess."""
    assert share(profile, None, total) is None


def test_no_slice_is_the_whole_gpu() -> None:
    """And every one has some of both."""
    for each in (one for found in SLICES.values() for one in found):
        assert 0 < each.compute < 1
        assert 0 < each.memory < 1


def test_the_worse_peak_counts() -> None:
    """An H100 has 11 times an L4's bandwidth and 8 times its tensor throughput."""
    h100, l4 = PEAKS["h100", 81_920], PEAKS["l4", 22_888]
    assert slowdown(h100, l4) == pytest.approx(3350 / 300)
    assert slowdown(l4, h100) == 1.0


NODE = Node("c", "n", 1, labels={"node.kubernetes.io/instance-type": "p5.4xlarge"})


def price(table: PriceTable, node: Node) -> NodePrice:
    found = table.price(node, "NVIDIA H100 80GB HBM3", 1)
    assert isinstance(found, NodePrice)
    return found


def test_alternatives_are_of_the_same_list_and_size() -> None:
    """A node on AWS is not moved to GCP, and one GPU is one GPU."""
    table = PriceTable.load()
    now = price(table, NODE)
    found = table.alternatives(NODE, now, 1)
    assert {each.price.source for each in found} == {now.source}
    assert {each.row.gpus for each in found} == {1}
    by_type = {each.row.instance_type: each.price.per_hour.amount for each in found}
    assert by_type["g6.xlarge"] == Decimal("0.8048")


def test_alternatives_have_their_own_discounts() -> None:
    """What is agreed for H100 does not hold for the L4 that would take its place."""
    half = Discount("deal", "negotiated", Decimal(".5"), where=Selector(gpu="h100"))
    table = PriceTable.load(terms=Terms(discounts=(half,)))
    now = price(table, NODE)
    found = {each.row.instance_type: each.price for each in table.alternatives(NODE, now, 1)}
    assert found["g6.xlarge"].per_hour.amount == Decimal("0.8048")
    assert found["p5.4xlarge"].per_hour == now.per_hour


def test_a_price_of_your_own_has_no_alternatives() -> None:
    """What else stands in the cellar is not known."""
    table = PriceTable.load()
    own = NodePrice("x", *(price(table, NODE).per_hour,) * 3, assumed=False, provider="own")
    assert table.alternatives(NODE, own, 1) == ()
