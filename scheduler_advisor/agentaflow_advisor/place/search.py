"""The search for moves: chains, seats and rooms, of which poor parts are taken back and redone.

To take back a part of a solution and to look anew is ruin and recreate (Schrimpf et al., 2000), or
large neighbourhood search (Shaw, 1998).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np

from agentaflow_advisor.place.board import Board, Pod, Prices, Step
from agentaflow_advisor.place.chains import Round
from agentaflow_advisor.place.fleet import Booleans, Fleet, Integers
from agentaflow_advisor.place.ledger import Ledger
from agentaflow_advisor.place.seats import Unit, by_node, clear, fill, largest_first
from agentaflow_advisor.place.shortcuts import shortened
from agentaflow_advisor.place.worth import cpu_per_gpu, holes

_WEIGHTS = ((0.85, 2.0), (0.9, 2.5), (0.85, 2.5))
"""What a hole for a share counts beside a whole GPU, and how many times the usual CPU a GPU must
have to count. What suits one cluster best does not suit all: they take turns.
"""
_LEAST = 10.0  # thousandths of a GPU that a move must be worth
_NEAR = 0.9  # of the best chain's worth, what others need to be taken in the same round
_ROUNDS = 1000
_RUINED = (0.03, 0.06, 0.1, 0.3)  # of the moves, those that are taken back at once
_SEED = 0

Progress = Callable[[int, int], None]


class Search:
    """On a fleet and its pods, both in order of names."""

    def __init__(self, fleet: Fleet, pods: list[Pod], groups: Booleans, budget: int) -> None:
        self.fleet, self.pods, self.groups, self.budget = fleet, pods, groups, budget
        self.ledger = Ledger(fleet, pods)
        self.waiting = [index for index, pod in enumerate(pods) if pod.row < 0]
        self._units = _units(pods)
        single = [unit[0] for unit in self._units if len(unit) == 1]
        self._single: Integers = np.array(
            [one for one in single if not pods[one].gang and pods[one].demand.gpus < 2], np.int64
        )
        self._random = np.random.default_rng(_SEED)

    def best(self, ruins: int, progress: Progress) -> list[Step]:
        """The best steps found; after the first ones, so many times a part is looked for anew."""
        if not self.waiting:
            return []
        prices = self._prices()
        best = self._recreated([], prices[0])
        for number in range(ruins):
            progress(1 + number, 2 + ruins)
            if len(self._admitted(best)) == len(self.waiting):
                break
            found = self._recreated(self._ruined(best), prices[(1 + number) % len(prices)])
            if self._value(found) >= self._value(best):
                best = found
        progress(1 + ruins, 2 + ruins)
        found = self._recreated(best, prices[0], thorough=True)
        return found if self._value(found) > self._value(best) else best

    def _prices(self) -> list[Prices]:
        demands = [pod.demand for pod in self.pods]
        usual = cpu_per_gpu(demands)
        return [
            Prices(holes(demands, unfinished), max(1.0, cpu * usual))
            for unfinished, cpu in _WEIGHTS
        ]

    def waits(self, step: Step) -> bool:
        return self.pods[step.pod].row < 0

    def gained(self, steps: Sequence[Step]) -> int:
        """Thousandths of a GPU that pods get that wait."""
        return sum(self.pods[pod].demand.milli for pod in self._admitted(steps))

    def _admitted(self, steps: Sequence[Step]) -> list[int]:
        return [step.pod for step in steps if self.waits(step)]

    def _moves(self, steps: Sequence[Step]) -> int:
        return len(steps) - len(self._admitted(steps))

    def _value(self, steps: Sequence[Step]) -> tuple[int, int]:
        return self.gained(steps), -self._moves(steps)

    def _recreated(
        self, steps: list[Step], prices: Prices, *, thorough: bool = False
    ) -> list[Step]:
        """More steps after those, and none that nobody needs."""
        board = Board(self.fleet, self.pods, self.groups, prices)
        board.attempt(steps)
        for _ in range(_ROUNDS):
            if not (
                self._chains(board, admit=False)
                or fill(board, self.waiting)
                or self._chains(board, admit=True)
                or self._clear(board, thorough=thorough)
            ):
                break

        def may(pod: int, row: int) -> bool:
            return bool(board.allowed[board.kind[pod], row])

        return self.ledger.needed(shortened(self.ledger, self.pods, may, board.steps))

    def _ruined(self, steps: list[Step]) -> list[Step]:
        """Without some of the moves that make the least room, by chance, and what rests on them."""
        rests: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
        for index, step in enumerate(steps):
            if not self.waits(step):
                rests[self.ledger.lost(steps, index)].append(index)
        chance = self._random.random(len(rests)) ** 0.5
        milli = [sum(self.pods[pod].demand.milli for pod in lost) for lost in rests]
        poor = [
            part * each / len(moves)
            for part, each, moves in zip(chance, milli, rests.values(), strict=True)
        ]
        most = self._random.choice(_RUINED) * self._moves(steps)
        gone: set[int] = set()
        groups = list(rests.values())
        for index in np.argsort(poor, kind="stable"):
            if len(gone) >= most:
                break
            gone.update(groups[index])
        gone.update(self.ledger.replay(steps, gone))
        return self.ledger.needed([step for index, step in enumerate(steps) if index not in gone])

    def _chains(self, board: Board, *, admit: bool) -> bool:
        """As many of the round's chains as touch different nodes."""
        spare = self.budget - self._moves(board.steps)
        wanted = self._wanted(board)
        if spare < 1 or not len(self._single) or not len(wanted):
            return False
        touched: set[int] = set()
        done = False
        chains = Round(board, self._single, wanted if admit else wanted[:0]).chains(_LEAST)
        for chain in chains:
            if chain.worth < _NEAR * chains[0].worth:
                break
            if chain.moves > spare or chain.rows & touched:
                continue
            if board.attempt(chain.steps):
                touched |= chain.rows
                spare -= chain.moves
                done = True
        return done

    def _wanted(self, board: Board) -> Integers:
        """Those that wait for whom a single GPU is enough."""
        waiting = [pod for pod in self.waiting if board.row[pod] < 0]
        return np.array([pod for pod in waiting if self.pods[pod].demand.gpus == 1], np.int64)

    def _clear(self, board: Board, *, thorough: bool) -> bool:
        """Room on one node for the largest pod for which it can be made.

        Unless it is to be thorough, not for those of one GPU: chains make room for them sooner.
        """
        spare = self.budget - self._moves(board.steps)
        tried: set[int] = set()
        waiting = [
            pod
            for pod in (self.waiting if spare > 0 else ())
            if board.row[pod] < 0 and (thorough or self.pods[pod].demand.gpus != 1)
        ]
        units = by_node(board, self._units) if waiting else {}
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
