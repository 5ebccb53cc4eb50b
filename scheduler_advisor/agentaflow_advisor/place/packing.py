"""Where pods fit together, if anywhere: for unlike ones a bounded exact search, depth first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Amounts = tuple[int, ...]
"""Of each resource that one of the pods asks for, in one order."""
MOST = 64  # pods
WORK = 400_000
"""Rows looked at, at most: about a second; all tries of 6 pods on 8 nodes, whatever their sizes."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What one pod asks for, and the rows whose rules let it in."""

    amounts: Amounts
    rows: frozenset[int]


@dataclass(frozen=True, slots=True)
class Packing:
    """`rows` is None where none was found: where all was tried, there is none."""

    rows: tuple[int, ...] | None
    all_tried: bool


@dataclass(frozen=True, slots=True)
class Wanted:
    """Pods that belong together, and what the rows that one of them may go to have left; amounts
    are in the order of the `names`.
    """

    names: tuple[str, ...]
    asks: tuple[Ask, ...]
    free: dict[int, Amounts]

    def packed(self, work: int = WORK) -> Packing:
        return pack(self.asks, self.free, work)

    def one_more(self, row: int) -> Wanted:
        """Of its largest pod, on that row alone, one more than fit there."""
        largest = max(self.asks, key=lambda ask: ask.amounts)
        rows = frozenset((row,)) & largest.rows
        number = 1 + often(largest.amounts, self.free[row])
        return Wanted(self.names, (Ask(largest.amounts, rows),) * number, {row: self.free[row]})


def often(ask: Amounts, left: Amounts) -> int:
    """How many times it fits."""
    return max(0, min(b // a for a, b in zip(ask, left, strict=True) if a))


def pack(asks: Sequence[Ask], free: Mapping[int, Amounts], work: int = WORK) -> Packing:
    """Rows for all of the pods, in their order; those that leave the least are tried first."""
    if len(set(asks)) == 1:
        return _alike(asks[0], len(asks), free)
    if not _enough(asks, free):
        return Packing(None, True)
    if len(asks) > MOST:
        return Packing(None, False)
    order = sorted(range(len(asks)), key=lambda n: tuple(-each for each in asks[n].amounts))
    search = _Search([asks[number] for number in order], free, work)
    if not search.fits():
        return Packing(None, search.work > 0)
    row_of = dict(zip(order, search.taken, strict=True))
    return Packing(tuple(row_of[number] for number in range(len(asks))), True)


def _alike(ask: Ask, number: int, free: Mapping[int, Amounts]) -> Packing:
    """Equal pods fit if one after the other does."""
    rows: list[int] = []
    for row in sorted(ask.rows):
        rows += [row] * min(often(ask.amounts, free[row]), number - len(rows))
    return Packing(tuple(rows) if len(rows) == number else None, True)


def _enough(asks: Sequence[Ask], free: Mapping[int, Amounts]) -> bool:
    """Whether there is as much of each resource, on all rows together, as they ask for."""
    wanted = map(sum, zip(*(ask.amounts for ask in asks), strict=True))
    there = map(sum, zip(*(map(_positive, left) for left in free.values()), strict=True))
    return all(ask.rows for ask in asks) and all(a <= b for a, b in zip(wanted, there, strict=True))


def _positive(amount: int) -> int:
    return max(0, amount)


class _Search:
    def __init__(self, asks: Sequence[Ask], free: Mapping[int, Amounts], work: int) -> None:
        self.taken: list[int] = []
        self.work = work
        self._asks = asks
        self._kind = {row: tuple(row in ask.rows for ask in asks) for row in free}
        alike: Counter[tuple[object, ...]] = Counter()
        self._free: dict[int, Amounts] = {}
        for row, left in free.items():  # of equal rows, no more than there are pods
            key = (self._kind[row], left)
            alike[key] += 1
            if alike[key] <= len(asks) and any(self._kind[row]):
                self._free[row] = left
        self._vain: set[tuple[object, ...]] = set()

    def fits(self) -> bool:
        """Whether the pods that are not taken yet find room."""
        number = len(self.taken)
        if number == len(self._asks):
            return True
        ask = self._asks[number]
        state = (number, *sorted((self._kind[row], left) for row, left in self._free.items()))
        if state in self._vain:
            return False
        for row in self._choices(ask):
            left = self._free[row]
            self._free[row] = tuple(a - b for a, b in zip(left, ask.amounts, strict=True))
            self.taken.append(row)
            if self.fits():
                return True
            self.taken.pop()
            self._free[row] = left
            if self.work <= 0:
                return False
        self._vain.add(state)
        return False

    def _choices(self, ask: Ask) -> list[int]:
        """One of each kind of row with the same left, the fullest first."""
        self.work -= len(self._free)
        found: dict[tuple[Amounts, tuple[bool, ...]], int] = {}
        for row, left in self._free.items():
            enough = (b == 0 or a >= b for a, b in zip(left, ask.amounts, strict=True))
            if row in ask.rows and all(enough):
                found.setdefault((left, self._kind[row]), row)
        return [found[key] for key in sorted(found)]
