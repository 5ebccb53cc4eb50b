"""One demand after the other onto a fleet: scores are kept, and only touched rows scored again."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

from agentaflow_advisor.place.demand import Demand
from agentaflow_advisor.place.fleet import ALL, Booleans, Fleet, Grant, Integers
from agentaflow_advisor.place.scorer import Floats, Scorer

_KEPT_BYTES = 256 << 20


@dataclass(slots=True)
class Kept:
    """The scores of one demand, good for all that `touched` held up to `seen`."""

    feasible: Booleans
    values: Floats
    slots: Integers | None
    seen: int
    epoch: int


class Placer:
    """Demands that ask for the same share their scores."""

    def __init__(self, fleet: Fleet, scorer: Scorer) -> None:
        self.fleet = fleet
        self.scorer = scorer
        self._kept: OrderedDict[Demand, Kept] = OrderedDict()
        self._most = max(8, _KEPT_BYTES // (17 * max(1, len(fleet))))
        self._epoch = 0

    def place(self, demand: Demand, allowed: Booleans | None = None) -> Grant | None:
        """Put it where the scorer likes it best, among the `allowed` rows; None without room."""
        self.learn(demand)
        row, slot = self.choose(demand, allowed)
        return None if row < 0 else self.fleet.grant(demand, row, slot)

    def learn(self, demand: Demand) -> None:
        """It has come, whether or not it is placed now."""
        if self.scorer.arrived(self.fleet, demand):
            self._epoch += 1

    def choose(self, demand: Demand, allowed: Booleans | None = None) -> tuple[int, int]:
        """The row and, for a share, the slot; (-1, -1) without room. Changes nothing."""
        kept = self.scores(demand)
        feasible = kept.feasible if allowed is None else kept.feasible & allowed
        if not feasible.any():
            return -1, -1
        bias = self.scorer.bias(self.fleet, demand)
        row = self.scorer.choose(kept.values if bias is None else kept.values + bias, feasible)
        return row, -1 if kept.slots is None else int(kept.slots[row])

    def scores(self, demand: Demand) -> Kept:
        """As they are now; not to be changed."""
        kept = self._kept.get(demand)
        touched = self.fleet.touched
        if kept is None or kept.epoch != self._epoch:
            kept = self._all(demand)
        elif kept.seen < len(touched):
            self._some(kept, demand, np.unique(np.array(touched[kept.seen :], dtype=np.int64)))
        kept.seen = len(touched)
        self._kept[demand] = kept
        self._kept.move_to_end(demand)
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return kept

    def _all(self, demand: Demand) -> Kept:
        values, slots = self.scorer.score(self.fleet, demand, ALL)
        return Kept(self.fleet.feasible(demand), values, slots, 0, self._epoch)

    def _some(self, kept: Kept, demand: Demand, rows: Integers) -> None:
        values, slots = self.scorer.score(self.fleet, demand, rows)
        kept.feasible[rows] = self.fleet.feasible(demand, rows)
        kept.values[rows] = values
        if kept.slots is not None and slots is not None:
            kept.slots[rows] = slots
