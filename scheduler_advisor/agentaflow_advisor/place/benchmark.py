"""The arrival-only experiment of the FGD paper: pods come until the cluster would be overfull.

Pods are shuffled, then drawn again with replacement until 1.3 times the cluster's GPUs were asked
for; nodes are shuffled too, since ties go to the first. A pod without room counts as arrived.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from agentaflow_advisor.place.demand import WHOLE, Demand
from agentaflow_advisor.place.fleet import Fleet
from agentaflow_advisor.place.placer import Placer
from agentaflow_advisor.place.scorer import Scorer

OVERFULL = 1.3


@dataclass(frozen=True, slots=True)
class Machine:
    """A node of the experiment."""

    name: str
    model: str
    gpus: int
    cpu_millicores: int
    memory_bytes: int


def fleet(machines: Sequence[Machine]) -> Fleet:
    return Fleet.empty(
        [one.name for one in machines],
        [one.model for one in machines],
        [one.gpus for one in machines],
        [one.cpu_millicores for one in machines],
        [one.memory_bytes for one in machines],
    )


def arrivals(
    demands: Sequence[Demand], capacity_milli: int, random: np.random.Generator
) -> list[Demand]:
    """The pods in the order in which they come. `capacity_milli`: thousandths of a GPU."""
    order = [demands[i] for i in random.permutation(len(demands))]
    asked = sum(demand.milli for demand in order)
    while True:
        drawn = demands[int(random.integers(len(demands)))]
        share = drawn.share if drawn.gpus else 0
        if asked + share > OVERFULL * capacity_milli:
            return order
        order.append(drawn)
        asked += drawn.milli


@dataclass(slots=True)
class Curve:
    """What was placed after each arrival, in thousandths of a GPU."""

    capacity_milli: int
    arrived: list[int]
    allocated: list[int]
    refused: int = 0

    def unallocated_percent(self, load_percent: float) -> float:
        """Of the GPUs, when so many percent of them had been asked for (or at the end)."""
        position = arrival_at(self.arrived, self.capacity_milli, load_percent)
        return 100.0 - 100.0 * self.allocated[position] / self.capacity_milli


def arrival_at(arrived: Sequence[int], capacity_milli: int, load_percent: float) -> int:
    """Which arrival brought what was asked for to so many percent of the GPUs (or the last)."""
    position = int(np.searchsorted(arrived, load_percent * capacity_milli / 100))
    return min(position, len(arrived) - 1)


def run(
    machines: Sequence[Machine],
    demands: Sequence[Demand],
    scorer: Callable[[Fleet], Scorer],
    seed: int,
    watch: Callable[[Fleet, int], None] | None = None,
) -> tuple[Curve, Fleet]:
    """One seed: the same for every strategy. `watch` is shown the fleet and the thousandths of a
    GPU that were asked for, after each arrival.
    """
    random = np.random.default_rng(seed)
    capacity = sum(one.gpus for one in machines) * WHOLE
    coming = arrivals(demands, capacity, random)
    shuffled = fleet([machines[i] for i in random.permutation(len(machines))])
    placer = Placer(shuffled, scorer(shuffled))
    curve = Curve(capacity, [], [])
    arrived = allocated = 0
    for demand in coming:
        grant = placer.place(demand)
        arrived += demand.milli
        if grant is None:
            curve.refused += 1
        else:
            allocated += demand.milli
        curve.arrived.append(arrived)
        curve.allocated.append(allocated)
        if watch is not None:
            watch(shuffled, arrived)
    return curve, shuffled
