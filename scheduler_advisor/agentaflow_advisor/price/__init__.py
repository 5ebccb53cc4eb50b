"""Prices: dated tables, and what a node and each of its GPUs cost an hour."""

from agentaflow_advisor.price.fleet import NodeKey, price_nodes
from agentaflow_advisor.price.table import NodePrice, PriceTable
from agentaflow_advisor.price.tablefile import PriceTableError, ResidualRates

__all__ = [
    "NodeKey",
    "NodePrice",
    "PriceTable",
    "PriceTableError",
    "ResidualRates",
    "price_nodes",
]
