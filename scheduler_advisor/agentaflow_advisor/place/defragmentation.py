"""Defragmentation: few moves of running pods that make room for pods that wait.

A plan evicts one pod at a time, and only when its new place is free: no two are in between places,
and none is left without one. Three things make it up, until nothing is worth another move:

- chains of up to four moves, each pod into a hole or into the place of one or two others that go on
  likewise, that raise what the holes are worth by the prices of the cutting-stock programme
  (chains.py, worth.py), or that end in a seat for a pod that waits;
- seats for the pods that wait, largest first;
- whole pods, and gangs, moved off one node for a pod of several GPUs (seats.py).

Then moves are merged (shortcuts.py), and every move without which all the same pods find room is
left out; with what that spares of the budget a part of the plan is looked for anew (search.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from agentaflow_advisor.place.board import Pod, Step
from agentaflow_advisor.place.demand import WHOLE
from agentaflow_advisor.place.fleet import Booleans, Fleet, Integers
from agentaflow_advisor.place.search import Progress, Search

BUDGET_RATIO = 0.05
"""Of the pods that have a place, those that may be moved at most."""
RUINS = 16
"""How often a part of the plan is taken back and looked for anew."""


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
    ruins: int = RUINS,
    progress: Progress | None = None,
) -> Plan:
    """The best that is found with at most `budget` moves.

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
    search = Search(sorted_fleet, placed, free, budget)
    return _told(search, search.best(ruins, progress or (lambda _done, _all: None)))


def _told(search: Search, steps: Sequence[Step]) -> Plan:
    lost = [
        () if search.waits(step) else search.ledger.lost(steps, i) for i, step in enumerate(steps)
    ]
    worth = [float(sum(search.pods[one].demand.milli for one in each)) for each in lost]
    first = [np.inf if search.waits(s) else w for s, w in zip(steps, worth, strict=True)]
    place = {step.pod: (search.pods[step.pod].row, search.pods[step.pod].slots) for step in steps}
    found: list[Move | Admission] = []
    for index in search.ledger.order(steps, first):
        step, pod = steps[index], search.pods[steps[index].pod]
        row, slots = place[step.pod]
        place[step.pod] = (step.row, step.slots)
        name = search.fleet.names[step.row]
        if search.waits(step):
            found.append(Admission(pod.name, name, step.slots, pod.demand.milli / WHOLE))
            continue
        room = tuple(search.pods[one].name for one in lost[index])
        here = search.fleet.names[row]
        found.append(Move(pod.name, here, slots, name, step.slots, worth[index] / WHOLE, room))
    before = search.fleet.left_milli / WHOLE
    after = before - search.gained(steps) / WHOLE
    return Plan(tuple(found), search.budget, search.fleet.capacity_milli / WHOLE, before, after)


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
