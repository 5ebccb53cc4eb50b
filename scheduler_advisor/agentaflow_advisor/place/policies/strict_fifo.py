"""strict_fifo: nobody overtakes; Kueue's StrictFIFO."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from agentaflow_advisor.place.jobs import Job


@dataclass(frozen=True, slots=True)
class StrictFifo:
    """One that waits for quota stops its own queue only, as in Kueue; one without room, all."""

    name: ClassVar[str] = "strict_fifo"
    summary: ClassVar[str] = "the oldest job first; what does not fit stops all that came later"

    patience_seconds: float = 0.0
    backfills: bool = False

    def rank(self, job: Job) -> float:
        return job.submitted
