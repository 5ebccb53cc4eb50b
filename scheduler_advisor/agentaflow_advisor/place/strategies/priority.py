"""priority: the most important pod chooses first, then each is packed as by best_fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from agentaflow_advisor.model import Workload
from agentaflow_advisor.place.strategies.best_fit import BestFit
from agentaflow_advisor.place.strategy import Candidate, Rank


@dataclass(frozen=True, slots=True)
class Priority:
    """Highest priority first, older first among equals; then best fit. Nothing is preempted."""

    name: ClassVar[str] = "priority"
    summary: ClassVar[str] = (
        "pods of higher priority first, older first among equals; then best_fit"
    )
    needs: ClassVar[frozenset[str]] = BestFit.needs

    def queue(self, workload: Workload) -> Rank:
        return (-workload.priority, workload.created_at)

    def rank(self, candidate: Candidate) -> Rank:
        return BestFit().rank(candidate)

    def explain(self, candidate: Candidate) -> str:
        return BestFit().explain(candidate)
