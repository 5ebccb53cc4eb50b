"""One placement run on a live cluster: what it reads once, and what each placed pod changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from agentaflow_advisor.model import Placement, Refusal, Snapshot, Workload
from agentaflow_advisor.place.capacity import GPUS, Capacity, occupancy
from agentaflow_advisor.place.columns import Columns
from agentaflow_advisor.place.feasibility import EvidenceSettings, unusable
from agentaflow_advisor.place.filters import Filters
from agentaflow_advisor.place.fleet import Booleans, Integers
from agentaflow_advisor.place.packing import Ask, Packing, Wanted
from agentaflow_advisor.place.queue import asked_strategy
from agentaflow_advisor.place.strategy import (
    Aging,
    Candidate,
    Offers,
    Ranks,
    Strategy,
)
from agentaflow_advisor.place.topology import TOPOLOGY_LABELS, Topology, rooms
from agentaflow_advisor.place.view import Ground, View
from agentaflow_advisor.place.words import counted, why

Result = Placement | Refusal


class Step(NamedTuple):
    """A pod and the row that it was given: what is needed to take it back."""

    pod: Workload
    row: int
    turn: int  # of its strategy before it


class Beside(NamedTuple):
    """Of a gang: the rows of members that have a node, and how many are coming, this one too."""

    rows: Sequence[int]
    coming: int


class Run:
    """Places one pod after the other. Rows are the nodes that Kubernetes knows, in order of
    their names. A pod may ask for one of the `others` instead of the run's own strategy.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        strategy: Strategy,
        *,
        held: Mapping[str, str] | None = None,
        last_nodes: Mapping[str, str] | None = None,
        evidence: EvidenceSettings | None = None,
        topology: Sequence[str] = TOPOLOGY_LABELS,
        others: Sequence[Strategy] = (),
    ) -> None:
        self.strategy = strategy
        self.nodes = sorted((node for node in snapshot.nodes if node.known), key=lambda n: n.name)
        self.steps: list[Step] = []
        self.kept: dict[int, str] = {}  # pod by the row that is kept for it
        self._unknown = len(snapshot.nodes) - len(self.nodes)
        gpus, attributed = snapshot.gpus_by_node, snapshot.attributed
        there = [gpus.get((node.cluster, node.name), ()) for node in self.nodes]
        broken = [
            unusable(node, cards, pods_are_known=node.cluster in attributed)
            for node, cards in zip(self.nodes, there, strict=True)
        ]
        taken = occupancy(self.nodes, snapshot.workloads, held or {})
        rows = {node.name: row for row, node in enumerate(self.nodes)}
        self.row_of = {pod: rows[name] for pod, name in taken.node_of.items()}  # before the run
        self.topology = Topology(self.nodes, topology)
        self.columns = Columns.of(self.nodes, taken, broken)
        self._offered = Columns.offered(self.nodes, broken)
        self._filters = Filters(self.nodes, snapshot.missing)
        useless = {node.name: count for node, count in zip(self.nodes, broken, strict=True)}
        ground = Ground(self.nodes, taken.free, gpus, useless, snapshot.workloads, evidence)
        self._views = {
            each.name: ground.view(each, (last_nodes or {}).get(each.name))
            for each in (*others, strategy)
        }

    def place(self, pod: Workload, beside: Beside | None = None, only: int = -1) -> Result:
        """The node for this pod, which is taken for it, or why none has room. With others of its
        gang `beside` it, near them; or at that row `only`. What cannot be judged (queue.unjudged)
        is not to be asked.
        """
        ask, view = Capacity.of_workload(pod), self._view(pod)
        able, refused = self._judge(pod, ask, view)
        if only >= 0:
            able = able & (np.arange(len(able)) == only)
        if not able.any():
            return Refusal(pod.ref, f"no node can take it: {counted(refused)}")
        ranks = view.strategy.rank(self._offers(pod, ask, view))
        near = {} if beside is None else self._near(able, ask, beside)
        told = [
            self._candidate(row, pod, ask, ranks, near, view)
            for row in best_two(able, {**near, **ranks})
        ]
        self._take(pod, ask, told[0].row, view)
        standing = self.strategy.standing(pod) if isinstance(self.strategy, Aging) else ""
        return _placement(pod, view.strategy, told, refused, standing)

    def _view(self, pod: Workload) -> View:
        return self._views.get(asked_strategy(pod), self._views[self.strategy.name])

    def _near(self, able: Booleans, ask: Capacity, beside: Beside) -> Ranks:
        asked = {name: amount for name, amount in ask.amounts().items() if amount}
        left = [self.columns.of_resource(name) for name in asked]
        free = rooms(able, left, tuple(asked.values()), beside.coming)
        return self.topology.ranks(beside.rows, free, beside.coming)

    def undo(self, length: int) -> None:
        """Take back what was placed, down to the first so many."""
        while len(self.steps) > length:
            pod, row, turn = self.steps.pop()
            self.columns.take(row, Capacity.of_workload(pod), promised=_promised(pod), sign=-1)
            self._view(pod).turn = turn
            for view in self._views.values():
                view.give_back()

    def keep(self, pods: Sequence[Workload], name: str) -> tuple[str, ...]:
        """Keep nodes for pods: of those that could take one if nothing ran there, the ones with
        the most GPUs free. Nothing else is placed on them, so they only get emptier. Their names;
        none where there are not enough.
        """
        room: dict[int, Capacity] = {}
        for pod in pods:
            ask = Capacity.of_workload(pod)
            able = self._filters.of(pod).able
            row = next((r for r in room if able[r] and room[r].shortage(ask) is None), None)
            if row is None:
                able, _ = self._offered.narrow(self._without(able, (*self.kept, *room)), ask)
                if not able.any():
                    return ()
                row = best(np.flatnonzero(able), {GPUS: self.columns.left[GPUS]})
                room[row] = self._offered.at(row)
            room[row] = room[row].minus(ask)
        self.kept.update(dict.fromkeys(room, name))
        return tuple(self.nodes[row].name for row in sorted(room))

    def packed(self, pods: Sequence[Workload]) -> Packing:
        """Rows on which all of them fit at once, whatever the strategy would choose."""
        able = [self._judge(pod, Capacity.of_workload(pod), self._view(pod))[0] for pod in pods]
        return self.wanted(pods, able).packed()

    def wanted(self, pods: Sequence[Workload], able: Sequence[Booleans]) -> Wanted:
        """All of these pods, each on one of its `able` rows."""
        asked = [Capacity.of_workload(pod).amounts() for pod in pods]
        names = tuple(dict.fromkeys(name for ask in asked for name in ask))
        asks = tuple(
            Ask(tuple(ask.get(each, 0) for each in names), frozenset(np.flatnonzero(on).tolist()))
            for ask, on in zip(asked, able, strict=True)
        )
        left = np.stack([self.columns.of_resource(name) for name in names], axis=1)
        rows = sorted(frozenset().union(*(ask.rows for ask in asks)))
        return Wanted(names, asks, {row: tuple(left[row].tolist()) for row in rows})

    def open_to(self, pod: Workload) -> Booleans:
        """The rows that could take it if there were room."""
        able = self._without(self._filters.of(pod).able, self.kept)
        return self._view(pod).evidence.narrow(able)[0]

    def _judge(self, pod: Workload, ask: Capacity, view: View) -> tuple[Booleans, Counter[str]]:
        """The rows that can take it, and of how many nodes which reason holds first."""
        able, refused = self._filters.of(pod)
        refused = Counter(refused)
        if self._unknown:
            refused["not known to Kubernetes"] = self._unknown
        for row, name in self.kept.items():
            if able[row]:
                refused[f"kept for {name}, which is overdue"] += 1
        able, short = self.columns.narrow(self._without(able, self.kept), ask)
        able, unmeasured = view.evidence.narrow(able)
        return able, refused + short + unmeasured

    def _without(self, able: Booleans, rows: Collection[int]) -> Booleans:
        if not rows:
            return able
        able = able.copy()
        able[list(rows)] = False
        return able

    def _offers(self, pod: Workload, ask: Capacity, view: View) -> Offers:
        left = self.columns.after(ask)
        return Offers(
            left=left,
            extended_left=(
                np.sum([left[name] for name, _ in ask.extended], axis=0) if ask.extended else None
            ),
            promised_gpus=self.columns.promised,
            measured_gpus=view.evidence.gpus,
            measured=view.evidence.high,
            next_row=view.turn,
            values=view.values(pod),
        )

    def _candidate(
        self, row: int, pod: Workload, ask: Capacity, ranks: Ranks, near: Ranks, view: View
    ) -> Candidate:
        left = self.columns.at(row).minus(ask)
        asked = dict(ask.extended)
        return Candidate(
            node=self.nodes[row],
            row=row,
            left=left,
            extended=tuple(each for each in left.extended if each[0] in asked),
            promised_gpus=int(self.columns.promised[row]),
            ranks={name: column[row].item() for name, column in ranks.items()},
            parts=view.parts(pod, row),
            near={name: column[row].item() for name, column in near.items()},
        )

    def _take(self, pod: Workload, ask: Capacity, row: int, view: View) -> None:
        for each in self._views.values():
            each.take(pod, row)
        self.columns.take(row, ask, promised=_promised(pod))
        self.steps.append(Step(pod, row, view.turn))
        view.turn = row + 1


def best_two(able: Booleans, ranks: Ranks) -> list[int]:
    """The best of the able rows and, where there is one, the second best."""
    rows = np.flatnonzero(able)
    first = best(rows, ranks)
    others = rows[rows != first]
    return [first, best(others, ranks)] if len(others) else [first]


def best(rows: Integers, ranks: Ranks) -> int:
    """The row with the greatest ranks, compared from the left; the first of equals."""
    for column in ranks.values():
        values = column[rows]
        rows = rows[values == values.max()]
    return int(rows[0])


def _promised(pod: Workload) -> int:
    """A pod that is not bound is promised its GPUs, but does not use them yet."""
    return pod.gpus if pod.node is None else 0


def _placement(
    pod: Workload,
    strategy: Strategy,
    told: list[Candidate],
    refused: Mapping[str, int],
    standing: str,
) -> Placement:
    chosen, *others = told
    return Placement(
        workload=pod,
        node=chosen.node.name,
        hostname=chosen.node.hostname,
        strategy=strategy.name,
        score=next(iter(chosen.ranks.values())),
        runner_up=others[0].node.name if others else None,
        refused=dict(sorted(refused.items())),
        why=why(strategy, told, refused, standing),
        parts=chosen.all_parts,
        runner_up_parts=others[0].all_parts if others else {},
    )
