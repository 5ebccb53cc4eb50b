"""Prices: dated lists, your own terms, and what a node and each of its GPUs cost an hour."""

from agentaflow_advisor.price.costfile import CostFileError
from agentaflow_advisor.price.fleet import FleetPrices, NodeKey, price_nodes
from agentaflow_advisor.price.nodeprice import NodePrice, Step
from agentaflow_advisor.price.table import Alternative, PriceTable
from agentaflow_advisor.price.tablefile import PriceTableError, ResidualRates
from agentaflow_advisor.price.terms import Budget, Terms

__all__ = [
    "Alternative",
    "Budget",
    "CostFileError",
    "FleetPrices",
    "NodeKey",
    "NodePrice",
    "PriceTable",
    "PriceTableError",
    "ResidualRates",
    "Step",
    "Terms",
    "price_nodes",
]
