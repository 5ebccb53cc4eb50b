"""What a GPU of each node costs, as a metric."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from agentaflow_advisor.model import Money, Refusal
from agentaflow_advisor.price import NodeKey, NodePrice
from agentaflow_advisor.web.prices import price_metrics
from tests.support.advice import advice


def test_a_node_without_a_price_has_no_series() -> None:
    """It is not told as free; the others have the node's price over its GPUs, and the currency."""
    price = NodePrice(
        instance_type="p5",
        per_hour=Money(Decimal("55.04"), "EUR"),
        per_gpu_hour_whole=Money(Decimal("6.88"), "EUR"),
        per_gpu_hour_residual=Money(Decimal("5"), "EUR"),
        assumed=False,
    )
    prices: dict[NodeKey, NodePrice | Refusal] = {
        ("c", "priced"): price,
        ("c", "unknown"): Refusal("unknown", "no price"),
    }
    (family,) = price_metrics(replace(advice(()), prices=prices))
    told = [(sample.labels, sample.value) for sample in family.samples]
    assert told == [({"cluster": "c", "node": "priced", "currency": "EUR"}, 6.88)]
