"""Quota by queue with borrowing, in Kueue's terms: nominal quota, cohort, borrowing, lending.

The nominal quotas of a cohort are a pool, but for what a queue does not lend: that is only its own.
A queue may use its own, and of the pool what is left of it, up to its nominal quota and its
borrowing limit. One within its nominal quota that finds the pool empty is not refused: it is told
which queues hold more than theirs, so that it may reclaim.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ClusterQueue:
    """In thousandths of a GPU. Limits of None: as much as the cohort has. No cohort: alone."""

    name: str
    nominal_milli: int
    cohort: str = ""
    borrowing_limit_milli: int | None = None
    lending_limit_milli: int | None = None

    @property
    def own_milli(self) -> int:
        """What nobody else may use."""
        if not self.cohort:
            return self.nominal_milli
        if self.lending_limit_milli is None:
            return 0
        return max(0, self.nominal_milli - self.lending_limit_milli)

    @property
    def lent_milli(self) -> int:
        """What it puts into the pool."""
        return self.nominal_milli - self.own_milli


@dataclass(frozen=True, slots=True)
class Refused:
    """It would be beyond what the queue may use now."""

    reason: str


@dataclass(frozen=True, slots=True)
class Reclaim:
    """The queue is within its nominal quota, and others hold what it lacks."""

    lacks_milli: int
    borrowed_milli: Mapping[str, int]  # by queue, the greatest first


Verdict = Refused | Reclaim | None
"""None: there is quota for it."""


class Ledger:
    """What each queue uses. Without any queue there is no quota, and everything is admitted."""

    def __init__(self, queues: Iterable[ClusterQueue] = ()) -> None:
        self.queues = {queue.name: queue for queue in queues}
        self.used = dict.fromkeys(self.queues, 0)
        self._cohorts: dict[str, list[ClusterQueue]] = {}
        for queue in self.queues.values():
            self._cohorts.setdefault(queue.cohort, []).append(queue)

    def copy(self) -> Ledger:
        made = Ledger(self.queues.values())
        made.used = dict(self.used)
        return made

    def use(self, name: str, milli: int) -> None:
        """Take it from the queue's quota, or give it back where it is negative."""
        if self.queues:
            self.used[name] += milli

    def available(self, name: str) -> int:
        """What the queue could use beyond what it uses, in thousandths of a GPU."""
        queue = self.queues[name]
        used = self.used[name]
        own = max(0, queue.own_milli - used)
        if not queue.cohort:
            return own
        pooled = self._pool_left(queue.cohort)
        if queue.borrowing_limit_milli is not None:
            most = queue.nominal_milli + queue.borrowing_limit_milli - max(used, queue.own_milli)
            pooled = min(pooled, most)
        return max(0, own + pooled)

    def most(self, name: str) -> int:
        """What the queue could use if nobody else used anything."""
        queue = self.queues[name]
        if not queue.cohort:
            return queue.nominal_milli
        pool = sum(each.lent_milli for each in self._cohorts[queue.cohort])
        limit = queue.borrowing_limit_milli
        reachable = queue.own_milli + pool
        return reachable if limit is None else min(reachable, queue.nominal_milli + limit)

    def borrowed(self, name: str) -> int:
        """What the queue uses beyond its nominal quota."""
        return max(0, self.used[name] - self.queues[name].nominal_milli)

    def judge(self, name: str, milli: int) -> Verdict:
        """Whether so much more may be used by the queue now."""
        if not self.queues:
            return None
        if name not in self.queues:
            return Refused(f"queue {name or 'without a name'} has no quota")
        queue, available = self.queues[name], self.available(name)
        if milli <= available:
            return None
        if self.used[name] + milli <= queue.nominal_milli:
            return Reclaim(milli - available, self._borrowers(queue))
        return Refused(
            f"queue {name} uses {self.used[name] / 1000:g} of {queue.nominal_milli / 1000:g} GPUs "
            f"and could have {available / 1000:g} more now, not {milli / 1000:g}"
        )

    def _pool_left(self, cohort: str) -> int:
        return sum(
            queue.lent_milli - max(0, self.used[queue.name] - queue.own_milli)
            for queue in self._cohorts[cohort]
        )

    def _borrowers(self, queue: ClusterQueue) -> Mapping[str, int]:
        found = {
            each.name: self.borrowed(each.name)
            for each in self._cohorts[queue.cohort]
            if self.borrowed(each.name)
        }
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))
