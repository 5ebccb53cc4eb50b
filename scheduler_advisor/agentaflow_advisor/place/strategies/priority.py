"""priority: the most important pod chooses first, and waiting makes important; then best_fit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

from agentaflow_advisor.model import Workload
from agentaflow_advisor.place.aging import levels, overdue_after_seconds, turn
from agentaflow_advisor.place.strategies.best_fit import BestFit
from agentaflow_advisor.place.strategy import Candidate, Offers, Rank, Ranks

HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Priority:
    """Highest level of priority first, older first among equals; then best fit. A pod that waits
    rises by one level in every `aging_seconds`. Who would have to go for one is only said.
    """

    aging_seconds: float = HOUR
    now: float = 0.0  # seconds since the epoch
    levels: Mapping[int, int] = field(default_factory=dict)

    name: ClassVar[str] = "priority"
    summary: ClassVar[str] = (
        "pods of higher priority first, older first among equals, rising as they wait; "
        "then best_fit"
    )
    needs: ClassVar[frozenset[str]] = BestFit.needs

    def among(self, priorities: Iterable[int], now: float) -> Priority:
        return replace(self, now=now, levels=levels(priorities))

    def queue(self, workload: Workload) -> Rank:
        begun = self.now - self._waited_seconds(workload)
        return (turn(begun, self._level(workload), self.aging_seconds), workload.created_at)

    def is_overdue(self, workload: Workload) -> bool:
        patience = overdue_after_seconds(len(self.levels), self.aging_seconds)
        return self._waited_seconds(workload) >= patience

    def standing(self, workload: Workload) -> str:
        level, waited = self._level(workload), self._waited_seconds(workload)
        return (
            f"priority {workload.priority} is level {level} of 0 to {max(0, len(self.levels) - 1)}"
            f", {waited / HOUR:.1f} h of waiting make it {level + waited / self.aging_seconds:.1f}"
        )

    def rank(self, offers: Offers) -> Ranks:
        return BestFit().rank(offers)

    def explain(self, candidate: Candidate) -> str:
        return BestFit().explain(candidate)

    def _level(self, workload: Workload) -> int:
        return self.levels.get(workload.priority, 0)

    def _waited_seconds(self, workload: Workload) -> float:
        """A pod in a file was never created, and has not waited."""
        return max(0.0, self.now - workload.created_at) if workload.created_at else 0.0
