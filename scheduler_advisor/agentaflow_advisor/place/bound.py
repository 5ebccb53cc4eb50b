"""What no placement can beat: the most that so many GPUs could hold of a list of demands.

A linear programme over patterns, the ways to fill one GPU (Gilmore & Gomory 1961): as many patterns
as there are GPUs, and of each share no more than was asked for. CPU, memory, nodes and models are
ignored and fractions of a pod are allowed, so that it is a bound and not a plan. Patterns are made
as they are needed: the best one at the programme's prices, until none is worth its GPU.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from agentaflow_advisor.place.demand import WHOLE, Demand
from agentaflow_advisor.place.fleet import Integers
from agentaflow_advisor.place.scorer import Floats

_NEAR = 1e-7  # of the most, between the programme's value and the bound by its prices
_MOST_ROUNDS = 1000


class Bound:
    """Patterns that were made for one list of demands are kept for the next."""

    def __init__(self, gpus: int) -> None:
        """Raises ImportError where scipy is not installed."""
        from scipy.optimize import linprog

        self._solve: Any = linprog
        self.gpus = gpus
        self._patterns: dict[tuple[int, ...], list[Integers]] = {}

    def allocated_milli(self, demands: Iterable[Demand]) -> float:
        """Never less than what a placement of these demands allocates, in thousandths of a GPU."""
        asked: Counter[int] = Counter()
        for demand in demands:
            if demand.gpus:
                asked[demand.share] += demand.gpus
        if not asked:
            return 0.0
        sizes = np.array(sorted(asked))
        return self._most(sizes, np.array([asked[size] for size in sizes.tolist()], dtype=float))

    def _most(self, sizes: Integers, asked: Floats) -> float:
        alone = [row * (WHOLE // sizes) for row in np.eye(len(sizes), dtype=np.int64)]
        patterns = self._patterns.setdefault(tuple(sizes.tolist()), alone)
        least = float(sizes @ asked)
        for _ in range(_MOST_ROUNDS):
            value, prices = self._programme(sizes, asked, np.array(patterns))
            worth, pattern = dearest(sizes, prices)
            # Whatever the prices: a pod is worth at most its price and what it brings beyond it.
            held = self.gpus * worth + float(asked @ np.maximum(0.0, sizes - prices))
            least = min(least, held)
            if least - value <= _NEAR * least:
                break
            patterns.append(pattern)
        return least

    def _programme(
        self, sizes: Integers, asked: Floats, patterns: Integers
    ) -> tuple[float, Floats]:
        """What these patterns can hold, and what another place for each size would add."""
        count, kinds = patterns.shape
        rows = np.block(
            [
                [np.ones((1, count)), np.zeros((1, kinds))],
                [-patterns.T, np.eye(kinds)],
            ]
        )
        done = self._solve(
            np.concatenate([np.zeros(count), -sizes]),
            A_ub=rows,
            b_ub=np.concatenate([[self.gpus], np.zeros(kinds)]),
            bounds=[(0, None)] * count + [(0, most) for most in asked],
        )
        return -float(done.fun), np.maximum(0.0, -done.ineqlin.marginals[1:])


def dearest(sizes: Integers, prices: Floats) -> tuple[float, Integers]:
    """The pattern of one GPU with the greatest sum of prices, and that sum: a knapsack, exactly."""
    step = int(np.gcd.reduce([WHOLE, *sizes.tolist()]))
    widths = sizes // step
    values = np.zeros(WHOLE // step + 1)
    last = np.full(len(values), -1)
    for room in range(1, len(values)):
        values[room] = values[room - 1]
        (fitting,) = np.nonzero(widths <= room)
        if len(fitting):
            with_it = prices[fitting] + values[room - widths[fitting]]
            best = int(with_it.argmax())
            if with_it[best] > values[room]:
                values[room], last[room] = with_it[best], fitting[best]
    pattern = np.zeros(len(sizes), dtype=np.int64)
    room = len(values) - 1
    while room > 0:
        if last[room] < 0:
            room -= 1
        else:
            pattern[last[room]] += 1
            room -= int(widths[last[room]])
    return float(values[-1]), pattern
