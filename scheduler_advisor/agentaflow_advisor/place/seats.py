"""Seats for pods that have none: those that wait, and those that had to make room on a node."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations, islice

import numpy as np

from agentaflow_advisor.place.board import Board, Step
from agentaflow_advisor.place.chains import holes_of, insert
from agentaflow_advisor.place.demand import WHOLE

_UNITS = 3  # pods, or whole gangs, that make room for one
_NODES = 32  # that are looked at for one kind of pod
_TRIED = 2000  # ways to make room for it

Unit = tuple[int, ...]
"""Pods that go together."""


def seat(board: Board, pod: int) -> Step | None:
    """The hole for it that costs least."""
    kind = int(board.kind[pod])
    gpus = int(board.gpus[kind])
    if gpus < 2:
        _, row, slot = insert(board, kind)
        return None if row < 0 else Step(pod, row, (slot,) if slot >= 0 else ())
    whole = (board.left >= WHOLE).sum(axis=1)
    fits = board.allowed[kind] & (whole >= gpus)
    fits &= (board.cpu >= board.millicores[kind]) & (board.memory >= board.bytes[kind])
    if not fits.any():
        return None
    row = int(np.where(fits, whole, np.iinfo(np.int64).max).argmin())
    slots = np.flatnonzero(board.left[row] >= WHOLE)[:gpus]
    return Step(pod, row, tuple(slots.tolist()))


def largest_first(board: Board, pods: Iterable[int]) -> list[int]:
    """Those that ask for most GPUs, then for most CPU; pods are in order of their names."""

    def size(pod: int) -> tuple[int, int, int]:
        kind = board.kind[pod]
        return (
            -int(board.gpus[kind] * board.share[kind]),
            -int(board.millicores[kind]),
            pod,
        )

    return sorted(pods, key=size)


def fill(board: Board, waiting: Iterable[int]) -> bool:
    """Seat those that wait, as far as there is room. Whether any was seated."""
    full: set[int] = set()
    length = len(board.steps)
    for pod in largest_first(board, (pod for pod in waiting if board.row[pod] < 0)):
        kind = int(board.kind[pod])
        step = None if kind in full else seat(board, pod)
        if step is None:
            full.add(kind)
        else:
            board.attempt([step])
    return len(board.steps) > length


def by_node(board: Board, units: Iterable[Unit]) -> Mapping[int, list[Unit]]:
    """The units with a pod on each row."""
    rows = board.row.tolist()
    found: defaultdict[int, list[Unit]] = defaultdict(list)
    for unit in units:
        for row in sorted({rows[one] for one in unit}):
            found[row].append(unit)
    return found


def clear(board: Board, pod: int, by_row: Mapping[int, list[Unit]], most: int) -> bool:
    """Seat one that waits by moving at most so many pods off one node, the fewest that will do."""
    homes: dict[int, set[int]] = {}
    ways = [
        way
        for row in _likely(board, int(board.kind[pod]), by_row)
        for way in _ways(board, pod, row, by_row[row], most)
        if all(board.row[one] != row or _homes(board, one, homes) - {row} for one in way[-1])
    ]
    return any(
        _try(board, pod, row, leaving) for _, _, row, leaving in islice(sorted(ways), _TRIED)
    )


def _homes(board: Board, pod: int, known: dict[int, set[int]]) -> set[int]:
    """Rows with room for a pod of one GPU at most; any row for one of several."""
    kind = int(board.kind[pod])
    if kind not in known:
        several = board.gpus[kind] > 1
        rows = np.arange(len(board.cpu)) if several else holes_of(board, kind)[1]
        known[kind] = set(rows.tolist())
    return known[kind]


def _likely(board: Board, kind: int, by_row: Mapping[int, list[Unit]]) -> list[int]:
    """Nodes that may take it, those first on which the fewest pods would have to go."""
    free = (board.left >= board.share[kind]).sum(axis=1)
    largest = max(1, int((board.left >= WHOLE).sum(axis=1).max(initial=0)))  # that has a place
    size = ((board.gpus * board.share)[board.kind] / WHOLE).tolist()
    rows = board.row.tolist()
    ranked: list[tuple[int, int]] = []
    for row in sorted(by_row):
        if not board.allowed[kind, row]:
            continue
        lacking = float(board.gpus[kind] - free[row])
        going = 0
        for gpus in sorted(_held(unit, rows, size, row, largest) for unit in by_row[row]):
            if lacking <= 0:
                break
            lacking += gpus
            going += 1
        if lacking < 1:
            ranked.append((going, row))
    return [row for _, row in sorted(ranked)[:_NODES]]


def _held(unit: Unit, rows: list[int], size: list[float], row: int, largest: int) -> float:
    """GPUs of this row that it holds, below zero; none where one of its pods has no place to go."""
    there = [size[pod] for pod in unit if rows[pod] == row]
    return -sum(there) if max(there) <= largest else 0.0


def _ways(
    board: Board, pod: int, row: int, units: list[Unit], most: int
) -> Iterator[tuple[int, int, int, tuple[int, ...]]]:
    """(pods that restart, what they hold, row, which) for each way in which there is room."""
    for number in range(1, _UNITS + 1):
        for chosen in combinations(units, number):
            leaving = tuple(sorted({one for unit in chosen for one in unit}))
            if len(leaving) <= most and _has_room(board, pod, row, leaving):
                kinds = board.kind[list(leaving)]
                yield len(leaving), int((board.gpus * board.share)[kinds].sum()), row, leaving


def _has_room(board: Board, pod: int, row: int, leaving: tuple[int, ...]) -> bool:
    kind = board.kind[pod]
    there = [one for one in leaving if board.row[one] == row]
    kinds = board.kind[there]
    if board.cpu[row] + board.millicores[kinds].sum() < board.millicores[kind]:
        return False
    if board.memory[row] + board.bytes[kinds].sum() < board.bytes[kind]:
        return False
    left = board.left[row].copy()
    for one in there:
        left[list(board.slots[one])] += board.share[board.kind[one]]
    return bool((left >= board.share[kind]).sum() >= board.gpus[kind])


def _try(board: Board, pod: int, row: int, leaving: tuple[int, ...]) -> bool:
    """Move them and seat it there; members of a gang on other nodes restart where they are."""
    length = len(board.steps)
    allowed = board.allowed
    board.allowed = allowed.copy()
    board.allowed[:, row] = False
    try:
        for one in largest_first(board, leaving):
            elsewhere = board.row[one] != row
            step = board.place(one) if elsewhere else seat(board, one)
            if step is None or not board.attempt([step]):
                board.undo(length)
                return False
    finally:
        board.allowed = allowed
    kind = board.kind[pod]
    slots = np.flatnonzero(board.left[row] >= board.share[kind])[: board.gpus[kind]]
    if board.attempt([Step(pod, row, tuple(slots.tolist()))]):
        return True
    board.undo(length)
    return False
