"""best_fit: fill nodes up, so that whole nodes stay free for jobs that need many GPUs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from agentaflow_advisor.model import Workload
from agentaflow_advisor.place.capacity import CPU, GPUS
from agentaflow_advisor.place.strategy import (
    Candidate,
    Offers,
    Rank,
    Ranks,
    gpus,
    oldest_first,
    packed,
)


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

    def rank(self, offers: Offers) -> Ranks:
        return {
            **packed(offers),
            "gpus_left": -offers.left[GPUS],
            "cpu_millicores_left": -offers.left[CPU],
        }

    def explain(self, candidate: Candidate) -> str:
        left = candidate.left
        return f"would keep {gpus(left.gpus)} and {left.cpu_millicores / 1000:g} cores free"
