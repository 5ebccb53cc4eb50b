"""A job: members that start together, run for a while and leave; all that a simulation reads."""

from __future__ import annotations

from dataclasses import dataclass

from agentaflow_advisor.place.demand import WHOLE, Demand
from agentaflow_advisor.place.fleet import Grant


@dataclass(frozen=True, slots=True)
class Job:
    """`members` pods with the same demand, all or none; `queue` is a namespace or a team."""

    name: str
    submitted: float  # seconds, from any start
    duration_seconds: float
    demand: Demand
    members: int = 1
    queue: str = ""
    priority: int = 0

    @property
    def milli(self) -> int:
        """Thousandths of a GPU that it takes in all."""
        return self.members * self.demand.milli

    @property
    def gpu_seconds(self) -> float:
        return self.milli / WHOLE * self.duration_seconds


@dataclass(frozen=True, slots=True)
class Running:
    """A job that has started, and what was granted to it."""

    job: Job
    started: float
    grants: tuple[Grant, ...]

    @property
    def ends(self) -> float:
        return self.started + self.job.duration_seconds

    def lost_gpu_seconds(self, now: float) -> float:
        """What it has done so far, and what would be done again if it had to go now."""
        return self.job.milli / WHOLE * max(0.0, now - self.started)


@dataclass(frozen=True, slots=True)
class Record:
    """What became of a job. One that was refused never could have started."""

    job: Job
    started: float | None = None
    refused: str = ""

    @property
    def waited_seconds(self) -> float | None:
        return None if self.started is None else self.started - self.job.submitted
