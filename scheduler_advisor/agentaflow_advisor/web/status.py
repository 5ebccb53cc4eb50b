"""What the loop last saw, as one value that the HTTP threads read while the loop makes the next."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Self

from agentaflow_advisor.advice import Advice
from agentaflow_advisor.model import State

Stage = Literal["observe", "record", "act"]


@dataclass(frozen=True, slots=True)
class Measured:
    """What decisions saved together; their errors are independent of each other."""

    decisions: int = 0
    gpus: float = 0.0
    error: float = 0.0  # of a 95 % interval

    def plus(self, gpus: float, error: float) -> Self:
        """With one more decision."""
        return replace(
            self,
            decisions=self.decisions + 1,
            gpus=self.gpus + gpus,
            error=math.hypot(self.error, error),
        )


@dataclass(frozen=True, slots=True)
class Status:
    """Replaced as a whole after each cycle. Times are seconds since the epoch."""

    advice: Advice | None = None  # of the last look that succeeded
    price_warning: str | None = None
    observed_at: float | None = None  # when that was, by our own clock
    error: str | None = None  # why the newest look failed; None where it succeeded
    queries: int = 0  # asked since the start
    cycles: int = 0
    failures: Mapping[Stage, int] = field(default_factory=dict)
    cycle_seconds: float = 0.0  # of all cycles together
    decisions: Mapping[State, int] | None = None  # None: the journal was not looked at
    effects: Mapping[str, Measured] = field(default_factory=dict)  # by channel
    notices: Mapping[str, int] = field(default_factory=dict)  # delivered, failed and dropped

    def failed(self, stage: Stage) -> Self:
        """The same after one more failure in that part of a cycle."""
        return replace(self, failures={**self.failures, stage: self.failures.get(stage, 0) + 1})

    @property
    def stale(self) -> bool:
        """Whether the advice is older than the newest attempt to renew it."""
        return self.advice is not None and self.error is not None

    def age_seconds(self, now: float) -> float | None:
        """How old the advice is; None where there is none yet."""
        return None if self.observed_at is None else now - self.observed_at
