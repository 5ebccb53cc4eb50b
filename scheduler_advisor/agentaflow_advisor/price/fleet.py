"""Every node of a snapshot priced: by its label, else by the GPUs that the metrics show on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from agentaflow_advisor.model import Refusal, Snapshot
from agentaflow_advisor.price.nodeprice import NodePrice
from agentaflow_advisor.price.table import PriceTable

A_MOMENT = 1.0
"""A look that ends at midnight is of the day before, and under its terms."""
NodeKey = tuple[str, str]
"""Cluster and name."""


@dataclass(frozen=True, slots=True, eq=False)
class FleetPrices(Mapping[NodeKey, NodePrice | Refusal]):
    """Node → its price, or why there is none; and the table that tells what else there is."""

    prices: Mapping[NodeKey, NodePrice | Refusal]
    table: PriceTable

    def __getitem__(self, key: NodeKey) -> NodePrice | Refusal:
        return self.prices[key]

    def __iter__(self) -> Iterator[NodeKey]:
        return iter(self.prices)

    def __len__(self) -> int:
        return len(self.prices)


def price_nodes(snapshot: Snapshot, table: PriceTable) -> FleetPrices:
    """Node → its price, or why there is none."""
    gpus = snapshot.gpus_by_node
    prices: dict[NodeKey, NodePrice | Refusal] = {}
    for node in snapshot.nodes:
        key = (node.cluster, node.name)
        there = gpus.get(key, ())
        models = sorted({gpu.model for gpu in there if gpu.model})
        if not there and not node.gpus:
            continue  # no GPU node: nothing of ours to price
        if len(models) > 1:
            prices[key] = Refusal(f"node {node.name}", f"no price: it mixes {', '.join(models)}")
            continue
        seen = sum(1 for gpu in there if gpu.up is not None)
        count = max(node.gpus if node.known else 0, seen) or len(there)
        model = models[0] if models else None
        prices[key] = table.price(node, model, count, snapshot.taken_at - A_MOMENT)
    return FleetPrices(prices, table)
