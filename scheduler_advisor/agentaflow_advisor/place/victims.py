"""Proposals of preemption on a live cluster: who would have to go for a pod that finds no room.

Named are pods of lower priority on one node: that have opted in, that nothing keeps from being
evicted (movable.kept), no PodDisruptionBudget either, and that are of no gang; the fewest, then the
least work. Nothing is evicted for it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from agentaflow_advisor.model import Disruptions, Refusal, Snapshot, Workload
from agentaflow_advisor.place.capacity import Capacity
from agentaflow_advisor.place.fewest import fewest
from agentaflow_advisor.place.fleet import Booleans
from agentaflow_advisor.place.gangs import gangs
from agentaflow_advisor.place.movable import MoveSettings, kept
from agentaflow_advisor.place.queue import opted_in
from agentaflow_advisor.place.run import Run

HOUR = 3600.0
ANY_AGE = MoveSettings(min_age_seconds=0.0)
"""The youngest lose the least."""


@dataclass(frozen=True, slots=True)
class Preemptable(Refusal):
    """There would be room on `node` if the `victims` (namespace/name) went."""

    node: str
    victims: tuple[str, ...]
    lost_gpu_hours: float  # that they have held GPUs since they were created


class Victims:
    """Of one run; a node and its pods are named for one pod at most."""

    def __init__(self, snapshot: Snapshot, run: Run) -> None:
        self._run = run
        self._now = snapshot.taken_at
        self._disruptions = snapshot.disruptions
        together = gangs(snapshot.workloads)
        self._on: defaultdict[int, list[Workload]] = defaultdict(list)
        for pod in snapshot.workloads:
            row = run.row_of.get(pod.ref)
            if row is not None and pod.uid not in together and self._may_go(pod, snapshot):
                self._on[row].append(pod)

    def named_for(self, pod: Workload, refused: Refusal) -> Refusal:
        """The refusal with who would have to go; as it was where nobody may."""
        able = self._run.open_to(pod)
        found = [
            (len(going), self._hours(going), self._run.nodes[row].name, row, going)
            for row, there in self._on.items()
            if able[row] and (going := self._going(pod, row, there))
        ]
        if not found:
            return self._unsure(pod, refused, able)
        _, hours, node, row, going = min(found, key=lambda each: each[:3])
        del self._on[row]
        names = tuple(each.ref for each in going)
        said = (
            f"; {node} would have room if {' and '.join(names)} went, of lower priority "
            f"({hours:.1f} GPU hours since they were created); nothing is evicted for it"
        )
        return Preemptable(refused.subject, refused.reason + said, node, names, round(hours, 3))

    def _unsure(self, pod: Workload, refused: Refusal, able: Booleans) -> Refusal:
        """Where budgets are not known nobody is named: said, if somebody might have been."""
        why = self._disruptions.unknown
        lower = any(
            able[row] and any(one.priority < pod.priority for one in there)
            for row, there in self._on.items()
        )
        if not (why and lower):
            return refused
        said = f"; who might go for it is not said: PodDisruptionBudgets are not known: {why}"
        return replace(refused, reason=refused.reason + said)

    def _may_go(self, pod: Workload, snapshot: Snapshot) -> bool:
        own = opted_in(pod.labels) and opted_in(snapshot.namespaces.get(pod.namespace, {}))
        return own and kept(pod, self._now, ANY_AGE) is None

    def _going(self, pod: Workload, row: int, there: Sequence[Workload]) -> list[Workload]:
        trial = _Trial(pod, self._run.columns.at(row), self._disruptions)
        cheapest = sorted(there, key=lambda one: (one.priority, self._hours([one]), one.ref))
        return fewest(trial, cheapest) or []

    def _hours(self, pods: Sequence[Workload]) -> float:
        return sum(pod.gpus * max(0.0, self._now - pod.created_at) for pod in pods) / HOUR


class _Trial:
    """What a node would have left."""

    def __init__(self, pod: Workload, left: Capacity, disruptions: Disruptions) -> None:
        self._pod, self._left, self._disruptions = pod, left, disruptions
        self._gone: list[Workload] = []

    def fits(self) -> bool:
        return self._left.shortage(Capacity.of_workload(self._pod)) is None

    def may_go(self, one: Workload) -> bool:
        """Of lower priority, and with those that are gone within every budget."""
        covering = [budget for budget in self._disruptions.budgets if budget.covers(one)]
        number = 1 + max((sum(map(each.covers, self._gone)) for each in covering), default=0)
        within = self._disruptions.objection(one, number) is None
        return one.priority < self._pod.priority and within

    def remove(self, one: Workload) -> None:
        self._left = self._left.plus(Capacity.of_workload(one))
        self._gone.append(one)

    def keep(self, one: Workload) -> None:
        self._left = self._left.minus(Capacity.of_workload(one))
        self._gone.remove(one)
