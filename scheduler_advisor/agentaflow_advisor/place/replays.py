"""Strategies held against each other on lists of nodes and pods, over several seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from itertools import accumulate
from statistics import fmean

import numpy as np

from agentaflow_advisor.place.benchmark import Machine, arrival_at, arrivals, run
from agentaflow_advisor.place.bound import Bound
from agentaflow_advisor.place.demand import WHOLE, Demand
from agentaflow_advisor.place.fleet import Fleet
from agentaflow_advisor.place.scorers import kind_named
from agentaflow_advisor.place.scorers.fragmentation import Typical, fragmented_milli
from agentaflow_advisor.place.seeds import Spread, by_strategy, spread

LOADS = tuple(range(5, 131, 5))
"""Percent of the cluster's GPUs that were asked for."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One strategy over all seeds; by load in percent."""

    strategy: str
    seeds: tuple[int, ...]
    unallocated_percent: dict[str, Spread]
    fragmented_percent: dict[str, Spread]  # of all GPUs, idle and useless to the typical pods
    fragmented_percent_at_end: Spread  # of what is idle, useless to the typical pods
    refused_pods: Spread
    seconds_per_seed: float  # of CPU
    decisions_per_second: float


@dataclass(frozen=True, slots=True)
class _Run:
    strategy: str
    seed: int
    unallocated: tuple[float, ...]
    fragmented: tuple[float, ...]
    fragmented_of_idle: float
    refused: int
    seconds: float
    decisions: int


@dataclass(slots=True)
class _Fragments:
    """How much is fragmented, noted whenever the next of the loads is reached."""

    typical: Typical
    cpu_seconds: Callable[[], float]
    percent: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def watch(self, fleet: Fleet, arrived: int) -> None:
        reached = 100 * arrived / fleet.capacity_milli
        if len(self.percent) < len(LOADS) and reached >= LOADS[len(self.percent)]:
            started = self.cpu_seconds()
            now = 100 * fragmented_milli(fleet, self.typical) / fleet.capacity_milli
            while len(self.percent) < len(LOADS) and reached >= LOADS[len(self.percent)]:
                self.percent.append(now)
            self.seconds += self.cpu_seconds() - started


@dataclass(frozen=True, slots=True)
class Replay:
    """What is replayed: nodes, pods, and how the CPU's time is told (seconds)."""

    machines: tuple[Machine, ...]
    demands: tuple[Demand, ...]
    cpu_seconds: Callable[[], float]

    def once(self, strategy: str, seed: int) -> _Run:
        """One run; needs nothing but this object, so that any process can do it."""
        kind = kind_named(strategy)
        if kind is None:
            raise ValueError(f"no strategy {strategy}")
        models = len({one.model for one in self.machines})
        fragments = _Fragments(Typical(self.demands, models), self.cpu_seconds)
        started = self.cpu_seconds()
        curve, fleet = run(
            self.machines,
            self.demands,
            lambda some: kind.make(some, self.demands, seed),
            seed,
            fragments.watch,
        )
        seconds = self.cpu_seconds() - started - fragments.seconds
        left = fragmented_milli(fleet, fragments.typical)
        at_end = 100 * left / fleet.capacity_milli
        missing = len(LOADS) - len(fragments.percent)
        return _Run(
            kind.name,
            seed,
            tuple(curve.unallocated_percent(load) for load in LOADS),
            (*fragments.percent, *[at_end] * missing),
            100 * left / max(1, fleet.left_milli),
            curve.refused,
            seconds,
            len(curve.arrived),
        )

    def bound_once(self, seed: int) -> tuple[float, ...]:
        """What no placement can go below, for the pods that this seed brings; by load."""
        gpus = sum(one.gpus for one in self.machines)
        capacity = gpus * WHOLE
        coming = arrivals(self.demands, capacity, np.random.default_rng(seed))
        arrived = list(accumulate(demand.milli for demand in coming))
        bound = Bound(gpus)
        by_load = [coming[: arrival_at(arrived, capacity, load) + 1] for load in LOADS]
        return tuple(100.0 - 100.0 * bound.allocated_milli(pods) / capacity for pods in by_load)

    def bound(self, seeds: Sequence[int], executor: Executor) -> dict[str, Spread]:
        """The same over the seeds. Raises ImportError without scipy."""
        return _by_load(list(executor.map(self.bound_once, seeds)))

    def compare(
        self,
        strategies: Sequence[str],
        seeds: Sequence[int],
        executor: Executor,
        done: Callable[[int, int], None] = lambda _done, _all: None,
    ) -> list[Outcome]:
        """Every strategy with every seed, as the executor has room for them."""
        runs = by_strategy(self.once, strategies, seeds, executor, done)
        return list(map(_outcome, runs))


def _outcome(of: Sequence[_Run]) -> Outcome:
    seconds = fmean(one.seconds for one in of)
    return Outcome(
        strategy=of[0].strategy,
        seeds=tuple(one.seed for one in of),
        unallocated_percent=_by_load([one.unallocated for one in of]),
        fragmented_percent=_by_load([one.fragmented for one in of]),
        fragmented_percent_at_end=spread([one.fragmented_of_idle for one in of]),
        refused_pods=spread([float(one.refused) for one in of]),
        seconds_per_seed=seconds,
        decisions_per_second=fmean(one.decisions for one in of) / max(seconds, 1e-9),
    )


def _by_load(runs: Sequence[Sequence[float]]) -> dict[str, Spread]:
    return {str(load): spread(of) for load, of in zip(LOADS, zip(*runs, strict=True), strict=True)}
