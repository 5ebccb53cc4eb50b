"""Placement: which node a waiting pod should get, by one of several strategies; pure."""

from agentaflow_advisor.place.engine import explain, place
from agentaflow_advisor.place.feasibility import EvidenceSettings
from agentaflow_advisor.place.run import Result, Run
from agentaflow_advisor.place.strategies import STRATEGIES
from agentaflow_advisor.place.strategy import Strategy

__all__ = [
    "STRATEGIES",
    "EvidenceSettings",
    "Result",
    "Run",
    "Strategy",
    "explain",
    "place",
]
