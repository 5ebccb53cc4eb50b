"""Least waste: what a placement is expected to leave unusable, from the mix learnt so far.

Three prices, all in thousandths of a GPU; the first node decides between equals:

- residue: a shared GPU with r left is expected to end with W(r) left once the next pods have come
  (mix.waste); a share q costs W(r - q) - W(r).
- stranding: GPUs beyond what the node's CPU can feed, at the CPU that the mix has for each GPU, are
  lost to all; a placement costs what it adds to them.
- reserve: models that constrained pods will need before the cluster is full are dear to others, the
  dearer the less would remain of them.

It knows the past arrivals and the fleet, nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from agentaflow_advisor.place.demand import ANY_MODEL, WHOLE, Demand
from agentaflow_advisor.place.fleet import Fleet, Integers, Rows
from agentaflow_advisor.place.mix import Mix
from agentaflow_advisor.place.scorer import Best, Floats, Scores, tightest

_LEARN_EVERY = 512  # arrivals; more often while there were few
_RESERVE_EVERY = 20


@dataclass(frozen=True, slots=True)
class Weights:
    """What each part counts. Zero leaves it out."""

    residue: float = 1.0
    stranding: float = 1.0
    reserve: float = 1.0
    arrivals: int = 16  # shared pods that a GPU is expected to see before it is full
    margin: float = 0.6  # the part of a model's free GPUs below which its reserve is felt


class LeastWaste(Best):
    def __init__(self, weights: Weights | None = None, mix: Mix | None = None) -> None:
        self.weights = weights or Weights()
        self.mix = mix or Mix()
        self._waste: Floats = self.mix.waste(self.weights.arrivals)
        self._millicores = self.mix.cpu_per_gpu
        self._prices: Floats | None = None
        self._is_priced = False

    def arrived(self, fleet: Fleet, demand: Demand) -> bool:
        del fleet
        self.mix.learn(demand)
        seen = self.mix.arrived
        if self.weights.reserve and seen % _RESERVE_EVERY == 0:
            self._is_priced = False
        if seen % _LEARN_EVERY and (seen < 32 or seen & (seen - 1)):
            return False
        self._waste = self.mix.waste(self.weights.arrivals)
        self._millicores = self.mix.cpu_per_gpu
        return True

    def score(self, fleet: Fleet, demand: Demand, rows: Rows) -> Scores:
        left = fleet.left[rows]
        values = self._saved(fleet, demand, rows)
        if not demand.is_shared:
            return Scores(values)
        if not self.weights.residue:
            return Scores(values, tightest(left, demand.share))
        saved = np.full(WHOLE + 1, -np.inf)
        saved[demand.share :] = self._waste[demand.share :] - self._waste[: -demand.share]
        gains = saved[left]
        slots = gains.argmax(axis=1)
        return Scores(values + self.weights.residue * gains[np.arange(len(slots)), slots], slots)

    def parts(self, fleet: Fleet, demand: Demand, row: int) -> Mapping[str, float]:
        rows = np.array([row])
        stranding = float(self._saved(fleet, demand, rows)[0])
        bias = self.bias(fleet, demand)
        return {
            "residue": float(self.score(fleet, demand, rows).values[0]) - stranding,
            "stranding": stranding,
            "reserve": 0.0 if bias is None else float(bias[row]),
        }

    def _saved(self, fleet: Fleet, demand: Demand, rows: Rows) -> Floats:
        """What the placement saves from being stranded."""
        idle, cpu = fleet.left[rows].sum(axis=1), fleet.cpu[rows]
        after, cpu_after = idle - demand.milli, cpu - demand.cpu_millicores
        stranded = self._stranded(idle, cpu) - self._stranded(after, cpu_after)
        saved: Floats = self.weights.stranding * stranded
        return saved

    def bias(self, fleet: Fleet, demand: Demand) -> Floats | None:
        if not demand.gpus or not self.weights.reserve:
            return None
        if not self._is_priced:
            self._prices, self._is_priced = self._reserve(fleet), True
        if self._prices is None:
            return None
        biased: Floats = self._prices[fleet.model] * (-self.weights.reserve * demand.milli)
        return biased

    def _stranded(self, idle: Integers, cpu: Integers) -> Floats:
        stranded: Floats = np.maximum(0.0, idle - cpu * (WHOLE / self._millicores))
        return stranded

    def _reserve(self, fleet: Fleet) -> Floats | None:
        """By model, 0 to 1: how much of what is free constrained pods are going to need."""
        if not any(mask != ANY_MODEL for mask in self.mix.constrained):
            return None
        free = fleet.free_of_model.astype(float)
        needed = np.zeros(len(free))
        for mask, milli in self.mix.constrained.items():
            if mask != ANY_MODEL:
                usable = np.where([mask >> i & 1 for i in range(len(free))], free, 0.0)
                expected = milli / max(1, self.mix.milli) * free.sum()
                needed += expected * usable / max(1.0, usable.sum())
        spare = (free - needed) / (self.weights.margin * np.maximum(free, 1.0))
        return np.where(free > 0, np.clip(1.0 - spare, 0.0, 1.0), 0.0)
