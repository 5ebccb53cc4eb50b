"""priority: the more important job first, waiting makes important, and the overdue is reserved for.

A job that can start at all does so at the latest s + L x aging + n x D seconds: s is when it was
submitted, L the number of levels, n how many of those that wait when it becomes overdue are not
behind it (itself included), D the longest duration. Nothing that is submitted later changes that.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar

from agentaflow_advisor.place.aging import levels, overdue_after_seconds, turn
from agentaflow_advisor.place.jobs import Job

HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Priority:
    """Of jobs with these priorities."""

    name: ClassVar[str] = "priority"
    summary: ClassVar[str] = (
        "the highest priority first, one level more for every so many seconds of waiting; "
        "passed over until overdue, then nobody may delay it"
    )

    priorities: tuple[int, ...] = (0,)
    aging_seconds: float = HOUR
    backfills: bool = True
    _levels: dict[int, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_levels", dict(levels(self.priorities)))

    @classmethod
    def among(cls, jobs: Iterable[Job], aging_seconds: float = HOUR) -> Priority:
        return cls(tuple(sorted({job.priority for job in jobs})) or (0,), aging_seconds)

    @property
    def patience_seconds(self) -> float:
        return overdue_after_seconds(len(self._levels), self.aging_seconds)

    def rank(self, job: Job) -> float:
        return turn(job.submitted, self._levels[job.priority], self.aging_seconds)
