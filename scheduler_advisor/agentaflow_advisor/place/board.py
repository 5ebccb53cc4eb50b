"""Pods on a fleet, to be moved about: what fits where, and what the room that is left is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from agentaflow_advisor.place.demand import ANY_MODEL, WHOLE, Demand
from agentaflow_advisor.place.fleet import Booleans, Fleet, Integers
from agentaflow_advisor.place.scorer import Floats


class Pod(NamedTuple):
    """A pod that has its place, or one that waits (`row` -1). Names are unique.

    `rows` is the group of nodes that it may go to, by its index among those of the problem. A pod
    of a `gang` moves with all of that name or not at all.
    """

    name: str
    demand: Demand
    row: int = -1
    slots: tuple[int, ...] = ()
    movable: bool = True
    gang: str = ""
    rows: int = 0


class Step(NamedTuple):
    """The pod of this index gets this place."""

    pod: int
    row: int
    slots: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Prices:
    """`hole`: what is left of a GPU → thousandths of a GPU; `cpu`: millicores that a GPU needs."""

    hole: Floats
    cpu: float


class Board:
    """A copy of the fleet's arrays. `steps` is what was done since; it can be replayed."""

    def __init__(self, fleet: Fleet, pods: Sequence[Pod], groups: Booleans, prices: Prices) -> None:
        self.pods = pods
        self.prices = prices
        self.left, self.cpu, self.memory = fleet.left.copy(), fleet.cpu.copy(), fleet.memory.copy()
        kinds = sorted({(pod.demand, pod.rows) for pod in pods})
        number = {kind: index for index, kind in enumerate(kinds)}
        self.demands = [demand for demand, _ in kinds]
        self.share = np.array([one.share if one.gpus else 0 for one in self.demands], np.int64)
        self.gpus = np.array([one.gpus for one in self.demands], np.int64)
        self.millicores = np.array([one.cpu_millicores for one in self.demands], np.int64)
        self.bytes = np.array([one.memory_bytes for one in self.demands], np.int64)
        self.allowed = np.array([_may(fleet, demand) & groups[rows] for demand, rows in kinds])
        self.kind = np.array([number[pod.demand, pod.rows] for pod in pods], np.int64)
        self.row = np.array([pod.row for pod in pods], np.int64)
        self.slots = [pod.slots for pod in pods]
        self.slot = np.array([pod.slots[0] if pod.slots else -1 for pod in pods], np.int64)
        self.steps: list[Step] = []
        self._before: list[Step] = []

    def fits(self, pod: int, row: int, slots: tuple[int, ...]) -> bool:
        """Whether that place is free for it."""
        if row == self.row[pod] and slots == self.slots[pod]:
            return True  # it only restarts
        kind = self.kind[pod]
        return (
            bool(self.allowed[kind, row])
            and self.cpu[row] >= self.millicores[kind]
            and self.memory[row] >= self.bytes[kind]
            and all(self.left[row, slot] >= self.share[kind] for slot in slots)
        )

    def attempt(self, steps: Sequence[Step]) -> bool:
        """Take all of them one after the other, or none where a place is not free by then."""
        length = len(self.steps)
        for step in steps:
            if not self.fits(*step):
                self.undo(length)
                return False
            self._before.append(self.place(step.pod))
            self.steps.append(step)
            self._put(step)
        return True

    def undo(self, length: int) -> None:
        """Take back the last steps, until there are so many."""
        while len(self.steps) > length:
            self.steps.pop()
            self._put(self._before.pop())

    def place(self, pod: int) -> Step:
        """Where it is now."""
        return Step(pod, int(self.row[pod]), self.slots[pod])

    def _put(self, step: Step) -> None:
        pod = step.pod
        if self.row[pod] >= 0:
            self._add(pod, 1)
        self.row[pod], self.slots[pod] = step.row, step.slots
        self.slot[pod] = step.slots[0] if step.slots else -1
        if step.row >= 0:
            self._add(pod, -1)

    def _add(self, pod: int, sign: int) -> None:
        kind, row = self.kind[pod], self.row[pod]
        for slot in self.slots[pod]:
            self.left[row, slot] += sign * self.share[kind]
        self.cpu[row] += sign * self.millicores[kind]
        self.memory[row] += sign * self.bytes[kind]

    def node_worth(self, holes: Floats, cpu: Integers) -> Floats:
        """Of the holes of a node, no more than its CPU can feed."""
        worth: Floats = np.minimum(holes, cpu * (WHOLE / self.prices.cpu))
        return worth

    @property
    def hole_worth(self) -> Floats:
        """Of all holes of each node together, whatever its CPU."""
        worth: Floats = self.prices.hole[self.left].sum(axis=1)
        return worth


def _may(fleet: Fleet, demand: Demand) -> Booleans:
    """Rows of a model that will do."""
    if demand.models == ANY_MODEL:
        return np.ones(len(fleet), dtype=bool)
    able = np.array([demand.models >> index & 1 for index in range(len(fleet.models))], dtype=bool)
    rows: Booleans = able[fleet.model]
    return rows
