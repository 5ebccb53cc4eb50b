"""Proposals of preemption on a live cluster: who would have to go for a pod that finds no room, or
for a gang that does not, all of it at once.

Named are pods of lower priority: that have opted in, that nothing keeps from being evicted
(movable.kept), no PodDisruptionBudget either, and that are of no gang. A pod gets the node with the
fewest of them, then the least work; a gang gets such nodes one after the other until all of it
fits, and of them nobody is named who could stay. Nothing is evicted for it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from agentaflow_advisor.model import Disruptions, Refusal, Snapshot, Workload
from agentaflow_advisor.place.capacity import Capacity
from agentaflow_advisor.place.fewest import fewest
from agentaflow_advisor.place.fleet import Booleans
from agentaflow_advisor.place.gangs import gangs
from agentaflow_advisor.place.movable import MoveSettings, kept
from agentaflow_advisor.place.packing import Packing, Wanted
from agentaflow_advisor.place.queue import opted_in
from agentaflow_advisor.place.run import Run

HOUR = 3600.0
ANY_AGE = MoveSettings(min_age_seconds=0.0)
"""The youngest lose the least."""
MOST_TRIED = 1000  # pods
TRIAL_WORK = 10_000  # as packing.WORK, for each of many looks
_UNKNOWN = "; who might go for it is not said: PodDisruptionBudgets are not known: "
_ROOM_FOR_ALL = "there would be room for all of its gang"
_NEVER = (
    "; even if all pods of lower priority went that may, and are not named for others, there would "
    "be no room for all of its gang"
)
_NOT_FOUND = (
    "; no pods of lower priority were found that may go together and are enough for its gang "
    "(not all sets were tried)"
)


@dataclass(frozen=True, slots=True)
class Preemptable(Refusal):
    """There would be room on `node` if the `victims` (namespace/name) went. All pods of a gang have
    the same victims, and go together or not at all.
    """

    node: str
    victims: tuple[str, ...]
    lost_gpu_hours: float  # that they have held GPUs since they were created


class Victims:
    """Of one run; a node and its pods are named for one pod, or one gang, at most."""

    def __init__(self, snapshot: Snapshot, run: Run) -> None:
        self._run = run
        self._now = snapshot.taken_at
        self._disruptions = snapshot.disruptions
        self._named = np.zeros(len(run.nodes), dtype=bool)
        together = gangs(snapshot.workloads)
        self._on: defaultdict[int, list[Workload]] = defaultdict(list)
        for pod in snapshot.workloads:
            row = run.row_of.get(pod.ref)
            if row is not None and pod.uid not in together and self._may_go(pod, snapshot):
                self._on[row].append(pod)
        self._some = np.isin(np.arange(len(run.nodes)), list(self._on))

    def named_for(
        self, pods: Sequence[Workload], refused: Sequence[Refusal]
    ) -> tuple[Refusal, ...]:
        """The refusals with who would have to go; why nobody is named, where that is to be said."""
        wanted = self._run.wanted(pods, [self._open_to(pod) for pod in pods])
        lower = self._lower(wanted, min(pod.priority for pod in pods))
        if self._disruptions.unknown:
            return _said(refused, _UNKNOWN + self._disruptions.unknown if lower else "")
        is_gang = len(pods) > 1
        if is_gang and (why := self._never(wanted, lower)):
            return _said(refused, why)
        trial = self._trial(wanted, lower)
        going = fewest(trial, islice(self._cheapest(wanted, lower), MOST_TRIED))
        if not going or not trial.fits():
            return _said(refused, _NOT_FOUND if is_gang else "")
        return self._preemptable(refused, going, trial.found.rows or ())

    def _open_to(self, pod: Workload) -> Booleans:
        """The rows that could take it, where it has room or somebody might go."""
        able = self._run.open_to(pod) & ~self._named
        has_room, _ = self._run.columns.narrow(able, Capacity.of_workload(pod))
        return able & self._some | has_room

    def _lower(self, wanted: Wanted, priority: int) -> dict[str, int]:
        """Rows of those that may go, by namespace/name."""
        return {
            one.ref: row
            for row, there in self._on.items()
            if row in wanted.free
            for one in there
            if one.priority < priority
        }

    def _never(self, wanted: Wanted, lower: Mapping[str, int]) -> str:
        """That there is no room for a gang even without all of these; empty where there is."""
        trial = self._trial(wanted, lower)
        for one in self._pods(lower):
            trial.remove(one)
        found = trial.wanted.packed()
        if found.rows is not None:
            return ""
        return _NEVER if found.all_tried else _NOT_FOUND

    def _preemptable(
        self, refused: Sequence[Refusal], going: Sequence[Workload], rows: Sequence[int]
    ) -> tuple[Refusal, ...]:
        self._named[[*rows, *(self._run.row_of[one.ref] for one in going)]] = True
        hours = self._hours(going)
        names = tuple(one.ref for one in going)
        nodes = [self._run.nodes[row].name for row in rows]
        whom = f"{nodes[0]} would have room" if len(nodes) == 1 else _ROOM_FOR_ALL
        said = (
            f"; {whom} if {' and '.join(names)} went, of lower priority "
            f"({hours:.1f} GPU hours since they were created); nothing is evicted for it"
        )
        return tuple(
            Preemptable(each.subject, each.reason + said, node, names, round(hours, 3))
            for each, node in zip(refused, nodes, strict=True)
        )

    def _may_go(self, pod: Workload, snapshot: Snapshot) -> bool:
        own = opted_in(pod.labels) and opted_in(snapshot.namespaces.get(pod.namespace, {}))
        return own and kept(pod, self._now, ANY_AGE) is None

    def _pods(self, lower: Mapping[str, int], row: int | None = None) -> list[Workload]:
        """The lowest priority first, then the least work."""
        rows = set(lower.values()) if row is None else {row}
        there = [one for each in rows for one in self._on[each] if one.ref in lower]
        return sorted(there, key=lambda one: (one.priority, self._hours([one]), one.ref))

    def _cheapest(self, wanted: Wanted, lower: Mapping[str, int]) -> Iterator[Workload]:
        """Of each node those that let in one pod more, the largest, where they are the fewest and
        then where the least work is lost; then all others.
        """
        found: list[tuple[int, float, str, list[Workload]]] = []
        for row in set(lower.values()):
            trial = self._trial(wanted.one_more(row), lower)
            if going := fewest(trial, self._pods(lower, row)):
                node = self._run.nodes[row].name
                found.append((len(going), self._hours(going), node, going))
        first = [one for *_, going in sorted(found, key=lambda each: each[:3]) for one in going]
        yield from first
        taken = {one.ref for one in first}
        yield from (one for one in self._pods(lower) if one.ref not in taken)

    def _trial(self, wanted: Wanted, lower: Mapping[str, int]) -> _Trial:
        return _Trial(wanted, lower, self._disruptions)

    def _hours(self, pods: Sequence[Workload]) -> float:
        return sum(pod.gpus * max(0.0, self._now - pod.created_at) for pod in pods) / HOUR


def _said(refused: Sequence[Refusal], more: str) -> tuple[Refusal, ...]:
    return tuple(replace(each, reason=each.reason + more) for each in refused)


class _Trial:
    """What the rows would have left. `row_of` is by namespace/name, of those that may go."""

    def __init__(self, wanted: Wanted, row_of: Mapping[str, int], disruptions: Disruptions) -> None:
        self.wanted = replace(wanted, free=dict(wanted.free))
        self.found = Packing(None, False)
        self._row_of, self._disruptions = row_of, disruptions
        self._gone: list[Workload] = []

    def fits(self) -> bool:
        self.found = self.wanted.packed(TRIAL_WORK)
        return self.found.rows is not None

    def may_go(self, one: Workload) -> bool:
        """With those that are gone it is within every budget."""
        covering = [budget for budget in self._disruptions.budgets if budget.covers(one)]
        number = 1 + max((sum(map(each.covers, self._gone)) for each in covering), default=0)
        return self._disruptions.objection(one, number) is None

    def remove(self, one: Workload) -> None:
        self._change(one, 1)
        self._gone.append(one)

    def keep(self, one: Workload) -> None:
        self._change(one, -1)
        self._gone.remove(one)

    def _change(self, one: Workload, sign: int) -> None:
        row, amounts = self._row_of[one.ref], Capacity.of_workload(one).amounts()
        free = zip(self.wanted.names, self.wanted.free[row], strict=True)
        self.wanted.free[row] = tuple(left + sign * amounts.get(name, 0) for name, left in free)
