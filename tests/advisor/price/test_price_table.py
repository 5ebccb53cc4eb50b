"""Prices: the shipped table's figures, and every bad row refused with its place."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentaflow_advisor.model import Gpu, Node, Refusal, Snapshot
from agentaflow_advisor.price import (
    NodePrice,
    PriceTable,
    PriceTableError,
    ResidualRates,
    Terms,
    price_nodes,
)
from agentaflow_advisor.price.tablefile import read
from agentaflow_advisor.price.terms import Discount

TYPE = "node.kubernetes.io/instance-type"
H100 = "NVIDIA H100 80GB HBM3"
HEADER = "instance,gpu,gpus,gpu_mem_mib_each,vcpu,ram_gib,ondemand_usd_h"
GOOD = "own.8x,h100,8,81920,192,2048,100"
DATED = "# provider: own\n# region: cellar\n# date: 2026-01-31\n"
JULY_20 = 1_784_505_600.0  # 2026-07-20T00:00:00Z


def node(instance_type: str | None = None, gpus: int = 8, name: str = "n") -> Node:
    return Node("", name, gpus, labels={TYPE: instance_type} if instance_type else {})


def priced(found: NodePrice | Refusal) -> NodePrice:
    assert isinstance(found, NodePrice)
    return found


def load(tmp_path: Path, *rows: str, head: str = DATED, header: str = HEADER) -> PriceTable:
    path = tmp_path / "prices.csv"
    path.write_text(head + "\n".join((header, *rows)) + "\n")
    return PriceTable.load(path)


@pytest.mark.parametrize(
    ("instance_type", "whole", "residual"),
    [  # copied from the source of the table, where they were worked out independently
        ("p5.48xlarge", "6.88", "5.1493"),
        ("p4d.24xlarge", "2.7447", "1.8247"),
        ("p6-b200.48xlarge", "14.2416", "12.5109"),
        ("g4dn.xlarge", "0.526", "0.3287"),
        ("g5g.16xlarge", "1.372", "0.2840"),  # Graviton's CPUs: the same for each size
        ("g5g.xlarge", "0.42", "0.2840"),
        ("g6.16xlarge", "3.3968", "0.2395"),
        ("gr6.8xlarge", "2.4464", "0.4304"),
    ],
)
def test_whole_and_residual_price(instance_type: str, whole: str, residual: str) -> None:
    """Each GPU's share of the node's price, with and without CPU and memory."""
    price = priced(PriceTable.load().price(node(instance_type), None, 0))
    assert round(price.per_gpu_hour_whole.amount, 4) == Decimal(whole)
    assert round(price.per_gpu_hour_residual.amount, 4) == Decimal(residual)
    assert not price.assumed


def test_the_node_price_is_the_list_price_to_the_digit() -> None:
    """No rounding on the way in."""
    price = priced(PriceTable.load().price(node("p4d.24xlarge"), None, 0))
    assert price.per_hour.amount == Decimal("21.957642")


def test_the_tables_date_and_age() -> None:
    """Prices say of when they are, and how old that is; together they are as old as the oldest."""
    table = PriceTable.load()
    assert table.title == "AWS us-east-1 2026-07-20, Azure 2026-06-18, GCP 2026-08-06"
    assert table.dated.isoformat() == "2026-06-18"
    assert table.age_days(JULY_20) == 32
    (aws,) = (each for each in table.lists if each.provider == "AWS")
    assert [aws.age_days(JULY_20 + days * 86_400) for days in (0, 0.9, 30)] == [0, 0, 30]


@pytest.mark.parametrize(
    ("model", "gpus", "instance_type"),
    [
        (H100, 8, "p5.48xlarge"),
        ("NVIDIA A100-SXM4-80GB", 8, "p4de.24xlarge"),
        ("NVIDIA A100-SXM4-40GB", 8, "p4d.24xlarge"),
        ("A100-SXM4-40GB", 8, "p4d.24xlarge"),
        ("Tesla V100-SXM2-16GB", 4, "p3.8xlarge"),
        ("Tesla T4", 1, "g4dn.xlarge"),
        ("NVIDIA L4", 4, "g6.12xlarge"),
        ("NVIDIA L40S", 1, "g6e.xlarge"),
        ("NVIDIA B200", 8, "p6-b200.48xlarge"),
    ],
)
def test_without_a_label_the_cheapest_with_such_gpus_is_assumed(
    model: str, gpus: int, instance_type: str
) -> None:
    """Same GPU, same memory, same number; and the price says that it is assumed from what."""
    price = priced(PriceTable.load().price(node(None), model, gpus))
    assert price.instance_type == instance_type
    assert price.assumed
    assert price.how.startswith("assumed: the cheapest with")
    assert instance_type in price.how


def test_a_number_of_gpus_that_is_not_on_sale_is_priced_by_the_gpu() -> None:
    """Four H100 cost four eighths of eight, and the price says so."""
    price = priced(PriceTable.load().price(node(None), H100, 4))
    assert price.per_hour.amount == Decimal("27.52")
    assert price.instance_type == "p5.48xlarge"
    assert "none has 4" in price.how


@pytest.mark.parametrize(
    "model",
    [
        "NVIDIA RTX A1000",
        "NVIDIA H100 NVL",
        "NVIDIA A10",
        "NVIDIA T400",
        "NVIDIA L40",
        "Radeon",
        "",
    ],
)
def test_a_name_that_merely_looks_alike_has_no_price(model: str) -> None:
    """Product names are matched whole: an RTX A1000 is no A100."""
    found = PriceTable.load().price(node(None), model, 1)
    assert isinstance(found, Refusal)
    assert model in found.reason


def test_neither_type_nor_model() -> None:
    """Nothing known means no price, and why."""
    found = PriceTable.load().price(node(None), None, 8)
    assert found == Refusal("node n", "no price: neither instance type nor GPU model is known")


def test_a_label_that_contradicts_the_metrics() -> None:
    """A p5 that shows T4s is not priced as either."""
    found = PriceTable.load().price(node("p5.48xlarge"), "Tesla T4", 8)
    assert isinstance(found, Refusal)
    assert "p5.48xlarge has h100 GPUs, but the metrics show Tesla T4" in found.reason


@pytest.mark.parametrize(
    ("instance_type", "hour"),
    [
        ("g6f.large", "0.202"),
        ("g6f.xlarge", "0.2375"),
        ("g6f.2xlarge", "0.475"),
        ("g6f.4xlarge", "0.95"),
        ("gr6f.4xlarge", "1.066"),
    ],
)
@pytest.mark.parametrize("model", ["NVIDIA L4", "NVIDIA L4-3Q", None])
def test_an_instance_with_a_part_of_a_gpu(instance_type: str, hour: str, model: str | None) -> None:
    """Its one GPU costs what the instance does, and the price says that it is a part."""
    price = priced(PriceTable.load().price(node(instance_type), model, 1))
    assert price.per_hour.amount == price.per_gpu_hour_whole.amount == Decimal(hour)
    assert "of l4)" in price.how
    assert not price.assumed


def test_a_part_of_a_gpu_never_stands_in_for_a_whole_one() -> None:
    """Not for a node without a label, nor as a cheaper place."""
    table = PriceTable.load()
    assert priced(table.price(node(None), "NVIDIA L4", 1)).instance_type == "g6.xlarge"
    whole = priced(table.price(node("g6.xlarge"), None, 1))
    others = {each.row.instance_type for each in table.alternatives(node(None), whole, 1)}
    assert "g6.2xlarge" in others
    assert "g6f.large" not in others


def test_an_instance_type_that_no_list_has_is_named() -> None:
    """What is assumed says in place of what."""
    price = priced(PriceTable.load().price(node("p9.mega"), H100, 8))
    assert price.assumed
    assert price.how.startswith("assumed: p9.mega is not in AWS us-east-1 2026-07-20, so as the")
    unpriced = PriceTable.load().price(node("box.a40"), "NVIDIA A40", 8)
    assert isinstance(unpriced, Refusal)
    assert "box.a40 is not in AWS us-east-1 2026-07-20, which has no instance with NVIDIA A40" in (
        unpriced.reason
    )


@pytest.mark.parametrize(
    ("gpu", "model"),
    [
        ("a40", "NVIDIA A40"),
        ("NVIDIA A40", "NVIDIA A40"),
        ("NVIDIA H200 NVL", "NVIDIA H200 NVL"),
        ("h200 nvl", "NVIDIA H200 NVL"),
        ("GeForce RTX 4090", "NVIDIA GeForce RTX 4090"),
        ("NVIDIA H100 80GB HBM3", "NVIDIA H100 80GB HBM3"),
    ],
)
@pytest.mark.parametrize("label", ["box.a40", None])
def test_a_row_of_ones_own_names_any_product(
    tmp_path: Path, gpu: str, model: str, label: str | None
) -> None:
    """By NVIDIA's name of it, with its instance type and without."""
    table = load(tmp_path, GOOD, f"box.a40,{gpu},8,46068,64,512,8")
    price = priced(table.price(node(label), model, 8))
    assert (price.instance_type, price.per_hour.amount) == ("box.a40", Decimal(8))


@pytest.mark.parametrize(
    "model", ["NVIDIA RTX A4000", "NVIDIA A40-48Q", "NVIDIA A4", "NVIDIA A100"]
)
def test_a_row_of_ones_own_is_of_that_product_alone(tmp_path: Path, model: str) -> None:
    """Whole names, never parts of them."""
    table = load(tmp_path, GOOD, "box.a40,a40,8,46068,64,512,8")
    assert isinstance(table.price(node(None), model, 8), Refusal)


def test_a_table_of_ones_own(tmp_path: Path) -> None:
    """The same columns under another date and name."""
    table = load(tmp_path, GOOD)
    assert table.title == "own cellar 2026-01-31"
    assert priced(table.price(node("own.8x"), None, 0)).per_gpu_hour_whole.amount == Decimal("12.5")


def test_rates_of_ones_own(tmp_path: Path) -> None:
    """What CPU and memory cost is a setting; the residual is never below zero."""
    path = tmp_path / "prices.csv"
    path.write_text(f"{DATED}{HEADER}\n{GOOD}\n")
    for rate, residual in (("0", "12.5"), ("0.25", "6.5"), ("5", "0")):
        table = PriceTable.load(path, ResidualRates(Decimal(rate), Decimal(0)))
        price = priced(table.price(node("own.8x"), None, 0))
        assert price.per_gpu_hour_residual.amount == Decimal(residual)


@pytest.mark.parametrize("rate", ["-1", "NaN", "Infinity", "11"])
def test_absurd_rates(rate: str) -> None:
    """A rate that cannot be meant is refused."""
    with pytest.raises(PriceTableError, match="vcpu_usd_hour"):
        ResidualRates(vcpu_usd_hour=Decimal(rate))


@pytest.mark.parametrize(
    ("row", "place"),
    [
        ("a,h100,8,81920,192,2048,-1", ":6:ondemand_usd_h: '-1'"),
        ("a,h100,8,81920,192,2048,0", ":6:ondemand_usd_h: '0'"),
        ("a,h100,8,81920,192,2048,", ":6:ondemand_usd_h: ''"),
        ("a,h100,8,81920,192,2048,NaN", ":6:ondemand_usd_h: 'NaN'"),
        ("a,h100,8,81920,192,2048,1e9", ":6:ondemand_usd_h: '1e9'"),
        ("a,h100,8,81920,192,2048,55 USD", ":6:ondemand_usd_h: '55 USD'"),
        ("a,h100,0,81920,192,2048,55", ":6:gpus: '0'"),
        ("a,h100,1.5,81920,192,2048,55", ":6:gpus: '1.5'"),
        ("a,h100,8,80,192,2048,55", ":6:gpu_mem_mib_each: '80'"),
        ("a,h100,8,81920,x,2048,55", ":6:vcpu: 'x'"),
        ("a,h100,8,81920,192,-2,55", ":6:ram_gib: '-2'"),
        (",h100,8,81920,192,2048,55", ":6:instance: is empty"),
        ("a,,8,81920,192,2048,55", ":6:gpu: is empty"),
        ("a,h100,8", ":6: 3 cells, the header has 7"),
        ('"a,h100,8,81920,192,2048,55', ":6: unexpected end of data"),
        (GOOD, ":6:instance: own.8x is already in line 5"),
    ],
)
def test_a_bad_row_is_one_line_with_its_place(tmp_path: Path, row: str, place: str) -> None:
    """file:line:column, what stands there, and what to do."""
    with pytest.raises(PriceTableError) as caught:
        load(tmp_path, GOOD, row)
    line = str(caught.value)
    assert f"prices.csv{place}" in line
    assert "\n" not in line
    assert "remove" in line


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (f"{HEADER}\n{GOOD}\n", "it has no date: add a line such as '# date: 2026-07-20'"),
        (f"# date: soon\n{HEADER}\n{GOOD}\n", "its date is 'soon'"),
        (DATED, "no rows"),
        (f"{DATED}{HEADER}\n", "no rows follow"),
        (f"{DATED}instance,gpu\na,b\n", ":4: column gpus is missing"),
    ],
)
def test_a_table_without_its_parts(tmp_path: Path, text: str, what: str) -> None:
    """Date, header and rows are all needed."""
    path = tmp_path / "prices.csv"
    path.write_text(text)
    with pytest.raises(PriceTableError) as caught:
        PriceTable.load(path)
    assert what in str(caught.value)


@pytest.mark.parametrize("make", ["none", "folder", "binary"])
def test_an_unreadable_table(tmp_path: Path, make: str) -> None:
    """A missing file, a folder, or bytes that are no text."""
    path = tmp_path / "x"
    if make == "folder":
        path.mkdir()
    if make == "binary":
        path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PriceTableError, match="cannot read the price table"):
        PriceTable.load(path)


@given(st.text(max_size=200))
def test_no_text_brings_anything_but_a_named_error(text: str) -> None:
    """Whatever stands in the file, it is a table or a PriceTableError."""
    for body in (text, f"{DATED}{HEADER}\n{GOOD}\n{text}"):
        try:
            table = read(Path("t.csv"), body)
        except PriceTableError:
            continue
        assert table.rows


def test_a_day_that_ends_at_midnight_is_under_its_own_terms() -> None:
    """A discount until that day holds for it, and no longer for the next."""
    deal = Discount("deal", "negotiated", Decimal("0.5"), until=date(2026, 7, 19))
    table = PriceTable.load(terms=Terms(discounts=(deal,)))
    nodes = (node("p5.48xlarge"),)
    hours = [
        priced(price_nodes(Snapshot(at, 86_400.0, 0.99, (), nodes), table)["", "n"]).per_hour.amount
        for at in (JULY_20, JULY_20 + 86_400)
    ]
    assert hours == [Decimal("27.52"), Decimal("55.04")]


def test_nodes_of_a_snapshot() -> None:
    """By label, by the GPUs seen, refused where they are mixed; nodes without GPUs are left out."""
    gpus = tuple(
        Gpu("", name, str(index), f"GPU-{name}-{index}", model=model, up=True)
        for name, model, count in (("seen", H100, 8), ("mixed", H100, 1), ("short", H100, 7))
        for index in range(count)
    )
    gpus += (Gpu("", "mixed", "1", "GPU-m", model="Tesla T4", up=True),)
    nodes = (
        node("p4d.24xlarge", name="labelled"),
        Node("", "seen", 8, known=False),
        Node("", "mixed", 2, known=False),
        Node("", "short", 8),
        Node("", "cpu", 0),
    )
    snapshot = Snapshot(0.0, 1.0, 0.99, gpus, nodes)
    prices = price_nodes(snapshot, PriceTable.load())
    assert set(prices) == {("", "labelled"), ("", "seen"), ("", "mixed"), ("", "short")}
    assert priced(prices["", "labelled"]).instance_type == "p4d.24xlarge"
    assert priced(prices["", "seen"]).per_hour.amount == Decimal("55.04")
    assert priced(prices["", "short"]).per_hour.amount == Decimal("55.04")
    mixed = prices["", "mixed"]
    assert isinstance(mixed, Refusal)
    assert "it mixes NVIDIA H100 80GB HBM3, Tesla T4" in mixed.reason
