"""What comes to a cluster in a simulation: a recorded trace, or pods with drawn times; by seed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import numpy as np

from agentaflow_advisor.place.benchmark import Machine
from agentaflow_advisor.place.demand import WHOLE, Demand
from agentaflow_advisor.place.jobs import Job

DAY = 86_400.0
CPU_MILLICORES, MEMORY_BYTES = 128_000, 1 << 40  # of nodes of which only the GPUs are told


class Drawn(NamedTuple):
    """What one seed gave."""

    machines: tuple[Machine, ...]  # in an order of its own: ties go to the first
    jobs: tuple[Job, ...]
    begun: Mapping[str, str] = {}  # job that runs from the beginning → node


class Workload(Protocol):
    def draw(self, seed: int) -> Drawn:
        """The same for every strategy."""

    def size(self) -> Mapping[str, int]:
        """What is drawn, in numbers by name."""

    def queues(self) -> frozenset[str]:
        """Of all jobs; the one without a name is that of jobs that tell none."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """Jobs as they came. A seed moves each queue's jobs by whole days, round the window's end: what
    is asked for, and when in the day, stays; which queues want much at once does not.
    """

    machines: tuple[Machine, ...]
    jobs: tuple[Job, ...]
    window_seconds: float

    def draw(self, seed: int) -> Drawn:
        random = np.random.default_rng(seed)
        days = max(1, int(self.window_seconds // DAY))
        queues = sorted({job.queue for job in self.jobs})
        shift = {queue: DAY * int(random.integers(days)) for queue in queues}
        moved = [self._moved(job, shift[job.queue], days * DAY) for job in self.jobs]
        moved.sort(key=lambda job: job.submitted)
        return Drawn(_shuffled(self.machines, random), tuple(moved))

    def size(self) -> Mapping[str, int]:
        gpus = sum(one.gpus for one in self.machines)
        return {"jobs": len(self.jobs), "nodes": len(self.machines), "gpus": gpus}

    def queues(self) -> frozenset[str]:
        return frozenset(job.queue for job in self.jobs)

    def _moved(self, job: Job, seconds: float, window: float) -> Job:
        if job.submitted >= window:  # in the last, incomplete day
            return job
        return replace(job, submitted=(job.submitted + seconds) % window)


@dataclass(frozen=True, slots=True)
class Synthetic:
    """Pods drawn from a list with replacement, arrivals by Poisson, durations log-normal.

    `load` is what is asked for at a time, of the GPUs. A seed also draws `nodes` of the machines.
    """

    machines: tuple[Machine, ...]
    demands: tuple[Demand, ...]
    jobs: int
    load: float
    median_seconds: float
    sigma: float  # of the logarithm
    nodes: int | None = None  # all of them

    @property
    def mean_seconds(self) -> float:
        return self.median_seconds * math.exp(self.sigma**2 / 2)

    def draw(self, seed: int) -> Drawn:
        random = np.random.default_rng(seed)
        machines = _shuffled(self.machines, random)[: self.nodes]
        capacity = sum(one.gpus for one in machines) * WHOLE
        milli = sum(demand.milli for demand in self.demands) / len(self.demands)
        between = milli * self.mean_seconds / (self.load * capacity)
        submitted = random.exponential(between, self.jobs).cumsum()
        seconds = random.lognormal(math.log(self.median_seconds), self.sigma, self.jobs)
        drawn = random.integers(len(self.demands), size=self.jobs)
        jobs = (
            Job(f"pod-{number}", at, lasts, self.demands[which])
            for number, (at, lasts, which) in enumerate(
                zip(submitted.tolist(), seconds.tolist(), drawn.tolist(), strict=True)
            )
        )
        return Drawn(machines, tuple(jobs))

    def size(self) -> Mapping[str, int]:
        return {"jobs": self.jobs, "nodes": self.nodes or len(self.machines)}

    def queues(self) -> frozenset[str]:
        return frozenset({""})


def uniform(nodes: int, gpus: int) -> tuple[Machine, ...]:
    """Nodes that are all alike."""
    return tuple(
        Machine(f"node-{number}", "", gpus, CPU_MILLICORES, MEMORY_BYTES) for number in range(nodes)
    )


def nodes_for(jobs: Sequence[Job], window_seconds: float, gpus_per_node: int, load: float) -> int:
    """How many of them, so that what is asked for within the window, if each job started when it
    was submitted, is this part of what they could serve.
    """
    asked = sum(
        job.milli / WHOLE * min(job.duration_seconds, max(0.0, window_seconds - job.submitted))
        for job in jobs
    )
    return max(1, round(asked / (window_seconds * gpus_per_node * load)))


def members(gpus: int, most: int) -> int:
    """Into how many equal members of at most so many GPUs a job splits; the fewest."""
    return next(count for count in range(-(-gpus // most), gpus + 1) if gpus % count == 0)


def _shuffled(machines: Sequence[Machine], random: np.random.Generator) -> tuple[Machine, ...]:
    return tuple(machines[i] for i in random.permutation(len(machines)))
