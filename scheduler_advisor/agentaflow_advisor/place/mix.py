"""The mix of demands that a cluster gets, learnt as they come, and what may be expected of it."""

from __future__ import annotations

from collections import Counter

import numpy as np

from agentaflow_advisor.place.demand import WHOLE, Demand
from agentaflow_advisor.place.scorer import Floats

_UNINFORMED = 20.0  # GPUs of a mix that is nobody's, until there is a better one
_CPU_PER_GPU = 10_000.0  # millicores


class Mix:
    """Counts since the start; nothing is known beforehand."""

    def __init__(self) -> None:
        self.arrived = 0
        self.shares: Counter[int] = Counter()  # of one GPU, in thousandths
        self.constrained: Counter[int] = Counter()  # thousandths of a GPU, by mask of models
        self.milli = 0
        self._gpus = _UNINFORMED
        self._cpu = _UNINFORMED * _CPU_PER_GPU

    def learn(self, demand: Demand) -> None:
        self.arrived += 1
        if not demand.gpus:
            return
        self.milli += demand.milli
        self.constrained[demand.models] += demand.milli
        if demand.is_shared:
            self.shares[demand.share] += 1
        self._gpus += demand.milli / WHOLE
        self._cpu += demand.cpu_millicores

    @property
    def cpu_per_gpu(self) -> float:
        """Millicores that come with a GPU's worth of demand."""
        return self._cpu / self._gpus

    def waste(self, arrivals: int) -> Floats:
        """What is expected to be left of a shared GPU after so many more shared pods, by what is
        left of it now (0 … 1000): each takes its share if that still fits.

        Exact, by induction over the arrivals. Without any share learnt, all of them are alike.
        """
        sizes = sorted(self.shares) or list(range(100, WHOLE, 100))
        weights = np.array([self.shares[size] or 1 for size in sizes], dtype=float)
        weights /= weights.sum()
        left = np.arange(WHOLE + 1)
        after = left - np.array(sizes)[:, None]
        after = np.where(after < 0, left, after)
        waste = left.astype(float)
        for _ in range(arrivals):
            waste = weights @ waste[after]
        return waste
