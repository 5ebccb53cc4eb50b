"""round_robin: the next node in name order that has room, so that nodes take turns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from agentaflow_advisor.model import Workload
from agentaflow_advisor.place.strategy import Candidate, Offers, Rank, Ranks, gpus, oldest_first


@dataclass(frozen=True, slots=True)
class RoundRobin:
    """The first feasible node after the one used last, by name; after the last comes the first."""

    name: ClassVar[str] = "round_robin"
    summary: ClassVar[str] = "the next node with room after the one used last, in order of names"
    needs: ClassVar[frozenset[str]] = frozenset()

    def queue(self, workload: Workload) -> Rank:
        return oldest_first(workload)

    def rank(self, offers: Offers) -> Ranks:
        turn = np.arange(len(offers.promised_gpus)) >= offers.next_row
        return {"after_the_last": turn.astype(float)}

    def explain(self, candidate: Candidate) -> str:
        return f"would keep {gpus(candidate.left.gpus)} free"
