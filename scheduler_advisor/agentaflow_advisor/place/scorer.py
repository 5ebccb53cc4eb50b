"""How a strategy sees the arrays: a score for each row, and for a share the GPU to take it from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from agentaflow_advisor.place.demand import Demand
from agentaflow_advisor.place.fleet import Booleans, Fleet, Integers, Rows

Floats = NDArray[np.float64]


class Scores(NamedTuple):
    """By row: the higher the better; `slots` is the GPU for a share, -1 where it does not matter.

    What they say of a row that has no room is not used.
    """

    values: Floats
    slots: Integers | None = None


class Scorer(Protocol):
    """What one run of a strategy knows. Scores may rest on the row alone and on what was learnt."""

    def score(self, fleet: Fleet, demand: Demand, rows: Rows) -> Scores:
        """Of putting it on each of these rows."""

    def bias(self, fleet: Fleet, demand: Demand) -> Floats | None:
        """To be added to the scores of all rows; for what changes with every placement."""

    def choose(self, values: Floats, feasible: Booleans) -> int:
        """One of the feasible rows, of which there is one."""

    def arrived(self, fleet: Fleet, demand: Demand) -> bool:
        """Learn from a demand before it is placed. True: earlier scores are void."""

    def parts(self, fleet: Fleet, demand: Demand, row: int) -> Mapping[str, float]:
        """What the score of a row is the sum of, by name."""


class Best:
    """The parts of a scorer that most share: the first row of the highest score, nothing learnt."""

    def bias(self, fleet: Fleet, demand: Demand) -> Floats | None:
        del fleet, demand
        return None

    def choose(self, values: Floats, feasible: Booleans) -> int:
        return int(np.argmax(np.where(feasible, values, -np.inf)))

    def arrived(self, fleet: Fleet, demand: Demand) -> bool:
        del fleet, demand
        return False

    def parts(self, fleet: Fleet, demand: Demand, row: int) -> Mapping[str, float]:
        del fleet, demand, row
        return {}


def tightest(left: Integers, share: int) -> Integers:
    """Of each row, the slot with the least left that still fits; the first where several do."""
    slots: Integers = np.argmin(np.where(left >= share, left, np.iinfo(np.int64).max), axis=1)
    return slots
