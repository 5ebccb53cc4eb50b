"""The policies that the FGD paper compares itself with, as its authors' code has them.

Scores are whole numbers from 0 to 100 and the first node of the best wins, which decides much.
"""

from __future__ import annotations

import numpy as np

from agentaflow_advisor.place.demand import WHOLE, Demand
from agentaflow_advisor.place.fleet import Booleans, Fleet, Rows, kind
from agentaflow_advisor.place.scorer import Best, Floats, Scores, tightest

MOST_CPU, MOST_GPU = 128_000, 8_000  # millicores and thousandths, of the largest node


class Random(Best):
    """Any node with room, and any of its GPUs."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)

    def score(self, fleet: Fleet, demand: Demand, rows: Rows) -> Scores:
        left = fleet.left[rows]
        if not demand.is_shared:
            return Scores(np.zeros(len(left)))
        drawn = np.where(left >= demand.share, self._random.random(left.shape), -1.0)
        return Scores(np.zeros(len(left)), drawn.argmax(axis=1))

    def choose(self, values: Floats, feasible: Booleans) -> int:
        del values
        return int(self._random.choice(np.flatnonzero(feasible)))


class DotProduct(Best):
    """Tetris (Grandl et al., SIGCOMM 2014), turned round: the node least like the pod."""

    def score(self, fleet: Fleet, demand: Demand, rows: Rows) -> Scores:
        left = fleet.left[rows]
        cpu = fleet.cpu[rows] / MOST_CPU * (demand.cpu_millicores / MOST_CPU)
        gpu = left.sum(axis=1) / MOST_GPU * (demand.milli / MOST_GPU)
        values = np.floor(100 * (1 - (cpu + gpu) / 2))
        return Scores(values, tightest(left, demand.share) if demand.is_shared else None)


class Clustering(Best):
    """Pods of one kind together: shares, single GPUs, pairs, …"""

    def score(self, fleet: Fleet, demand: Demand, rows: Rows) -> Scores:
        left, kinds = fleet.left[rows], fleet.kinds[rows] > 0
        if not demand.gpus:
            return Scores(np.zeros(len(left)))
        there = kinds.sum(axis=1)
        same = kinds[:, kind(demand)]
        band = np.where(same, np.where(there == 1, 75, 50), np.where(there == 0, 25, 0))
        filled = 25 * (MOST_GPU - left.sum(axis=1)) // MOST_GPU
        slots = tightest(left, demand.share) if demand.is_shared else None
        return Scores((band + filled).astype(float), slots)


class Packing(Best):
    """GPUs in use first, then free ones on nodes in use, then nodes that nobody uses."""

    def score(self, fleet: Fleet, demand: Demand, rows: Rows) -> Scores:
        left, gpus = fleet.left[rows], fleet.gpus[rows]
        if not demand.gpus:
            return Scores(np.zeros(len(left)))
        free = (left == WHOLE).sum(axis=1)
        slots = tightest(left, demand.share)
        taken = left[np.arange(len(left)), slots]
        needs_free = np.full(len(left), demand.gpus) if not demand.is_shared else taken == WHOLE
        used_node = np.where(
            needs_free,
            np.maximum(50 - needs_free, 33),
            np.maximum(100 - taken * 100 // WHOLE // 10, 50),
        )
        values = np.where(free == gpus, np.maximum(33 - free, free), used_node)
        return Scores(values.astype(float), slots if demand.is_shared else None)


class BestFit(Best):
    """The least CPU and GPU left over, each against the largest node's."""

    def score(self, fleet: Fleet, demand: Demand, rows: Rows) -> Scores:
        left = fleet.left[rows]
        cpu = (fleet.cpu[rows] - demand.cpu_millicores) / MOST_CPU
        gpu = (left.sum(axis=1) - demand.milli) / MOST_GPU
        values = np.floor(100 * (1 - (cpu + gpu) / 2))
        return Scores(values, tightest(left, demand.share) if demand.is_shared else None)
