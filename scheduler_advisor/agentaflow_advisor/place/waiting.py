"""Those that wait, grouped by what they ask for: what does not fit for one fits for none of them.

A queue of thousands has few groups, and what fits is asked of all groups at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

import numpy as np

from agentaflow_advisor.place.fleet import Booleans
from agentaflow_advisor.place.jobs import Job
from agentaflow_advisor.place.policies import Policy

NOBODY = -1


class Waiting:
    """Jobs by their number in the list, which is in the order of their submission."""

    def __init__(self, jobs: Sequence[Job], policy: Policy) -> None:
        self._jobs, self._policy = jobs, policy
        self.demands = tuple(dict.fromkeys(job.demand for job in jobs))
        self.queues = tuple(dict.fromkeys(job.queue for job in jobs))
        demand = {each: index for index, each in enumerate(self.demands)}
        queue = {each: index for index, each in enumerate(self.queues)}
        groups: dict[tuple[int, int, int, int], int] = {}
        self.group_of = [
            groups.setdefault(
                (demand[job.demand], job.members, queue[job.queue], job.priority), len(groups)
            )
            for job in jobs
        ]
        keys = np.array(list(groups), dtype=np.int64).reshape(len(groups), 4)
        self.demand, self.members, self.queue = keys[:, 0], keys[:, 1], keys[:, 2]
        share = np.array([each.milli for each in self.demands], dtype=np.int64)
        self.milli = share[self.demand] * self.members
        self._numbers: list[deque[int]] = [deque() for _ in groups]
        self._rank = np.full(len(groups), np.inf)
        self._first = np.zeros(len(groups), dtype=np.int64)
        self.submitted = np.full(len(groups), np.inf)  # of the first of each group

    def __len__(self) -> int:
        return sum(map(len, self._numbers))

    def __iter__(self) -> Iterator[Job]:
        """In their order."""
        numbers = [number for group in self._numbers for number in group]
        rank = self._policy.rank
        numbers.sort(key=lambda number: (rank(self._jobs[number]), number))
        return (self._jobs[number] for number in numbers)

    @property
    def some(self) -> Booleans:
        """The groups in which somebody waits."""
        some: Booleans = np.isfinite(self.submitted)
        return some

    def add(self, number: int) -> None:
        group = self.group_of[number]
        self._numbers[group].append(number)
        if len(self._numbers[group]) == 1:
            self._look(group)

    def remove(self, number: int) -> None:
        group = self.group_of[number]
        self._numbers[group].remove(number)
        self._look(group)

    def first_group(self, among: Booleans) -> int:
        """The group of the first in the queue; NOBODY where there is none."""
        groups = np.flatnonzero(among)
        if not len(groups):
            return NOBODY
        ranks = self._rank[groups]
        groups = groups[ranks == ranks.min()]
        return int(groups[self._first[groups].argmin()])

    def first_of(self, group: int) -> int:
        return self._numbers[group][0]

    def first_within(self, group: int, seconds: float, depth: int) -> int:
        """The first of a group, not looking beyond so many, that does not last longer."""
        for number, _ in zip(self._numbers[group], range(depth), strict=False):
            if self._jobs[number].duration_seconds <= seconds:
                return number
        return NOBODY

    def _look(self, group: int) -> None:
        numbers = self._numbers[group]
        if numbers:
            job = self._jobs[numbers[0]]
            self._rank[group], self.submitted[group] = self._policy.rank(job), job.submitted
            self._first[group] = numbers[0]
        else:
            self._rank[group] = self.submitted[group] = np.inf
