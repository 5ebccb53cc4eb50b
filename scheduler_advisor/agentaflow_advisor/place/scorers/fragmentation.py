"""FGD, fragmentation gradient descent (Weng et al., USENIX ATC 2023), as its authors' code has it.

A node's fragmentation is what is idle on it and useless to the typical pods, weighed by how often
they come. A placement scores by how little fragmentation it adds, squeezed into whole numbers from
0 to 100; that many nodes score alike matters, since the first of them is taken.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np

from agentaflow_advisor.place.demand import ANY_MODEL, WHOLE, Demand
from agentaflow_advisor.place.fleet import Fleet, Integers, Rows
from agentaflow_advisor.place.scorer import Best, Floats, Scores

_COVERED = 0.95  # of the pods, by the typical ones


class Typical:
    """The most frequent demands, memory aside, that together make up 95 % of them."""

    def __init__(self, demands: Iterable[Demand], models: int) -> None:
        counts = Counter(demand._replace(memory_bytes=0) for demand in demands)
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        total, covered, kept = counts.total(), 0, []
        for demand, count in ranked:
            kept.append((demand, count))
            covered += count
            if covered >= _COVERED * total:
                break
        self.cpu = np.array([demand.cpu_millicores for demand, _ in kept])
        self.share = np.array([demand.share for demand, _ in kept])
        self.gpus = np.array([demand.gpus for demand, _ in kept])
        self.weight = np.array([count for _, count in kept], dtype=float) / max(1, covered)
        self.allowed = np.array(
            [
                [one.models == ANY_MODEL or bool(one.models >> model & 1) for one, _ in kept]
                for model in range(models)
            ],
            dtype=bool,
        ).reshape(models, len(kept))

    def fragments(
        self, idle: Integers, cpu: Integers, able: Integers, low: Integers, model: Integers
    ) -> Floats:
        """Thousandths of a GPU. `able`: GPUs with enough left for each typical pod; `low`: what is
        left on the others. Their last axis is the typical pods'; the others are the rows'.
        """
        useless = (
            (cpu[..., None] < self.cpu)
            | (able < self.gpus)
            | (self.gpus == 0)
            | ~self.allowed[model]
        )
        fragments: Floats = np.where(useless, idle[..., None], low) @ self.weight
        return fragments


class Fragmentation(Best):
    """`typical` is known beforehand, as in the authors' experiment."""

    def __init__(self, typical: Typical) -> None:
        self._typical = typical

    def score(self, fleet: Fleet, demand: Demand, rows: Rows) -> Scores:
        typical = self._typical
        left, cpu, model = fleet.left[rows], fleet.cpu[rows], fleet.model[rows]
        idle = left.sum(axis=1)
        able = left[..., None] >= typical.share
        low = np.where(able, 0, left[..., None])
        ables, lows = able.sum(axis=1), low.sum(axis=1)
        before = typical.fragments(idle, cpu, ables, lows, model)
        spare = cpu - demand.cpu_millicores
        if not demand.is_shared:
            after = typical.fragments(idle - demand.milli, spare, ables - demand.gpus, lows, model)
            return Scores(_squeezed(before - after))
        rest = left - demand.share
        fits = rest[..., None] >= typical.share
        after = typical.fragments(
            np.broadcast_to((idle - demand.share)[:, None], left.shape),
            np.broadcast_to(spare[:, None], left.shape),
            ables[:, None] - able + fits,
            lows[:, None] - low + np.where(fits, 0, rest[..., None]),
            np.broadcast_to(model[:, None], left.shape),
        )
        scores = np.where(rest >= 0, _squeezed(before[:, None] - after), -1.0)
        slots = scores.argmax(axis=1)
        return Scores(scores[np.arange(len(slots)), slots], slots)


def _squeezed(gain: Floats) -> Floats:
    return np.floor(100.0 / (1.0 + np.exp(-gain / WHOLE)))


def fragmented_milli(fleet: Fleet, typical: Typical) -> float:
    """Of the whole fleet."""
    able = fleet.left[..., None] >= typical.share
    low = np.where(able, 0, fleet.left[..., None])
    idle = fleet.left.sum(axis=1)
    rows = typical.fragments(idle, fleet.cpu, able.sum(axis=1), low.sum(axis=1), fleet.model)
    return float(rows.sum())
