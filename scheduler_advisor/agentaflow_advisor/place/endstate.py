"""Where the arrival-only experiment stops, and what moves would still make of that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agentaflow_advisor.place.benchmark import Machine, arrivals, fleet
from agentaflow_advisor.place.board import Pod
from agentaflow_advisor.place.defragmentation import Move, Plan, plan
from agentaflow_advisor.place.demand import WHOLE, Demand
from agentaflow_advisor.place.fleet import Fleet, Grant
from agentaflow_advisor.place.placer import Placer
from agentaflow_advisor.place.scorers import Kind
from agentaflow_advisor.place.scorers.fragmentation import Typical, fragmented_milli
from agentaflow_advisor.place.search import Progress


@dataclass(frozen=True, slots=True)
class EndState:
    """The fleet with all that found room, and the pods, those that found none among them."""

    fleet: Fleet
    pods: tuple[Pod, ...]

    @property
    def placed(self) -> int:
        return sum(pod.row >= 0 for pod in self.pods)


@dataclass(frozen=True, slots=True)
class Defragmented:
    """One seed. Fragmented: of what is unallocated, useless to the typical pods, in percent."""

    seed: int
    placed_pods: int
    waiting_pods: int
    plan: Plan
    fragmented_before_percent: float
    fragmented_after_percent: float


def run(
    machines: Sequence[Machine], demands: Sequence[Demand], kind: Kind, seed: int, load: float
) -> EndState:
    """Pods come, as in `benchmark.run`, until `load` times the cluster's GPUs were asked for."""
    random = np.random.default_rng(seed)
    capacity = sum(one.gpus for one in machines) * WHOLE
    coming = arrivals(demands, capacity, random)
    there = fleet([machines[i] for i in random.permutation(len(machines))])
    placer = Placer(there, kind.make(there, demands, seed))
    pods: list[Pod] = []
    arrived = 0
    for number, demand in enumerate(coming):
        grant = placer.place(demand)
        name = f"pod-{number:06}"
        pods.append(Pod(name, demand, grant.row, grant.slots) if grant else Pod(name, demand))
        arrived += demand.milli
        if arrived >= load * capacity:
            break
    return EndState(there, tuple(pods))


def defragmented(
    machines: Sequence[Machine],
    demands: Sequence[Demand],
    kind: Kind,
    seed: int,
    load: float,
    budget_ratio: float,
    progress: Progress | None = None,
) -> Defragmented:
    """The plan from that end state, within a budget of moves by placed pod."""
    end = run(machines, demands, kind, seed, load)
    budget = int(budget_ratio * end.placed)
    found = plan(end.fleet, end.pods, budget=budget, progress=progress)
    typical = Typical(demands, len(end.fleet.models))
    before = _fragmented(end.fleet, typical)
    apply(end.fleet, end.pods, found)
    return Defragmented(
        seed, end.placed, len(end.pods) - end.placed, found, before, _fragmented(end.fleet, typical)
    )


def apply(there: Fleet, pods: Sequence[Pod], found: Plan) -> None:
    """Take a plan's steps, one by one. Raises ValueError where there is no room."""
    rows = {name: row for row, name in enumerate(there.names)}
    places = {pod.name: pod for pod in pods}
    for step in found.steps:
        pod = places[step.pod]
        if isinstance(step, Move):
            there.release(Grant(pod.demand, pod.row, pod.slots))
            row, slots = rows[step.to_node], step.to_gpus
        else:
            row, slots = rows[step.node], step.gpus
        there.take(Grant(pod.demand, row, slots))
        places[step.pod] = pod._replace(row=row, slots=slots)


def _fragmented(there: Fleet, typical: Typical) -> float:
    return 100 * fragmented_milli(there, typical) / max(1, there.left_milli)
