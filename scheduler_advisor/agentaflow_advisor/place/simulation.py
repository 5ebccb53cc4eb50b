"""Arrivals and departures: jobs come, wait in a queue, run for their duration, and leave.

Driven by events: nothing is looked at between them. What runs is never stopped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from heapq import heappop, heappush

import numpy as np

from agentaflow_advisor.place.fleet import Booleans, Fleet, Grant
from agentaflow_advisor.place.gang import place_gang, release
from agentaflow_advisor.place.jobs import Job, Record, Running
from agentaflow_advisor.place.placer import Placer
from agentaflow_advisor.place.policies import Policy
from agentaflow_advisor.place.preemption import Preemption, preemption
from agentaflow_advisor.place.quota import ClusterQueue, Ledger
from agentaflow_advisor.place.reservation import Reservation
from agentaflow_advisor.place.rooms import Rooms
from agentaflow_advisor.place.scorer import Scorer
from agentaflow_advisor.place.waiting import NOBODY, Waiting

NOTHING: Mapping[str, str] = {}
BACKFILL_DEPTH = 100
"""Of those that ask for the same, so many are looked at for one that ends in time."""


class Simulation:
    """One run, by `run()` at once or by `steps()` from event to event.

    The fleet is changed, and is again as it was when all have left. What runs on it beforehand
    stays.
    """

    def __init__(
        self,
        fleet: Fleet,
        scorer: Scorer,
        policy: Policy,
        jobs: Sequence[Job],
        quotas: Sequence[ClusterQueue] = (),
        begun: Mapping[str, str] = NOTHING,
    ) -> None:
        """`begun`: jobs of one member that start on that node when they are submitted, if there is
        room for them, whatever waits.
        """
        self.fleet = fleet
        self.ledger = Ledger(quotas)
        self.now = 0.0
        self.running: dict[int, Running] = {}
        self._policy = policy
        self._jobs = sorted(jobs, key=lambda job: job.submitted)
        self.records = [Record(job) for job in self._jobs]  # in the order of submission
        self.waiting = Waiting(self._jobs, policy)
        self._placer = Placer(fleet, scorer)
        self._rooms = Rooms(fleet, self.waiting.demands)
        self._most = self._rooms.total.copy()
        self._coming = 0
        self._ends: list[tuple[float, int]] = []
        self._reservation: Reservation | None = None
        rows = {name: row for row, name in enumerate(fleet.names)}
        self._begun = {job: rows[node] for job, node in begun.items() if node in rows}

    def run(self, until: float = np.inf) -> list[Record]:
        """To the end, or with all that happens up to then; it can be gone on with."""
        for _ in self.steps(until):
            pass
        return self.records

    def steps(self, until: float = np.inf) -> Iterator[float]:
        """The time of each event, once all that it brought about has happened."""
        while (event := self._next()) <= until and event < np.inf:
            self.now = event
            while self._ends and self._ends[0][0] <= event:
                self._end(heappop(self._ends)[1])
            while self._coming < len(self._jobs) and self._submitted() <= event:
                self._submit(self._coming)
                self._coming += 1
            self._start_what_may()
            yield event
        self.now = max(self.now, until) if until < np.inf else self.now

    def proposal(self) -> Preemption | None:
        """Who would have to go so that the first in the queue could start now."""
        first = next(iter(self.waiting), None)
        if first is None:
            return None
        return preemption(self.fleet, self.ledger, self.running.values(), first, self.now)

    def _next(self) -> float:
        return min(self._submitted(), self._ends[0][0] if self._ends else np.inf)

    def _submitted(self) -> float:
        some = self._coming < len(self._jobs)
        return self._jobs[self._coming].submitted if some else np.inf

    def _submit(self, number: int) -> None:
        job = self._jobs[number]
        reason = self._never(number)
        if reason:
            self.records[number] = Record(job, refused=reason)
            return
        for _ in range(job.members):
            self._placer.learn(job.demand)
        self.waiting.add(number)
        row = self._begun.get(job.name, -1)
        if row >= 0 and self.fleet.feasible(job.demand, np.array([row]))[0]:
            self._grant(number, (self.fleet.grant(job.demand, row),))

    def _never(self, number: int) -> str:
        """Why it could not start if nothing else ran."""
        job = self._jobs[number]
        room = int(self._most[self.waiting.demand[self.waiting.group_of[number]]])
        if room < job.members:
            return f"the empty cluster has room for {room} of its {job.members} members"
        queues = self.ledger.queues
        if queues and job.queue not in queues:
            return f"queue {job.queue or 'without a name'} has no quota"
        if queues and self.ledger.most(job.queue) < job.milli:
            return f"queue {job.queue} can never have {job.milli / 1000:g} GPUs"
        return ""

    def _end(self, number: int) -> None:
        running = self.running.pop(number)
        release(self.fleet, running.grants)
        self.ledger.use(running.job.queue, -running.job.milli)

    def _start_what_may(self) -> None:
        """Each round starts the first that fits, or settles what to do about one that does not."""
        waiting, patience = self.waiting, self._policy.patience_seconds
        open_groups = waiting.some
        reserved: Reservation | None = None
        while open_groups.any():
            fits = open_groups & self._fit()
            due = open_groups & ~fits & (self.now - waiting.submitted >= patience)
            group = waiting.first_group(fits | due)
            if group == NOBODY:
                return
            if fits[group]:
                started = self._start(group, reserved)
                open_groups[group] = started and bool(waiting.some[group])
            elif self._policy.backfills:
                reserved = self._reserve(waiting.first_of(group))
                patience, open_groups[group] = np.inf, False
            elif self._has_room(group):
                open_groups &= waiting.queue != waiting.queue[group]
            else:
                return

    def _fit(self) -> Booleans:
        """For which groups there is room and quota."""
        self._rooms.refresh()
        waiting = self.waiting
        fits: Booleans = self._rooms.total[waiting.demand] >= waiting.members
        if self.ledger.queues:
            queues, known = waiting.queues, self.ledger.queues
            available = [self.ledger.available(each) if each in known else 0 for each in queues]
            fits &= np.array(available)[waiting.queue] >= waiting.milli
        return fits

    def _has_room(self, group: int) -> bool:
        waiting = self.waiting
        return bool(self._rooms.total[waiting.demand[group]] >= waiting.members[group])

    def _reserve(self, number: int) -> Reservation:
        if self._reservation is None or self._reservation.number != number:
            self._reservation = Reservation(
                self.fleet, self.ledger, self.running.values(), number, self._jobs[number]
            )
        return self._reservation

    def _start(self, group: int, reserved: Reservation | None) -> bool:
        """The first of a group, or with a reservation the first that does not delay it."""
        number = self.waiting.first_of(group)
        if reserved is None:
            self._reservation = None  # whoever starts before it is known may delay it
            return self._grant(number, self._place(self._jobs[number]))
        if self.now + self._jobs[number].duration_seconds > reserved.at:
            if self._grant(number, self._beside(self._jobs[number], reserved)):
                return True
            seconds = reserved.at - self.now
            number = self.waiting.first_within(group, seconds, BACKFILL_DEPTH)
        if number == NOBODY:
            return False
        return self._grant(number, self._place(self._jobs[number]))

    def _place(self, job: Job, allowed: Booleans | None = None) -> tuple[Grant, ...] | None:
        return place_gang(self._placer, job.demand, job.members, allowed)

    def _beside(self, job: Job, reserved: Reservation) -> tuple[Grant, ...] | None:
        """Places on which it may last longer than until the reserved start."""
        rows = reserved.rows(job.demand)
        grants = self._place(job, rows) if rows.any() else None
        if grants is not None and not reserved.admits(job, grants):
            release(self.fleet, grants)
            return None
        return grants

    def _grant(self, number: int, grants: tuple[Grant, ...] | None) -> bool:
        if grants is None:
            return False
        job = self._jobs[number]
        self.waiting.remove(number)
        self.ledger.use(job.queue, job.milli)
        running = Running(job, self.now, grants)
        self.running[number] = running
        self.records[number] = Record(job, self.now)
        heappush(self._ends, (running.ends, number))
        return True
