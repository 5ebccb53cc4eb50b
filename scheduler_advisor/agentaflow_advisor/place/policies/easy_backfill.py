"""easy_backfill: others overtake the first job in the queue only where they do not delay it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from agentaflow_advisor.place.jobs import Job


@dataclass(frozen=True, slots=True)
class EasyBackfill:
    """EASY (Lifka, JSSPP 1995), with durations that are known exactly."""

    name: ClassVar[str] = "easy_backfill"
    summary: ClassVar[str] = (
        "the oldest job first; later ones may go ahead where they do not delay its earliest start"
    )

    patience_seconds: float = 0.0
    backfills: bool = True

    def rank(self, job: Job) -> float:
        return job.submitted
