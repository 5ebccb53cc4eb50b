"""Proposals of preemption: which running jobs would have to go for one that waits. Only proposals.

Who may have to go is as in Kueue: without quota, whoever has a lower priority; with quota, those of
its own queue that have a lower priority, and, if the job is within its queue's nominal quota, those
of queues that borrow in its cohort (reclaim), as long as they do. The lowest priority first, then
the least work lost; nobody is named who could stay.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from agentaflow_advisor.place.fewest import fewest
from agentaflow_advisor.place.fleet import Fleet
from agentaflow_advisor.place.gang import release
from agentaflow_advisor.place.jobs import Job, Running
from agentaflow_advisor.place.quota import Ledger
from agentaflow_advisor.place.rooms import Rooms


@dataclass(frozen=True, slots=True)
class Preemption:
    """`job` could start if all of these went."""

    job: Job
    victims: tuple[Running, ...]
    lost_gpu_seconds: float


def preemption(
    fleet: Fleet, ledger: Ledger, running: Collection[Running], job: Job, now: float
) -> Preemption | None:
    """The cheapest found; None where even all who may have to go would not be enough."""
    trial = _Trial(fleet, ledger, job)
    cheapest = sorted(
        running,
        key=lambda each: (each.job.priority, each.lost_gpu_seconds(now), each.job.name),
    )
    needed = fewest(trial, cheapest)
    if needed is None:
        return None
    return Preemption(job, tuple(needed), sum(each.lost_gpu_seconds(now) for each in needed))


class _Trial:
    """What would be if some went."""

    def __init__(self, fleet: Fleet, ledger: Ledger, job: Job) -> None:
        self._fleet, self._ledger, self._job = fleet.copy(), ledger.copy(), job
        self._rooms = Rooms(self._fleet, [job.demand])

    def fits(self) -> bool:
        self._rooms.refresh()
        job = self._job
        has_room = bool(self._rooms.total[0] >= job.members)
        return has_room and self._ledger.judge(job.queue, job.milli) is None

    def may_go(self, running: Running) -> bool:
        mine, other, quotas = self._job, running.job, self._ledger.queues
        if not quotas or mine.queue == other.queue:
            return other.priority < mine.priority
        if mine.queue not in quotas or other.queue not in quotas:
            return False
        queue, theirs = quotas[mine.queue], quotas[other.queue]
        within = self._ledger.used[mine.queue] + mine.milli <= queue.nominal_milli
        together = bool(queue.cohort) and queue.cohort == theirs.cohort
        return within and together and self._ledger.borrowed(other.queue) > 0

    def remove(self, running: Running) -> None:
        release(self._fleet, running.grants)
        self._ledger.use(running.job.queue, -running.job.milli)

    def keep(self, running: Running) -> None:
        for grant in running.grants:
            self._fleet.take(grant)
        self._ledger.use(running.job.queue, running.job.milli)
