"""Chains of moves: a pod into a hole, or into the place of one or two others, which go on likewise.

All kinds of pods are looked at at once, over arrays of kinds x nodes and kinds x parcels. What a
step is worth is what the holes of the nodes that it touches are worth after it, less before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from agentaflow_advisor.place.board import Board, Step
from agentaflow_advisor.place.fleet import Integers
from agentaflow_advisor.place.parcels import gained, pairs, singles
from agentaflow_advisor.place.scorer import Floats

NEVER = -1e12
_MOST = 4  # moves of a chain
_BEST = 40  # chains that are tried in one round, of those with so many moves and leavers

Split = tuple[int, ...]
"""How many moves follow each pod of a parcel that leaves, its own among them."""


class Chain(NamedTuple):
    """`steps` in the order in which they can be taken. `worth`: thousandths of a GPU by move."""

    worth: float
    steps: tuple[Step, ...]
    rows: frozenset[int]
    moves: int


class _Place(NamedTuple):
    """Where a pod of some kind could go: a hole, or what this parcel leaves as it splits up."""

    worth: float
    row: int
    slot: int  # -1 without a GPU
    parcel: int = -1
    split: Split = ()


_NOWHERE = _Place(NEVER, -1, -1)


@dataclass(frozen=True, slots=True)
class _Best:
    """By kind the best place and the best on another node; the same as arrays (rank x kinds)."""

    places: list[tuple[_Place, _Place]]
    worth: Floats
    row: Integers

    @classmethod
    def of(cls, found: list[list[_Place]]) -> _Best:
        places = [_two(each) for each in found]
        worth = np.array([[place.worth for place in each] for each in places]).T
        row = np.array([[place.row for place in each] for each in places], np.int64).T
        return cls(places, worth, row)

    def rank(self, kind: Integers, row: Integers, other: Integers) -> Integers:
        """The second best for those whose best is on a node that the chain touches already."""
        first = self.row[0, kind]
        rank: Integers = ((first == row) | (first == other)).astype(np.int64)
        return rank


def _two(found: list[_Place]) -> tuple[_Place, _Place]:
    ranked = sorted(found, key=lambda place: -place.worth)
    first = next(iter(ranked), _NOWHERE)
    return first, next((place for place in ranked if place.row != first.row), _NOWHERE)


def insert(board: Board, kind: int) -> tuple[float, int, int]:
    """The best hole for a pod of this kind: worth, row, and slot (-1 without a GPU)."""
    worth, rows, slots = holes_of(board, kind)
    if not len(rows):
        return NEVER, -1, -1
    best = int(worth.argmax())
    return float(worth[best]), int(rows[best]), int(slots[best])


def holes_of(board: Board, kind: int) -> tuple[Floats, Integers, Integers]:
    """On each row with room for this kind, the best slot: worth, rows, slots."""
    share, cpu = int(board.share[kind]), board.cpu
    fits = board.allowed[kind] & (cpu >= board.millicores[kind])
    fits &= board.memory >= board.bytes[kind]
    rows = np.flatnonzero(fits)
    if share:
        rows = rows[(board.left[rows] >= share).any(axis=1)]
    hole, left, cpu = board.prices.hole, board.left[rows], cpu[rows]
    before = hole[left].sum(axis=1)
    after, slots = before, np.full(len(rows), -1)
    if share and len(rows):
        lost = np.where(left >= share, hole[np.maximum(left - share, 0)] - hole[left], NEVER)
        slots = lost.argmax(axis=1)
        after = before + lost[np.arange(len(rows)), slots]
    worth = board.node_worth(after, cpu - board.millicores[kind]) - board.node_worth(before, cpu)
    return worth, rows, slots


class Round:
    """What is worth doing now.

    `movable` are the pods, of one GPU at most, that may be moved; `waiting` those of one GPU that
    chains may end a wait of: with them free GPUs, over which the others move, are used up.
    """

    def __init__(self, board: Board, movable: Integers, waiting: Integers) -> None:
        self.board, self.waiting = board, waiting
        self.kinds = np.unique(board.kind[np.concatenate([movable, waiting])]).tolist()
        self.parcels = (singles(board, movable), pairs(board, movable))
        self.best = [_Best.of([[]] * len(board.demands)), self._into_holes()]
        for moves in range(2, _MOST + 1):
            found: list[list[_Place]] = [[] for _ in board.demands]
            for split in _splits(moves - 1):
                self._into_places(found, split)
            self.best.append(_Best.of(found))

    def chains(self, least: float) -> list[Chain]:
        """Those of at least this worth by move, the best first."""
        found = [*self._moves(least), *self._admissions(least)]
        return sorted(found, key=lambda chain: (-chain.worth, len(chain.steps), chain.steps))

    def _moves(self, least: float) -> Iterator[Chain]:
        """Chains that begin with pods that leave their GPU."""
        worth_of = [gained(self.board, parcels) for parcels in self.parcels]
        for moves in range(1, _MOST + 1):
            for split in _splits(moves):
                worth = (worth_of[len(split) - 1] + self._onward(split)) / moves
                for index in _highest(worth, least):
                    steps = tuple(self._leave(int(index), split))
                    rows = {step.row for step in steps} | {self._row(int(index), split)}
                    if len(rows) == len(steps) + 1:
                        yield Chain(float(worth[index]), steps, frozenset(rows), moves)

    def _admissions(self, least: float) -> Iterator[Chain]:
        """Chains that begin with a pod that waits, one of each kind."""
        kinds, first = np.unique(self.board.kind[self.waiting], return_index=True)
        for moves in range(1, _MOST):
            best = self.best[moves + 1]
            worth = (best.worth[0, kinds] + self.board.share[kinds]) / moves
            for index in _highest(worth, least):
                pod = int(self.waiting[first[index]])
                steps = tuple(self._steps(pod, best.places[kinds[index]][0]))
                rows = frozenset(step.row for step in steps)
                if len(rows) == len(steps):
                    yield Chain(float(worth[index]), steps, rows, moves)

    def _into_holes(self) -> _Best:
        found: list[list[_Place]] = [[] for _ in self.board.demands]
        for kind in self.kinds:
            worth, rows, slots = holes_of(self.board, kind)
            for at in np.argsort(-worth, kind="stable")[:2]:
                found[kind].append(_Place(float(worth[at]), int(rows[at]), int(slots[at])))
        return _Best.of(found)

    def _onward(self, split: Split) -> Floats:
        """By parcel, what it is worth that its pods go on like that."""
        parcels = self.parcels[len(split) - 1]
        worth, other = np.zeros(len(parcels.row)), np.full(len(parcels.row), -2)
        for member, moves in enumerate(split):
            best, kind = self.best[moves], parcels.kinds[:, member]
            rank = best.rank(kind, parcels.row, other)
            worth, other = worth + best.worth[rank, kind], best.row[rank, kind]
        return worth

    def _into_places(self, found: list[list[_Place]], split: Split) -> None:
        """For each kind the parcels whose places are best taken, if they go on like that."""
        board, parcels = self.board, self.parcels[len(split) - 1]
        onward = self._onward(split)
        able = np.flatnonzero(onward > NEVER / 2)
        row, onward = parcels.row[able], onward[able]
        slot = np.where(parcels.slot[able] < 0, board.left[row].argmax(axis=1), parcels.slot[able])
        left, cpu = board.left[row, slot], board.cpu[row] + parcels.millicores[able]
        room, memory = left + parcels.share[able], board.memory[row] + parcels.bytes[able]
        others = board.hole_worth[row]
        before = board.node_worth(others, board.cpu[row]) - onward
        others = others - board.prices.hole[left]
        alone = parcels.kinds[able, 0] if len(split) == 1 else np.full(len(able), -1)
        for kind in self.kinds:
            share = int(board.share[kind])
            fits = (room >= share) & (cpu >= board.millicores[kind])
            fits &= (memory >= board.bytes[kind]) & (alone != kind) & board.allowed[kind][row]
            at = np.flatnonzero(fits)
            holes = others[at] + board.prices.hole[room[at] - share]
            worth = board.node_worth(holes, cpu[at] - board.millicores[kind]) - before[at]
            for _ in range(2 if len(at) else 0):
                best = int(worth.argmax())
                one = at[best]
                to = int(slot[one]) if share else -1
                place = _Place(float(worth[best]), int(row[one]), to, int(able[one]), split)
                if place.worth > NEVER / 2:
                    found[kind].append(place)
                worth[row[at] == place.row] = NEVER

    def _row(self, parcel: int, split: Split) -> int:
        return int(self.parcels[len(split) - 1].row[parcel])

    def _leave(self, parcel: int, split: Split) -> Iterator[Step]:
        """The steps by which a parcel goes, in the order in which they can be taken."""
        parcels = self.parcels[len(split) - 1]
        at, other = np.array(parcel), np.array(-2)
        for member, moves in enumerate(split):
            best, kind = self.best[moves], parcels.kinds[at, member]
            place = best.places[int(kind)][int(best.rank(kind, parcels.row[at], other))]
            yield from self._steps(int(parcels.pods[parcel, member]), place)
            other = np.array(place.row)

    def _steps(self, pod: int, place: _Place) -> Iterator[Step]:
        """First those that leave the place, then the pod that takes it."""
        if place.split:
            yield from self._leave(place.parcel, place.split)
        yield Step(pod, place.row, (place.slot,) if place.slot >= 0 else ())


def _splits(moves: int) -> list[Split]:
    """So many moves, by the pods of a parcel of one or of two."""
    return [(moves,), *((one, moves - one) for one in range(1, moves))]


def _highest(worth: Floats, least: float) -> Integers:
    ranked = np.argsort(-worth, kind="stable")[:_BEST]
    high: Integers = ranked[worth[ranked] > least]
    return high
