"""What room is worth: the prices of the cutting-stock programme, for a hole and for a node.

The fewest GPUs that hold all shares of GPUs are a cutting-stock problem (Gilmore and Gomory, 1961);
the dual prices of its linear programme say what a share is worth as a part of a GPU: of the sizes
810, 650, 470, 320 it is 1, 2/3, 1/2 and 1/3. A hole is worth the dearest set of shares that it
takes, so that 190 thousandths beside an 810 are worth nothing, and 530 beside a 470 half a GPU.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np

from agentaflow_advisor.place.demand import WHOLE, Demand
from agentaflow_advisor.place.scorer import Floats

_ITERATIONS = 1000
_ENOUGH = 1e-9


def prices(shares: Mapping[int, int]) -> dict[int, float]:
    """By share in thousandths, as a part of a GPU. `shares`: how many of each there are.

    Columns are generated as they are needed, each by a knapsack over the prices so far.
    """
    sizes = sorted(size for size, count in shares.items() if count and size < WHOLE)
    if not sizes:
        return {}
    basis = np.diag([float(WHOLE // size) for size in sizes])
    wanted = np.array([float(shares[size]) for size in sizes])
    prices: Floats = np.zeros(len(sizes))
    for _ in range(_ITERATIONS):
        prices = np.asarray(np.linalg.solve(basis.T, np.ones(len(sizes))), dtype=np.float64)
        pattern = _dearest(sizes, prices)
        if prices @ pattern <= 1 + _ENOUGH:
            break
        amounts, column = np.linalg.solve(basis, wanted), np.linalg.solve(basis, pattern)
        ratios = np.where(column > _ENOUGH, amounts / np.where(column > _ENOUGH, column, 1), np.inf)
        basis[:, int(ratios.argmin())] = pattern
    return dict(zip(sizes, np.maximum(prices, 0.0).tolist(), strict=True))


def _dearest(sizes: list[int], prices: Floats) -> Floats:
    """How many of each size make up the dearest GPU."""
    best = [0.0] * (WHOLE + 1)
    last = [-1] * (WHOLE + 1)
    for room in range(1, WHOLE + 1):
        best[room] = best[room - 1]
        for index, size in enumerate(sizes):
            if size > room:
                break
            if best[room - size] + prices[index] > best[room] + _ENOUGH:
                best[room], last[room] = best[room - size] + prices[index], index
    pattern, room = np.zeros(len(sizes)), WHOLE
    while room > 0:
        if last[room] < 0:
            room -= 1
        else:
            pattern[last[room]] += 1
            room -= sizes[last[room]]
    return pattern


def holes(demands: Iterable[Demand], unfinished: float) -> Floats:
    """By what is left of a GPU (0 … 1000): what that is worth in thousandths of a whole one.

    `unfinished`, 0 to 1, is what the worth of a share counts: somebody has yet to come for it.
    """
    counts = Counter(demand.share for demand in demands if demand.is_shared)
    worth = np.zeros(WHOLE + 1)
    known = {size: WHOLE * price * unfinished for size, price in prices(counts).items()}
    for room in range(1, WHOLE + 1):
        fitting = [worth[room - size] + price for size, price in known.items() if size <= room]
        worth[room] = max([worth[room - 1], *fitting])
    worth[WHOLE] = WHOLE
    return worth


def cpu_per_gpu(demands: Iterable[Demand]) -> float:
    """Millicores that pods with GPUs ask for with each; 1 where they ask for none."""
    asked = [(one.cpu_millicores, one.milli) for one in demands if one.gpus]
    milli = sum(one for _, one in asked)
    return max(1.0, WHOLE * sum(cpu for cpu, _ in asked) / milli) if milli else 1.0
