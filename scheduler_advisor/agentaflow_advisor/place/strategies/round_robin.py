"""round_robin: the next node in name order that has room, so that nodes take turns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from agentaflow_advisor.model import Workload
from agentaflow_advisor.place.strategy import Candidate, Rank, gpus, oldest_first


@dataclass(frozen=True, slots=True)
class RoundRobin:
    """The first feasible node after the one used last, by name; after the last comes the first."""

    name: ClassVar[str] = "round_robin"
    summary: ClassVar[str] = "the next node with room after the one used last, in order of names"
    needs: ClassVar[frozenset[str]] = frozenset()

    def queue(self, workload: Workload) -> Rank:
        return oldest_first(workload)

    def rank(self, candidate: Candidate) -> Rank:
        last = candidate.last_node
        return (float(last is not None and candidate.node.name > last),)

    def explain(self, candidate: Candidate) -> str:
        return f"would keep {gpus(candidate.left.gpus)} free"
