"""best_effort_fifo: what does not fit is passed over; Kueue's BestEffortFIFO."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from agentaflow_advisor.place.jobs import Job


@dataclass(frozen=True, slots=True)
class BestEffortFifo:
    """Aggressive backfill. Large jobs may starve under a stream of small ones."""

    name: ClassVar[str] = "best_effort_fifo"
    summary: ClassVar[str] = "the oldest job that fits first; what does not fit is passed over"

    patience_seconds: float = math.inf
    backfills: bool = False

    def rank(self, job: Job) -> float:
        return job.submitted
