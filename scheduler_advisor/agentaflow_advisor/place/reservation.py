"""EASY's reservation: when the first job in the queue can start, and who would delay it.

Durations are known, so the earliest start is the first end after which there is room and quota. A
later job may start now if it has ended by then, or if the first one still fits then beside it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from agentaflow_advisor.place.demand import Demand
from agentaflow_advisor.place.fleet import Booleans, Fleet, Grant
from agentaflow_advisor.place.jobs import Job, Running
from agentaflow_advisor.place.quota import Ledger
from agentaflow_advisor.place.rooms import room, rooms_by_row


class Reservation:
    """For one job. Good as long as whoever starts was asked for by `admits`."""

    def __init__(
        self, fleet: Fleet, ledger: Ledger, running: Collection[Running], number: int, job: Job
    ) -> None:
        self.number = number
        self._job = job
        ending = sorted(running, key=lambda each: each.ends)
        fewest = _fewest(fleet, ledger, ending, job)
        self.at = ending[fewest - 1].ends if fewest else -np.inf
        while fewest < len(ending) and ending[fewest].ends == self.at:
            fewest += 1
        self._then = _after(fleet, ending[:fewest])
        self._ledger = _quota_after(ledger, ending[:fewest])
        self._beside = _beside(self._then, job)

    def rows(self, demand: Demand) -> Booleans:
        """Where one that is still there then may go, one member at least."""
        return self._beside.feasible(demand)

    def admits(self, job: Job, grants: Sequence[Grant]) -> bool:
        """Whether the reserved one still starts in time beside these, which last longer. If so,
        they are counted from now on.
        """
        for grant in grants:
            self._then.take(grant)
        self._ledger.use(job.queue, job.milli)
        if _fits(self._then, self._ledger, self._job):
            self._beside = _beside(self._then, self._job)
            return True
        self._ledger.use(job.queue, -job.milli)
        for grant in grants:
            self._then.release(grant)
        return False


def _fewest(fleet: Fleet, ledger: Ledger, ending: Sequence[Running], job: Job) -> int:
    """How many have to end, in this order, until there is room and quota for the job."""
    low, high = 0, len(ending)
    while low < high:
        middle = (low + high) // 2
        some = ending[:middle]
        if _fits(_after(fleet, some), _quota_after(ledger, some), job):
            high = middle
        else:
            low = middle + 1
    return low


def _fits(fleet: Fleet, ledger: Ledger, job: Job) -> bool:
    return ledger.judge(job.queue, job.milli) is None and room(fleet, job.demand) >= job.members


def _after(fleet: Fleet, ended: Sequence[Running]) -> Fleet:
    """The fleet once these have ended. Only what is left by node is kept up to date."""
    there = fleet.copy()
    grants = [grant for each in ended for grant in each.grants]
    if not grants:
        return there
    rows = np.array([grant.row for grant in grants])
    np.add.at(there.cpu, rows, [grant.demand.cpu_millicores for grant in grants])
    np.add.at(there.memory, rows, [grant.demand.memory_bytes for grant in grants])
    slots = [(grant.row, slot, grant.demand.share) for grant in grants for slot in grant.slots]
    if slots:
        row, slot, share = np.array(slots).T
        np.add.at(there.left, (row, slot), share)
    return there


def _quota_after(ledger: Ledger, ended: Sequence[Running]) -> Ledger:
    there = ledger.copy()
    for each in ended:
        there.use(each.job.queue, -each.job.milli)
    return there


def _beside(fleet: Fleet, job: Job) -> Fleet:
    """The fleet with the job on it, on the nodes that have the least room for it."""
    there = fleet.copy()
    rooms = rooms_by_row(there, job.demand)
    order = np.argsort(np.where(rooms > 0, rooms, np.iinfo(np.int64).max), kind="stable")
    lacking = job.members
    for row in order.tolist():
        members = min(lacking, int(rooms[row]))
        for _ in range(members):
            there.grant(job.demand, row)
        lacking -= members
        if not lacking:
            break
    return there
