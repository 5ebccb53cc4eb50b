"""Price lists of three providers: whose, where and how a node is rented decides its price."""

from __future__ import annotations

import random
from decimal import Decimal
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentaflow_advisor.model import Node, Refusal
from agentaflow_advisor.price import NodePrice, PriceTable
from agentaflow_advisor.price.models import PRODUCTS, product

TYPE = "node.kubernetes.io/instance-type"
REGION = "topology.kubernetes.io/region"
TABLE = PriceTable.load()
LISTS = {each.provider: each for each in TABLE.lists}


def node(instance_type: str = "", region: str = "", **labels: str) -> Node:
    told = {TYPE: instance_type, REGION: region, **labels}
    return Node("", "n", 8, labels={key: value for key, value in told.items() if value})


def priced(found: NodePrice | Refusal) -> NodePrice:
    assert isinstance(found, NodePrice)
    return found


@pytest.mark.parametrize(
    ("instance_type", "region", "per_hour"),
    [  # looked up by hand in the sources of the tables
        ("p5.48xlarge", "us-east-1", "55.04"),
        ("a2-highgpu-1g", "us-central1", "3.67339"),
        ("a2-highgpu-1g", "europe-west4", "3.74797"),
        ("a3-highgpu-8g", "us-central1", "88.49"),
        ("g2-standard-4", "us-central1", "0.70683"),
        ("Standard_NC24ads_A100_v4", "eastus", "3.673"),
        ("Standard_ND96isr_H100_v5", "eastus", "98.32"),
        ("Standard_ND96isr_H200_v5", "eastus2", "84.8"),
        ("Standard_NV6ads_A10_v5", "eastus", "0.454"),
    ],
)
def test_the_instance_type_in_its_region(instance_type: str, region: str, per_hour: str) -> None:
    """Three providers, no label but type and region, the list price to the digit."""
    price = priced(TABLE.price(node(instance_type, region), None, 0))
    assert round(price.per_hour.amount, 5) == Decimal(per_hour)
    assert not price.assumed
    assert region in price.how


def test_another_region_than_the_lists_is_assumed_and_named() -> None:
    """The price is a reference region's, marked, and both regions are named."""
    price = priced(TABLE.price(node("p5.48xlarge", "eu-west-1"), None, 0))
    assert price.assumed
    assert "has no p5.48xlarge in eu-west-1, so as in us-east-1" in price.how


def test_an_unknown_region_is_assumed_where_the_list_has_several() -> None:
    """GCP's list has many regions; AWS' has one, and its prices hold without a label."""
    assert "region is not known" in priced(TABLE.price(node("g2-standard-4"), None, 0)).how
    assert not priced(TABLE.price(node("g6.xlarge"), None, 0)).assumed


@pytest.mark.parametrize(
    ("label", "value", "source"),
    [
        ("eks.amazonaws.com/nodegroup", "gpu", "AWS"),
        ("karpenter.k8s.aws/instance-family", "p5", "AWS"),
        ("cloud.google.com/gke-nodepool", "gpu", "GCP"),
        ("kubernetes.azure.com/cluster", "x", "Azure"),
    ],
)
def test_the_cloud_by_its_labels(label: str, value: str, source: str) -> None:
    """Without an instance type a node is assumed to be the cheapest such of its own cloud."""
    price = priced(TABLE.price(node(**{label: value}), "NVIDIA H100 80GB HBM3", 8))
    assert price.provider == source
    assert price.assumed


def test_whose_prices_are_assumed_for_nodes_of_nobody_is_a_choice() -> None:
    """AWS, unless another is asked for."""
    plain = node()
    assert priced(TABLE.price(plain, "Tesla T4", 1)).provider == "AWS"
    azure = PriceTable.load(assumed="Azure")
    assert priced(azure.price(plain, "Tesla T4", 1)).provider == "Azure"
    assert azure.title.startswith("Azure")


@pytest.mark.parametrize(
    ("label", "value"),
    [
        ("karpenter.sh/capacity-type", "spot"),
        ("cloud.google.com/gke-spot", "true"),
        ("cloud.google.com/gke-provisioning", "spot"),
    ],
)
def test_spot_where_the_list_has_it(label: str, value: str) -> None:
    """GCP's list has spot prices; the GPU's own share falls with them."""
    spot = priced(TABLE.price(node("g2-standard-4", "us-central1", **{label: value}), None, 0))
    usual = priced(TABLE.price(node("g2-standard-4", "us-central1"), None, 0))
    assert round(spot.per_hour.amount, 4) == Decimal("0.3973")
    assert spot.how.startswith("spot g2-standard-4")
    assert spot.per_gpu_hour_residual.amount < usual.per_gpu_hour_residual.amount


@pytest.mark.parametrize(
    ("instance_type", "label", "value"),
    [
        ("g4dn.xlarge", "karpenter.sh/capacity-type", "spot"),
        ("g4dn.xlarge", "eks.amazonaws.com/capacityType", "SPOT"),
        ("Standard_NC4as_T4_v3", "kubernetes.azure.com/scalesetpriority", "spot"),
    ],
)
def test_spot_without_a_spot_price_is_refused(instance_type: str, label: str, value: str) -> None:
    """On demand would be two or three times too much, and silence worse."""
    found = TABLE.price(node(instance_type, **{label: value}), None, 0)
    assert isinstance(found, Refusal)
    assert f"has no spot price of {instance_type}" in found.reason
    assert "give a discount of kind spot" in found.reason


@pytest.mark.parametrize("model", sorted(PRODUCTS))
def test_every_product_is_in_a_shipped_list(model: str) -> None:
    """A name in the table of products leads to a price."""
    assert any(each.by_model(f"NVIDIA {model}", 1, None) for each in TABLE.lists)


def test_every_row_is_a_gpu_that_a_product_name_leads_to_or_a_part_of_one() -> None:
    """No row can be reached by its type alone without anybody having meant that."""
    whole = {(each.gpu, each.memory_mib) for each in PRODUCTS.values()}
    parts = {
        row for each in TABLE.lists for row in each.rows if (row.gpu, row.memory_mib) not in whole
    }
    assert {row.instance_type for row in parts} == {
        "g4-standard-6", "g4-standard-12", "g4-standard-24",
        "Standard_NV6ads_A10_v5", "Standard_NV12ads_A10_v5", "Standard_NV18ads_A10_v5",
    }  # fmt: skip


@pytest.mark.parametrize(
    "model",
    ["NVIDIA RTX A1000", "NVIDIA A100X", "NVIDIA H20", "NVIDIA H800", "NVIDIA A10M", "NVIDIA A16",
     "NVIDIA A30", "NVIDIA L4G", "NVIDIA L40", "NVIDIA H100 NVLX", "NVIDIA GB200 NVL", "T4G2",
     "NVIDIA RTX PRO 6000 Blackwell Workstation Edition", "NVIDIA RTX 6000 Ada Generation",
     "NVIDIA A10-4Q", "AMD Instinct MI300X", "Tesla P100-PCIE-16GB", "Tesla K80"],
)  # fmt: skip
def test_names_that_look_alike_are_no_products(model: str) -> None:
    """Names are matched whole: an A100X is no A100, an H20 no H200, a slice no card."""
    assert product(model) is None


@pytest.mark.parametrize(
    ("model", "gpu"),
    [("NVIDIA A10", "a10"), ("NVIDIA A10G", "a10g"), ("NVIDIA H100 NVL", "h100-nvl"),
     ("NVIDIA GB200", "gb200"), ("Tesla M60", "m60"), ("NVIDIA H200", "h200")],
)  # fmt: skip
def test_names_that_are_products(model: str, gpu: str) -> None:
    """Neighbours in the alphabet, apart in the price."""
    found = product(model)
    assert found
    assert found.gpu == gpu


def test_shipped_tables_are_small_attributed_and_plausible() -> None:
    """Under 1 MiB together, each with its licence, no spot price above the usual one."""
    folder = resources.files("agentaflow_advisor.price") / "tables"
    texts = {file.name: file.read_text() for file in folder.iterdir() if file.name.endswith(".csv")}
    assert sum(map(len, texts.values())) < 1 << 20
    assert all("(Apache-2.0)" in text.partition("\ninstance,")[0] for text in texts.values())
    rows = [row for each in TABLE.lists for row in each.rows]
    assert all(row.spot_usd_hour is None or row.spot_usd_hour <= row.usd_hour for row in rows)
    assert not any(
        "RTXPRO6000" in row.instance_type or "MI300X" in row.instance_type for row in rows
    )


@given(st.randoms(use_true_random=False), st.sampled_from(sorted(PRODUCTS)), st.integers(1, 16))
def test_the_order_of_lists_and_rows_does_not_matter(
    rng: random.Random, model: str, gpus: int
) -> None:
    """The same node has the same price from shuffled lists, once its cloud is known."""
    shuffled = PriceTable(rng.sample(TABLE.lists, len(TABLE.lists)))
    for label in ("eks.amazonaws.com/x", "cloud.google.com/x", "kubernetes.azure.com/x"):
        there = node(**{label: "y"})
        assert shuffled.price(there, model, gpus) == TABLE.price(there, model, gpus)
