"""What a queue policy is: an order, how long one lets others overtake, and whether they may at all.

A job that has no room lets others overtake it until its patience ends. The first one whose patience
has ended either stops everyone behind it, or (`backfills`) has a reservation: the earliest time at
which it could start is known, since durations are, and nobody may start who would delay it.
"""

from __future__ import annotations

from typing import ClassVar, Protocol

from agentaflow_advisor.place.jobs import Job


class Policy(Protocol):
    """Implementations are frozen dataclasses, fields are settings."""

    name: ClassVar[str]
    summary: ClassVar[str]

    @property
    def patience_seconds(self) -> float:
        """Infinite where one never stops others."""

    @property
    def backfills(self) -> bool:
        """Whether others may overtake one without patience if they do not delay it."""

    def rank(self, job: Job) -> float:
        """The smallest goes first, the first in the list among equals. It does not change while the
        job waits, and of jobs with the same priority the one that was submitted first is first.
        """
