"""The nodes as a strategy's scorer sees them; of a demand's scores only touched rows are new."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from agentaflow_advisor.model import Gpu, Node, Workload
from agentaflow_advisor.place.capacity import Capacity
from agentaflow_advisor.place.fleet import Grant
from agentaflow_advisor.place.live import demand_of, demands_of, fleet_of
from agentaflow_advisor.place.placer import Placer
from agentaflow_advisor.place.scorer import Floats
from agentaflow_advisor.place.strategy import Scoring


class Scored:
    """For one run. `past` are the pods that the cluster has, from which a scorer may learn."""

    def __init__(
        self,
        nodes: Sequence[Node],
        free: Mapping[str, Capacity],
        gpus: Mapping[tuple[str, str], Sequence[Gpu]],
        broken: Mapping[str, int],
        strategy: Scoring,
        past: Iterable[Workload],
    ) -> None:
        self._fleet = fleet_of(nodes, free, gpus, broken)
        models = self._fleet.models
        self._scorer = strategy.scorer(demands_of(past, models), len(models))
        self._placer = Placer(self._fleet, self._scorer)

    def values(self, pod: Workload) -> Floats:
        """Of every row."""
        demand = demand_of(pod, self._fleet.models)
        values = self._placer.scores(demand).values
        bias = self._scorer.bias(self._fleet, demand)
        return values if bias is None else values + bias

    def parts(self, pod: Workload, row: int) -> Mapping[str, float]:
        """What the value of a row is the sum of, by name."""
        demand = demand_of(pod, self._fleet.models)
        return self._scorer.parts(self._fleet, demand, row)

    def take(self, pod: Workload, row: int) -> Grant:
        return self._fleet.grant(demand_of(pod, self._fleet.models), row)

    def release(self, grant: Grant) -> None:
        self._fleet.release(grant)
