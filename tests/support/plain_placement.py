"""A placement run node by node and pod by pod, without arrays: what the real one has to equal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

import numpy as np

from agentaflow_advisor.model import Gpu, Node, Snapshot, Workload
from agentaflow_advisor.place import STRATEGIES, EvidenceSettings, Strategy
from agentaflow_advisor.place.capacity import Capacity, Occupancy, occupancy
from agentaflow_advisor.place.feasibility import measured, refusal, unusable
from agentaflow_advisor.place.fleet import ALL
from agentaflow_advisor.place.live import demand_of, demands_of, fleet_of
from agentaflow_advisor.place.strategy import Aging, Scoring

Answer = tuple[str, str | None, dict[str, int]]
"""The chosen node or none, the runner-up or none, how many nodes are refused for which reason."""


class Plain:
    """One run. Nothing is kept between two looks at a node but what was taken from it."""

    def __init__(self, seen: Snapshot, strategy: Strategy, held: Mapping[str, str]) -> None:
        if isinstance(strategy, Aging):
            new = (pod for pod in seen.workloads if pod.gates and pod.uid not in held)
            there = (pod for pod in seen.workloads if pod.gpus)
            priorities = {pod.priority for pod in (*there, *new)}
            strategy = strategy.among(priorities, seen.taken_at)
        self.seen, self.strategy = seen, strategy
        self.nodes = sorted(seen.nodes, key=lambda node: (node.name, node.cluster))
        self.taken: Occupancy = occupancy(seen.nodes, seen.workloads, held)
        self.kept: dict[str, str] = {}
        self.last: str | None = None

    def place(self, pod: Workload) -> Answer:
        able = [node for node in self.nodes if self.refusal(pod, node) is None]
        refused = Counter(why for node in self.nodes if (why := self.refusal(pod, node)))
        if not able:
            self.keep(pod)
            return "", None, dict(refused)
        able.sort(key=self.ranks(pod), reverse=True)
        self.last = able[0].name
        self.taken.take(self.last, pod)
        return self.last, able[1].name if len(able) > 1 else None, dict(refused)

    def refusal(self, pod: Workload, node: Node) -> str | None:
        """The first reason that holds."""
        reason = refusal(pod, node) or self.seen.missing.why(node.cluster)
        if reason:
            return reason
        if node.name in self.kept:
            return f"kept for {self.kept[node.name]}, which is overdue"
        broken = self.broken(node)
        short = self.usable(node).shortage(Capacity.of_workload(pod))
        if short is not None:
            lost = f" ({broken} lost or held by a process without a pod)"
            return short + lost * bool(broken and pod.gpus)
        needs = self.strategy.needs
        fresh = measured(self.there(node), needs, EvidenceSettings())
        if needs and len(fresh) < max(1, node.gpus):
            return f"no fresh {' and '.join(sorted(needs))} of every GPU"
        return None

    def ranks(self, pod: Workload) -> Callable[[Node], tuple[float, ...]]:
        """How good a node is, for sorting."""
        values: Mapping[str, float] = {}
        if isinstance(self.strategy, Scoring):
            values = self.scores(pod, self.strategy)
        return lambda node: self.rank(pod, node, values)

    def rank(self, pod: Workload, node: Node, values: Mapping[str, float]) -> tuple[float, ...]:
        left = self.usable(node).minus(Capacity.of_workload(pod))
        if self.strategy.name == "least_utilized":
            return (-self.busy(node), left.gpus)
        if self.strategy.name == "round_robin":
            return (self.last is not None and node.name > self.last,)
        packed = -sum(amount for name, amount in left.extended if name in pod.extended)
        if values:
            return (packed, values[node.name])
        return (packed, -left.gpus, -left.cpu_millicores)

    def scores(self, pod: Workload, strategy: Scoring) -> Mapping[str, float]:
        """From arrays that are made for this one look."""
        nodes = [node for node in self.nodes if node.known]
        broken = {node.name: self.broken(node) for node in nodes}
        fleet = fleet_of(nodes, self.taken.free, self.seen.gpus_by_node, broken)
        scorer = strategy.scorer(demands_of(self.seen.workloads, fleet.models), len(fleet.models))
        demand = demand_of(pod, fleet.models)
        values = scorer.score(fleet, demand, ALL).values
        bias = scorer.bias(fleet, demand)
        values = values if bias is None else values + bias
        return dict(zip(fleet.names, np.asarray(values).tolist(), strict=True))

    def keep(self, pod: Workload) -> None:
        if isinstance(self.strategy, Aging) and self.strategy.is_overdue(pod):
            empty = [node for node in self.nodes if self.could_take(pod, node)]
            if empty:
                best = max(empty, key=lambda node: self.usable(node).gpus)
                self.kept[best.name] = pod.ref

    def could_take(self, pod: Workload, node: Node) -> bool:
        """If nothing ran there, and it is kept for nobody."""
        whole = Capacity.of_node(node).minus(Capacity(self.broken(node), 0, 0, 0))
        return (
            node.name not in self.kept
            and refusal(pod, node) is None
            and not self.seen.missing.why(node.cluster)
            and whole.shortage(Capacity.of_workload(pod)) is None
        )

    def usable(self, node: Node) -> Capacity:
        return self.taken.free[node.name].minus(Capacity(self.broken(node), 0, 0, 0))

    def there(self, node: Node) -> tuple[Gpu, ...]:
        return self.seen.gpus_by_node.get((node.cluster, node.name), ())

    def broken(self, node: Node) -> int:
        attributed = node.cluster in self.seen.attributed
        return unusable(node, self.there(node), pods_are_known=attributed)

    def busy(self, node: Node) -> float:
        gpus = self.there(node)
        total = sum(gpu.utilization.high for gpu in gpus if gpu.utilization)
        return float((total + self.taken.promised_gpus[node.name]) / len(gpus))


def plainly(seen: Snapshot, strategy: str, held: Mapping[str, str]) -> dict[str, Answer]:
    """By pod, for all that wait and that no decision holds."""
    run = Plain(seen, STRATEGIES[strategy], held)
    waiting = [pod for pod in seen.workloads if pod.gates and pod.uid not in held]
    queue = sorted(waiting, key=lambda pod: (run.strategy.queue(pod), pod.ref, pod.uid))
    return {pod.ref: run.place(pod) for pod in queue}
