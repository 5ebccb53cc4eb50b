"""best_fit: fill nodes up, so that whole nodes stay free for jobs that need many GPUs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from agentaflow_advisor.model import Workload
from agentaflow_advisor.place.strategy import Candidate, Rank, gpus, oldest_first


@dataclass(frozen=True, slots=True)
class BestFit:
    """Fewest GPUs left over, then least CPU left over."""

    name: ClassVar[str] = "best_fit"
    summary: ClassVar[str] = (
        "the node that keeps the fewest GPUs free afterwards, then the least CPU"
    )
    needs: ClassVar[frozenset[str]] = frozenset()

    def queue(self, workload: Workload) -> Rank:
        return oldest_first(workload)

    def rank(self, candidate: Candidate) -> Rank:
        return (-candidate.left.gpus, -candidate.left.cpu_millicores)

    def explain(self, candidate: Candidate) -> str:
        left = candidate.left
        return f"would keep {gpus(left.gpus)} and {left.cpu_millicores / 1000:g} cores free"
