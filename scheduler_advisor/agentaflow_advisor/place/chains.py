"""Chains of moves: a pod into a hole, or into the place of another, which goes on into a hole.

All kinds of pods are looked at at once, over arrays of kinds x nodes and kinds x pods. What a step
is worth is what the holes of the nodes that it touches are worth after it, less before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from agentaflow_advisor.place.board import Board, Step
from agentaflow_advisor.place.fleet import Integers
from agentaflow_advisor.place.scorer import Floats

NEVER = -1e12
_LONGEST = 3
_BEST = (60, 30, 20)  # chains that are tried in one round, by their length less one


class Chain(NamedTuple):
    """`steps` in the order in which they can be taken. `worth`: thousandths of a GPU by move."""

    worth: float
    steps: tuple[Step, ...]
    rows: frozenset[int]


@dataclass(frozen=True, slots=True)
class _Best:
    """By kind: what it is worth at most to put such a pod somewhere, and where that is."""

    worth: Floats
    where: Integers  # a row, or a pod whose place it takes
    slot: Integers


def insert(board: Board, kind: int) -> tuple[float, int, int]:
    """The best hole for a pod of this kind: worth, row, and slot (-1 without a GPU)."""
    share, cpu = int(board.share[kind]), board.cpu
    fits = board.allowed[kind] & (cpu >= board.millicores[kind])
    fits &= board.memory >= board.bytes[kind]
    rows = np.flatnonzero(fits)
    if share:
        rows = rows[(board.left[rows] >= share).any(axis=1)]
    if not len(rows):
        return NEVER, -1, -1
    return _insert(board, kind, rows)


def _insert(board: Board, kind: int, rows: Integers) -> tuple[float, int, int]:
    hole, share = board.prices.hole, int(board.share[kind])
    left, cpu = board.left[rows], board.cpu[rows]
    before = hole[left].sum(axis=1)
    after, slots = before, np.full(len(rows), -1)
    if share:
        lost = np.where(left >= share, hole[np.maximum(left - share, 0)] - hole[left], NEVER)
        slots = lost.argmax(axis=1)
        after = before + lost[np.arange(len(rows)), slots]
    worth = board.node_worth(after, cpu - board.millicores[kind]) - board.node_worth(before, cpu)
    best = int(worth.argmax())
    return float(worth[best]), int(rows[best]), int(slots[best])


class Round:
    """What is worth doing now; `movable` are the pods, of one GPU at most, that may be moved."""

    def __init__(self, board: Board, movable: Integers) -> None:
        self.board = board
        kinds = sorted(set(board.kind[movable].tolist()))
        holes = _nothing(len(board.demands))
        for kind in kinds:
            holes.worth[kind], holes.where[kind], holes.slot[kind] = insert(board, kind)
        self.pods, self.kinds = movable, kinds
        self.best = [holes]
        for _ in range(_LONGEST - 1):
            self.best.append(self._into_places(self.best[-1]))

    def chains(self, least: float) -> list[Chain]:
        """Those of at least this worth by move, the best first."""
        gained = self._gained()
        found: list[Chain] = []
        for depth, best in enumerate(self.best):
            worth = (gained + best.worth[self.board.kind[self.pods]]) / (depth + 1)
            ranked = np.argsort(-worth, kind="stable")[: _BEST[depth]]
            for index in ranked[worth[ranked] > least]:
                steps = tuple(self._steps(int(self.pods[index]), depth))
                rows = self._rows(steps)
                if len(rows) == len(steps) + 1:
                    found.append(Chain(float(worth[index]), steps[::-1], rows))
        return sorted(found, key=lambda chain: (-chain.worth, len(chain.steps), chain.steps))

    def _gained(self) -> Floats:
        """By pod, what its going is worth."""
        board, pods = self.board, self.pods
        row, slot, kind = board.row[pods], board.slot[pods], board.kind[pods]
        hole, before, cpu = board.prices.hole, board.hole_worth[row], board.cpu[row]
        left = board.left[row, np.maximum(slot, 0)]
        grown = np.where(slot >= 0, hole[left + board.share[kind]] - hole[left], 0.0)
        after = board.node_worth(before + grown, cpu + board.millicores[kind])
        gained: Floats = after - board.node_worth(before, cpu)
        return gained

    def _into_places(self, next_best: _Best) -> _Best:
        """For each kind the pod whose place is best taken, if that pod goes on as `next_best`."""
        board, kind = self.board, self.board.kind[self.pods]
        pods = self.pods[next_best.worth[kind] > NEVER / 2]
        kind, row = board.kind[pods], board.row[pods]
        slot = np.where(board.slot[pods] < 0, board.left[row].argmax(axis=1), board.slot[pods])
        left, cpu = board.left[row, slot], board.cpu[row] + board.millicores[kind]
        room, memory = left + board.share[kind], board.memory[row] + board.bytes[kind]
        others = board.hole_worth[row]
        before = board.node_worth(others, board.cpu[row]) - next_best.worth[kind]
        others = others - board.prices.hole[left]
        best = _nothing(len(board.demands))
        for one in self.kinds:
            fits = (room >= board.share[one]) & (cpu >= board.millicores[one])
            fits &= (memory >= board.bytes[one]) & (kind != one) & board.allowed[one][row]
            at = np.flatnonzero(fits)
            if not len(at):
                continue
            holes = others[at] + board.prices.hole[room[at] - board.share[one]]
            worth = board.node_worth(holes, cpu[at] - board.millicores[one]) - before[at]
            chosen = int(worth.argmax())
            best.worth[one], best.where[one] = worth[chosen], pods[at[chosen]]
            best.slot[one] = slot[at[chosen]] if board.share[one] else -1
        return best

    def _steps(self, pod: int, depth: int) -> Iterator[Step]:
        """The chain's steps, the last one to be taken first."""
        for level in range(depth, -1, -1):
            best, kind = self.best[level], self.board.kind[pod]
            where, slot = int(best.where[kind]), int(best.slot[kind])
            row = int(self.board.row[where]) if level else where
            yield Step(pod, row, (slot,) if slot >= 0 else ())
            pod = where

    def _rows(self, steps: tuple[Step, ...]) -> frozenset[int]:
        own = {int(self.board.row[step.pod]) for step in steps}
        return frozenset(own | {step.row for step in steps})


def _nothing(kinds: int) -> _Best:
    return _Best(np.full(kinds, NEVER), np.full(kinds, -1), np.full(kinds, -1))
