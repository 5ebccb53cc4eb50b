"""Defragmentation: few moves of running pods that make room for pods that wait.

A plan evicts one pod at a time, and only when its new place is free: no two are in between places,
and none is left without one. Three things make it up, until nothing is worth another move:

- chains of up to three moves, each pod into the place of the next and the last into a hole, that
  raise what the holes are worth by the prices of the cutting-stock programme (worth.py);
- seats for the pods that wait, largest first;
- whole pods, and gangs, moved off one node for a pod of several GPUs (seats.py).

Then every move without which all the same pods find room is left out again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from agentaflow_advisor.place.board import Board, Pod, Prices, Step
from agentaflow_advisor.place.chains import Round
from agentaflow_advisor.place.demand import WHOLE
from agentaflow_advisor.place.fleet import Booleans, Fleet, Integers
from agentaflow_advisor.place.ledger import Ledger
from agentaflow_advisor.place.seats import Unit, by_node, clear, fill, largest_first
from agentaflow_advisor.place.worth import cpu_per_gpu, holes

BUDGET_RATIO = 0.05
"""Of the pods that have a place, those that may be moved at most."""
_ROUNDS = 1000
_NEAR = 0.8  # of the best chain's worth, what others need to be taken in the same round
_THINNED = 0.25  # of the moves, those that are looked for anew
_PASSES = 3  # a plan that was shortened has moves to spare

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Search:
    """How to look for moves. What suits one cluster best does not suit all: several are tried."""

    unfinished: float  # what a hole for a share counts beside a whole GPU
    cpu: float  # GPUs that lack so many times the usual CPU are worth nothing
    least: float  # thousandths of a GPU that a move must be worth


SEARCHES = (Search(0.85, 2.0, 20.0), Search(0.9, 2.5, 20.0), Search(0.85, 2.5, 30.0))


@dataclass(frozen=True, slots=True)
class Move:
    """A running pod gets another place. Without it, the pods of `room_for` would wait on."""

    pod: str
    from_node: str
    from_gpus: tuple[int, ...]
    to_node: str
    to_gpus: tuple[int, ...]
    worth_gpus: float
    room_for: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Admission:
    """A pod that waits gets a place, as soon as what stands before it is done."""

    pod: str
    node: str
    gpus: tuple[int, ...]
    gpu_count: float


@dataclass(frozen=True, slots=True)
class Plan:
    """In the order in which each step is possible."""

    steps: tuple[Move | Admission, ...]
    budget: int  # moves, at most
    capacity_gpus: float
    unallocated_before: float  # GPUs
    unallocated_after: float

    @property
    def moves(self) -> tuple[Move, ...]:
        return tuple(step for step in self.steps if isinstance(step, Move))

    @property
    def admissions(self) -> tuple[Admission, ...]:
        return tuple(step for step in self.steps if isinstance(step, Admission))

    @property
    def gained_gpus(self) -> float:
        return self.unallocated_before - self.unallocated_after


def plan(
    fleet: Fleet,
    pods: Sequence[Pod],
    *,
    budget: int,
    groups: Booleans | None = None,
    searches: Sequence[Search] = SEARCHES,
    progress: Progress | None = None,
) -> Plan:
    """The best of the searches: at most `budget` moves.

    `fleet` is as it is with the pods on it, and stays so. `groups`, (groups x rows), tells the rows
    that a group of pods may go to; without it, any. Whatever order nodes and pods come in, the plan
    is the same.
    """
    rows = np.array(sorted(range(len(fleet)), key=lambda row: fleet.names[row]), dtype=np.int64)
    where = {int(row): index for index, row in enumerate(rows)}
    sorted_fleet = _ordered(fleet, rows)
    named = sorted(pods, key=lambda pod: pod.name)
    placed = [pod._replace(row=where.get(pod.row, -1)) for pod in named]
    free = np.ones((1, len(fleet)), dtype=bool) if groups is None else groups[:, rows]
    problem = Problem(sorted_fleet, placed, free, budget)
    best = problem.solve(searches, progress or (lambda _done, _all: None))
    return problem.told(best)


class Problem:
    """A fleet and its pods in order of names."""

    def __init__(self, fleet: Fleet, pods: list[Pod], groups: Booleans, budget: int) -> None:
        self.fleet, self.pods, self.groups, self.budget = fleet, pods, groups, budget
        self.ledger = Ledger(fleet, pods)
        self.waiting = [index for index, pod in enumerate(pods) if pod.row < 0]
        self.units = _units(pods)
        single = [unit[0] for unit in self.units if len(unit) == 1]
        self.single: Integers = np.array(
            [one for one in single if not pods[one].gang and pods[one].demand.gpus < 2], np.int64
        )

    def solve(self, searches: Sequence[Search], progress: Progress) -> list[Step]:
        """The best steps found. Each search goes on from them, without those of least worth."""
        best: list[Step] = []
        for number, search in enumerate(searches if self.waiting else ()):
            progress(number, len(searches))
            found = self._search(search, self._thinned(best))
            if (self.gained(found), -len(found)) > (self.gained(best), -len(best)):
                best = found
        return best

    def _search(self, search: Search, steps: list[Step]) -> list[Step]:
        """More steps after those, shortened as long as that leaves moves for others."""
        demands = [pod.demand for pod in self.pods]
        prices = Prices(
            holes(demands, search.unfinished), max(1.0, search.cpu * cpu_per_gpu(demands))
        )
        for _ in range(_PASSES):
            board = Board(self.fleet, self.pods, self.groups, prices)
            board.attempt(steps)
            length = len(board.steps)
            self._improve(board, search)
            if len(board.steps) == length and steps:
                break
            steps = self.ledger.needed(board.steps)
        return steps

    def _thinned(self, steps: list[Step]) -> list[Step]:
        """Without the moves that make the least room for their number, and what rests on those."""
        rests: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
        for index, step in enumerate(steps):
            if not self._waits(step):
                rests[self.ledger.lost(steps, index)].append(index)
        poorest = sorted(
            rests,
            key=lambda lost: (
                sum(self.pods[pod].demand.milli for pod in lost) / len(rests[lost]),
                lost,
            ),
        )
        gone: set[int] = set()
        for lost in poorest:
            if len(gone) >= _THINNED * sum(map(len, rests.values())):
                break
            gone.update(rests[lost])
        gone.update(self.ledger.replay(steps, gone))
        return self.ledger.needed([step for index, step in enumerate(steps) if index not in gone])

    def gained(self, steps: Sequence[Step]) -> int:
        """Thousandths of a GPU that pods get that wait."""
        return sum(self.pods[step.pod].demand.milli for step in steps if self._waits(step))

    def told(self, steps: Sequence[Step]) -> Plan:
        lost = [
            () if self._waits(step) else self.ledger.lost(steps, i) for i, step in enumerate(steps)
        ]
        worth = [float(sum(self.pods[one].demand.milli for one in each)) for each in lost]
        first = [np.inf if self._waits(s) else w for s, w in zip(steps, worth, strict=True)]
        place = {step.pod: (self.pods[step.pod].row, self.pods[step.pod].slots) for step in steps}
        found: list[Move | Admission] = []
        for index in self.ledger.order(steps, first):
            step, pod = steps[index], self.pods[steps[index].pod]
            row, slots = place[step.pod]
            place[step.pod] = (step.row, step.slots)
            name = self.fleet.names[step.row]
            if self._waits(step):
                found.append(Admission(pod.name, name, step.slots, pod.demand.milli / WHOLE))
                continue
            room = tuple(self.pods[one].name for one in lost[index])
            here = self.fleet.names[row]
            found.append(Move(pod.name, here, slots, name, step.slots, worth[index] / WHOLE, room))
        before = self.fleet.left_milli / WHOLE
        after = before - self.gained(steps) / WHOLE
        return Plan(tuple(found), self.budget, self.fleet.capacity_milli / WHOLE, before, after)

    def _waits(self, step: Step) -> bool:
        return self.pods[step.pod].row < 0

    def _moves(self, board: Board) -> int:
        return sum(not self._waits(step) for step in board.steps)

    def _improve(self, board: Board, search: Search) -> None:
        fill(board, self.waiting)
        for _ in range(_ROUNDS):
            if not (
                self._chains(board, search.least) or fill(board, self.waiting) or self._clear(board)
            ):
                return

    def _chains(self, board: Board, least: float) -> bool:
        """As many of the round's chains as touch different nodes."""
        spare = self.budget - self._moves(board)
        if spare < 1 or not len(self.single) or not self._wanted(board):
            return False
        touched: set[int] = set()
        done = False
        chains = Round(board, self.single).chains(least)
        for chain in chains:
            if chain.worth < _NEAR * chains[0].worth:
                break
            if len(chain.steps) > spare or chain.rows & touched:
                continue
            if board.attempt(chain.steps):
                touched |= chain.rows
                spare -= len(chain.steps)
                done = True
        return done

    def _wanted(self, board: Board) -> bool:
        """Whether any waits for whom single GPUs are enough."""
        return any(board.row[pod] < 0 and self.pods[pod].demand.gpus == 1 for pod in self.waiting)

    def _clear(self, board: Board) -> bool:
        """Room on one node for the largest pod for which it can be made."""
        spare = self.budget - self._moves(board)
        tried: set[int] = set()
        waiting = [pod for pod in self.waiting if board.row[pod] < 0] if spare > 0 else []
        units = by_node(board, self.units) if waiting else {}
        for pod in largest_first(board, waiting):
            kind = int(board.kind[pod])
            if kind not in tried and clear(board, pod, units, spare):
                return True
            tried.add(kind)
        return False


def _units(pods: Sequence[Pod]) -> list[Unit]:
    """Pods that may be moved, by themselves or with their whole gang."""
    gangs: dict[str, list[int]] = {}
    for index, pod in enumerate(pods):
        if pod.row >= 0:
            gangs.setdefault(f"gang {pod.gang}" if pod.gang else f"pod {index}", []).append(index)
    return [tuple(unit) for unit in gangs.values() if all(pods[one].movable for one in unit)]


def _ordered(fleet: Fleet, rows: Integers) -> Fleet:
    return replace(
        fleet,
        names=tuple(fleet.names[row] for row in rows),
        model=fleet.model[rows],
        gpus=fleet.gpus[rows],
        left=fleet.left[rows],
        cpu=fleet.cpu[rows],
        memory=fleet.memory[rows],
        kinds=fleet.kinds[rows],
        touched=[],
    )
