"""The strategies by name. A new one is a file here and a line below."""

from agentaflow_advisor.place.strategies.best_fit import BestFit
from agentaflow_advisor.place.strategies.fragmentation import Fragmentation
from agentaflow_advisor.place.strategies.least_utilized import LeastUtilized
from agentaflow_advisor.place.strategies.least_waste import LeastWaste
from agentaflow_advisor.place.strategies.priority import Priority
from agentaflow_advisor.place.strategies.round_robin import RoundRobin
from agentaflow_advisor.place.strategy import Strategy

_ALL: tuple[Strategy, ...] = (
    BestFit(),
    Fragmentation(),
    LeastUtilized(),
    LeastWaste(),
    Priority(),
    RoundRobin(),
)
STRATEGIES: dict[str, Strategy] = {strategy.name: strategy for strategy in _ALL}

__all__ = [
    "STRATEGIES",
    "BestFit",
    "Fragmentation",
    "LeastUtilized",
    "LeastWaste",
    "Priority",
    "RoundRobin",
]
