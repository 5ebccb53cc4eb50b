"""Strategies held against each other on lists of nodes and pods, over several seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, as_completed
from dataclasses import dataclass
from statistics import fmean, stdev

import numpy as np

from agentaflow_advisor.place.benchmark import Curve, Machine, run
from agentaflow_advisor.place.demand import Demand
from agentaflow_advisor.place.scorers import kind_named
from agentaflow_advisor.place.scorers.fragmentation import Typical, fragmented_milli

LOADS = tuple(range(5, 131, 5))
"""Percent of the cluster's GPUs that were asked for."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Over the seeds; `sd` is the sample's, 0 for a single seed."""

    mean: float
    sd: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """One strategy over all seeds; by load in percent."""

    strategy: str
    seeds: tuple[int, ...]
    unallocated_percent: dict[str, Spread]
    fragmented_percent_at_end: Spread  # of what is idle, useless to the typical pods
    refused_pods: Spread
    seconds_per_seed: float  # of CPU
    decisions_per_second: float


@dataclass(frozen=True, slots=True)
class _Run:
    strategy: str
    seed: int
    unallocated: tuple[float, ...]
    fragmented: float
    refused: int
    seconds: float
    decisions: int


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
        started = self.cpu_seconds()
        curve, fleet = run(
            self.machines, self.demands, lambda f: kind.make(f, self.demands, seed), seed
        )
        seconds = self.cpu_seconds() - started
        typical = Typical(self.demands, len(fleet.models))
        fragmented = 100 * fragmented_milli(fleet, typical) / max(1, fleet.left_milli)
        unallocated = tuple(curve.unallocated_percent(load) for load in LOADS)
        return _Run(
            kind.name, seed, unallocated, fragmented, curve.refused, seconds, _decisions(curve)
        )

    def compare(
        self,
        strategies: Sequence[str],
        seeds: Sequence[int],
        executor: Executor,
        done: Callable[[int, int], None] = lambda _done, _all: None,
    ) -> list[Outcome]:
        """Every strategy with every seed, as the executor has room for them."""
        tasks = [
            executor.submit(self.once, strategy, seed) for strategy in strategies for seed in seeds
        ]
        for number, _ in enumerate(as_completed(tasks), 1):
            done(number, len(tasks))
        runs = [task.result() for task in tasks]
        return list(_outcomes(runs, len(seeds)))


def _decisions(curve: Curve) -> int:
    return len(curve.arrived)


def _outcomes(runs: Sequence[_Run], seeds: int) -> Iterator[Outcome]:
    for first in range(0, len(runs), seeds):
        of = runs[first : first + seeds]
        columns = np.array([one.unallocated for one in of]).T
        seconds = fmean(one.seconds for one in of)
        yield Outcome(
            strategy=of[0].strategy,
            seeds=tuple(one.seed for one in of),
            unallocated_percent={
                str(load): _spread(column.tolist())
                for load, column in zip(LOADS, columns, strict=True)
            },
            fragmented_percent_at_end=_spread([one.fragmented for one in of]),
            refused_pods=_spread([float(one.refused) for one in of]),
            seconds_per_seed=seconds,
            decisions_per_second=fmean(one.decisions for one in of) / max(seconds, 1e-9),
        )


def _spread(values: Sequence[float]) -> Spread:
    return Spread(round(fmean(values), 4), round(stdev(values) if len(values) > 1 else 0.0, 4))
