"""Prices: dated lists, your own terms, and what a node and each of its GPUs cost an hour."""

from agentaflow_advisor.price.costfile import CostFileError
from agentaflow_advisor.price.fleet import NodeKey, price_nodes
from agentaflow_advisor.price.nodeprice import NodePrice, Step
from agentaflow_advisor.price.table import PriceTable
from agentaflow_advisor.price.tablefile import PriceTableError, ResidualRates
from agentaflow_advisor.price.terms import Budget, Terms

__all__ = [
    "Budget",
    "CostFileError",
    "NodeKey",
    "NodePrice",
    "PriceTable",
    "PriceTableError",
    "ResidualRates",
    "Step",
    "Terms",
    "price_nodes",
]
