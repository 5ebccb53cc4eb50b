"""Spreading and taking turns: what many clusters do, and what it costs in capacity."""

from __future__ import annotations

import numpy as np

from agentaflow_advisor.place.demand import WHOLE, Demand
from agentaflow_advisor.place.fleet import Booleans, Fleet, Rows
from agentaflow_advisor.place.scorer import Best, Floats, Scores


class LeastUtilized(Best):
    """The emptiest node, and its emptiest GPU."""

    def score(self, fleet: Fleet, demand: Demand, rows: Rows) -> Scores:
        left, gpus = fleet.left[rows], fleet.gpus[rows]
        free = left.sum(axis=1) / (WHOLE * np.maximum(gpus, 1))
        return Scores(free, left.argmax(axis=1) if demand.is_shared else None)


class RoundRobin(Best):
    """Nodes take turns, in their order."""

    def __init__(self) -> None:
        self._last = -1

    def score(self, fleet: Fleet, demand: Demand, rows: Rows) -> Scores:
        del demand
        return Scores(np.zeros(len(fleet.left[rows])))

    def choose(self, values: Floats, feasible: Booleans) -> int:
        del values
        rows = np.flatnonzero(feasible)
        later = rows[rows > self._last]
        self._last = int(later[0] if len(later) else rows[0])
        return self._last
