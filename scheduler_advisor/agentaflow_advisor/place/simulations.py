"""Strategies held against each other on jobs that come and go, over several seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass
from statistics import fmean

from agentaflow_advisor.place.benchmark import fleet
from agentaflow_advisor.place.measures import Measures, by_queue, measures
from agentaflow_advisor.place.policies import POLICIES
from agentaflow_advisor.place.preemption import Preemption
from agentaflow_advisor.place.quota import ClusterQueue
from agentaflow_advisor.place.scorers import kind_named
from agentaflow_advisor.place.seeds import Spread, by_strategy, spread
from agentaflow_advisor.place.simulation import Simulation
from agentaflow_advisor.place.workloads import Drawn, Workload

Figures = Mapping[str, Spread]
"""By the name of the measure."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One strategy over all seeds."""

    strategy: str
    queue_policy: str
    seeds: tuple[int, ...]
    overall: Figures
    queues: Mapping[str, Figures]
    seconds_per_seed: float  # of CPU


@dataclass(frozen=True, slots=True)
class Run:
    """One strategy with one seed."""

    strategy: str
    seed: int
    overall: Measures
    queues: Mapping[str, Measures]
    seconds: float


@dataclass(frozen=True, slots=True)
class Study:
    """What is simulated, and how the CPU's time is told (seconds)."""

    workload: Workload
    policy: str
    cpu_seconds: Callable[[], float]
    aging_seconds: float = 3600.0
    quotas: tuple[ClusterQueue, ...] = ()
    horizon_seconds: float | None = None  # by default the last submission

    def once(self, strategy: str, seed: int) -> Run:
        """One run; needs nothing but this object, so that any process can do it."""
        drawn = self.workload.draw(seed)
        started = self.cpu_seconds()
        simulation = self._simulation(strategy, seed, drawn)
        capacity = simulation.fleet.capacity_milli
        records = simulation.run()
        return Run(
            strategy,
            seed,
            measures(records, capacity, self.horizon_seconds),
            by_queue(records, capacity, self.horizon_seconds),
            self.cpu_seconds() - started,
        )

    def proposal(self, strategy: str, seed: int, at: float) -> Preemption | None:
        """Who would have to go at that time for the first in the queue; None if nobody waits, or
        nobody may have to go.
        """
        simulation = self._simulation(strategy, seed, self.workload.draw(seed))
        simulation.run(at)
        return simulation.proposal()

    def _simulation(self, strategy: str, seed: int, drawn: Drawn) -> Simulation:
        kind = kind_named(strategy)
        if kind is None:
            raise ValueError(f"no strategy {strategy}")
        there = fleet(drawn.machines)
        scorer = kind.make(there, [job.demand for job in drawn.jobs], seed)
        policy = POLICIES[self.policy](drawn.jobs, self.aging_seconds)
        return Simulation(there, scorer, policy, drawn.jobs, self.quotas, drawn.begun)

    def compare(
        self,
        strategies: Sequence[str],
        seeds: Sequence[int],
        executor: Executor,
        done: Callable[[int, int], None] = lambda _done, _all: None,
    ) -> list[Outcome]:
        """Every strategy with every seed, as the executor has room for them."""
        runs = by_strategy(self.once, strategies, seeds, executor, done)
        return list(map(self._outcome, runs))

    def _outcome(self, of: Sequence[Run]) -> Outcome:
        names = sorted({name for run in of for name in run.queues})
        return Outcome(
            strategy=of[0].strategy,
            queue_policy=self.policy,
            seeds=tuple(run.seed for run in of),
            overall=_figures([run.overall for run in of]),
            queues={
                name: _figures([run.queues[name] for run in of if name in run.queues])
                for name in names
            },
            seconds_per_seed=fmean(run.seconds for run in of),
        )


def _figures(found: Sequence[Measures]) -> Figures:
    rows = [asdict(each) for each in found]
    return {name: spread([float(row[name]) for row in rows]) for name in rows[0]}
