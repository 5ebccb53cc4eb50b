"""Proposals of preemption on a live cluster: who would have to go for a pod that finds no room.

Named are pods of lower priority on one node: that have opted in, that a controller makes again,
that no PodDisruptionBudget keeps and that are of no gang; the fewest, then the least work. Nothing
is evicted for it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from agentaflow_advisor.model import Refusal, Snapshot, Workload
from agentaflow_advisor.place.capacity import FINISHED, Capacity
from agentaflow_advisor.place.gangs import gangs
from agentaflow_advisor.place.queue import opted_in
from agentaflow_advisor.place.run import Run

HOUR = 3600.0
PROTECTED = "kube-system"


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

    def _may_go(self, pod: Workload, snapshot: Snapshot) -> bool:
        return (
            pod.node is not None
            and pod.phase not in FINISHED
            and not pod.deleting
            and bool(pod.owner)
            and pod.namespace != PROTECTED
            and opted_in(pod.labels)
            and opted_in(snapshot.namespaces.get(pod.namespace, {}))
        )

    def named_for(self, pod: Workload, refused: Refusal) -> Refusal:
        """The refusal with who would have to go; as it was where nobody may."""
        able = self._run.open_to(pod)
        found = [
            (len(going), self._hours(going), self._run.nodes[row].name, row, going)
            for row, there in self._on.items()
            if able[row] and (going := self._enough(pod, row, there))
        ]
        if not found:
            return refused
        _, hours, node, row, going = min(found, key=lambda each: each[:3])
        del self._on[row]
        names = tuple(each.ref for each in going)
        said = (
            f"; {node} would have room if {' and '.join(names)} went, of lower priority "
            f"({hours:.1f} GPU hours since they were created); nothing is evicted for it"
        )
        return Preemptable(refused.subject, refused.reason + said, node, names, round(hours, 3))

    def _enough(self, pod: Workload, row: int, there: Sequence[Workload]) -> list[Workload]:
        """The cheapest that make room, without those that could stay; none where all do not."""
        ask, left = Capacity.of_workload(pod), self._run.columns.at(row)
        going: list[Workload] = []
        for each in sorted(there, key=lambda one: (one.priority, self._hours([one]), one.ref)):
            if left.shortage(ask) is None:
                break
            if each.priority < pod.priority and self._is_free([*going, each]):
                going.append(each)
                left = left.plus(Capacity.of_workload(each))
        if left.shortage(ask) is not None:
            return []
        for each in reversed(tuple(going)):
            without = left.minus(Capacity.of_workload(each))
            if without.shortage(ask) is None:
                left = without
                going.remove(each)
        return going

    def _is_free(self, going: Sequence[Workload]) -> bool:
        """Whether the budgets let the last one go together with the others."""
        last = going[-1]
        covering = [one for one in self._disruptions.budgets if one.covers(last)]
        number = max((sum(map(one.covers, going)) for one in covering), default=1)
        return self._disruptions.objection(last, number) is None

    def _hours(self, pods: Sequence[Workload]) -> float:
        return sum(pod.gpus * max(0.0, self._now - pod.created_at) for pod in pods) / HOUR
