"""The placement run: queue the pods, filter the nodes, rank what is left, explain the choice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from agentaflow_advisor.model import Gpu, Missing, Node, Placement, Refusal, Snapshot, Workload
from agentaflow_advisor.model.names import GATE
from agentaflow_advisor.place.capacity import Capacity, Occupancy, occupancy
from agentaflow_advisor.place.demand import Demand
from agentaflow_advisor.place.feasibility import EvidenceSettings, measured, refusal, unusable
from agentaflow_advisor.place.fleet import ALL
from agentaflow_advisor.place.live import demand_of, demands_of, fleet_of
from agentaflow_advisor.place.queue import eligible, unjudged
from agentaflow_advisor.place.strategy import Aging, Candidate, Scoring, Strategy

Result = Placement | Refusal


def place(
    snapshot: Snapshot,
    strategy: Strategy,
    *,
    gate: str = GATE,
    held: Mapping[str, str] | None = None,
    last_node: str | None = None,
    evidence: EvidenceSettings | None = None,
) -> tuple[Result, ...]:
    """Choose a node for each opted-in pod behind `gate`, in the strategy's order.

    `held` is node name by pod uid for decisions that are still open: those pods are not placed
    again and their room counts as taken. `last_node` is where the run before ended.
    """
    held = held or {}
    pods, refusals = eligible(snapshot, gate)
    new = [pod for pod in pods if pod.uid not in held]
    placed = explain(snapshot, strategy, new, held=held, last_node=last_node, evidence=evidence)
    return (*placed, *sorted(refusals, key=lambda refused: refused.subject))


def explain(
    snapshot: Snapshot,
    strategy: Strategy,
    pods: Iterable[Workload],
    *,
    held: Mapping[str, str] | None = None,
    last_node: str | None = None,
    evidence: EvidenceSettings | None = None,
) -> tuple[Result, ...]:
    """The same for any pods, gated or not, in the cluster or only in a file."""
    pods = tuple(pods)
    if isinstance(strategy, Aging):
        there = (pod for pod in snapshot.workloads if pod.gpus)
        strategy = strategy.among({pod.priority for pod in (*there, *pods)}, snapshot.taken_at)
    run = _Run(
        strategy=strategy,
        nodes=tuple(sorted(snapshot.nodes, key=lambda node: (node.name, node.cluster))),
        gpus=snapshot.gpus_by_node,
        attributed=snapshot.attributed,
        taken=occupancy(snapshot.nodes, snapshot.workloads, held or {}),
        evidence=evidence or EvidenceSettings(),
        missing=snapshot.missing,
        last_node=last_node,
    )
    if isinstance(strategy, Scoring):
        run.arrays = _Arrays(run, strategy, snapshot.workloads)
    queued = sorted(pods, key=lambda pod: (strategy.queue(pod), pod.ref, pod.uid))
    return tuple(run.place(pod) for pod in queued)


@dataclass(slots=True)
class _Run:
    """One run: what it reads, and what each placed pod changes for the next one."""

    strategy: Strategy
    nodes: tuple[Node, ...]
    gpus: Mapping[tuple[str, str], tuple[Gpu, ...]]
    attributed: frozenset[str]  # clusters in which it is known which pod holds which GPU
    taken: Occupancy
    evidence: EvidenceSettings
    missing: Missing
    last_node: str | None
    arrays: _Arrays | None = None
    kept: dict[str, str] = field(default_factory=dict)  # pod by the node that is kept for it

    def place(self, pod: Workload) -> Result:
        constraint = unjudged(pod)
        if constraint is not None:
            return Refusal(pod.ref, constraint)
        if self.arrays is not None:
            self.arrays.look(pod)
        candidates, refused = self._judge_all(pod)
        if not candidates:
            kept = self._keep(pod)
            return Refusal(pod.ref, f"no node can take it: {_counts(refused)}{kept}")
        candidates.sort(key=self.strategy.rank, reverse=True)  # stable: ties stay in name order
        self.last_node = candidates[0].node.name
        self.taken.take(self.last_node, pod)
        if self.arrays is not None:
            candidates[:2] = [self.arrays.explained(each) for each in candidates[:2]]
            self.arrays.take(self.last_node)
        return _placement(pod, self.strategy, candidates, refused)

    def _judge_all(self, pod: Workload) -> tuple[list[Candidate], Counter[str]]:
        candidates: list[Candidate] = []
        refused: Counter[str] = Counter()
        for node in self.nodes:
            verdict = self._judge(pod, node)
            if isinstance(verdict, Candidate):
                candidates.append(verdict)
            else:
                refused[verdict] += 1
        return candidates, refused

    def _judge(self, pod: Workload, node: Node) -> Candidate | str:
        """The node as a candidate, or the reason why it is none."""
        reason = refusal(pod, node) or self.missing.why(node.cluster) or None
        if reason is not None:
            return reason
        if node.name in self.kept:
            return f"kept for {self.kept[node.name]}, which is overdue"
        there = self.gpus.get((node.cluster, node.name), ())
        broken = self.broken(node)
        ask = Capacity.of_workload(pod)
        free = self.taken.free[node.name].minus(Capacity(broken, 0, 0, 0))
        short = free.shortage(ask)
        if short is not None:
            return (
                f"{short} ({broken} lost or held by a process without a pod)"
                if broken and ask.gpus
                else short
            )
        needs = self.strategy.needs
        gpus = measured(there, needs, self.evidence)
        if needs and len(gpus) < max(1, node.gpus):
            return f"no fresh {' and '.join(sorted(needs))} of every GPU"
        promised = self.taken.promised_gpus[node.name]
        found = Candidate(node, free.minus(ask), gpus, promised, self.last_node)
        return found if self.arrays is None else self.arrays.scored(found)

    def _keep(self, pod: Workload) -> str:
        """Keep a node for a pod that is overdue: of those that could take it if nothing ran there,
        the one with the most GPUs free. Nothing else is placed on it, so it only gets emptier.
        """
        if not isinstance(self.strategy, Aging) or not self.strategy.is_overdue(pod):
            return ""
        able = [node for node in self.nodes if node.name not in self.kept and self._able(pod, node)]
        if not able:
            return ""
        best = max(able, key=lambda node: self.taken.free[node.name].gpus - self.broken(node))
        self.kept[best.name] = pod.ref
        return f"; {best.name} is kept for it, since it is overdue"

    def _able(self, pod: Workload, node: Node) -> bool:
        if refusal(pod, node) or self.missing.why(node.cluster):
            return False
        whole = Capacity.of_node(node).minus(Capacity(self.broken(node), 0, 0, 0))
        return whole.shortage(Capacity.of_workload(pod)) is None

    def broken(self, node: Node) -> int:
        """GPUs of the node that look free and that no pod can use."""
        there = self.gpus.get((node.cluster, node.name), ())
        return unusable(node, there, pods_are_known=node.cluster in self.attributed)


class _Arrays:
    """The same nodes as a strategy's scorer sees them, for one pod after the other."""

    def __init__(self, run: _Run, strategy: Scoring, past: Iterable[Workload]) -> None:
        nodes = [node for node in run.nodes if node.known]
        broken = {node.name: run.broken(node) for node in nodes}
        self._fleet = fleet_of(nodes, run.taken.free, run.gpus, broken)
        self._rows = {node.name: row for row, node in enumerate(nodes)}
        models = self._fleet.models
        self._scorer = strategy.scorer(demands_of(past, models), len(models))
        self._demand = Demand(0, 0)
        self._values = np.zeros(len(nodes))

    def look(self, pod: Workload) -> None:
        """Score every node for this pod."""
        self._demand = demand_of(pod, self._fleet.models)
        values = self._scorer.score(self._fleet, self._demand, ALL).values
        bias = self._scorer.bias(self._fleet, self._demand)
        self._values = values if bias is None else values + bias

    def scored(self, candidate: Candidate) -> Candidate:
        return replace(candidate, value=float(self._values[self._rows[candidate.node.name]]))

    def explained(self, candidate: Candidate) -> Candidate:
        row = self._rows[candidate.node.name]
        return replace(candidate, parts=self._scorer.parts(self._fleet, self._demand, row))

    def take(self, node: str) -> None:
        self._fleet.grant(self._demand, self._rows[node])


def _placement(
    pod: Workload, strategy: Strategy, ranked: list[Candidate], refused: Mapping[str, int]
) -> Placement:
    best = ranked[0].node
    return Placement(
        workload=pod,
        node=best.name,
        hostname=best.hostname,
        strategy=strategy.name,
        score=strategy.rank(ranked[0])[0],
        runner_up=ranked[1].node.name if len(ranked) > 1 else None,
        refused=dict(sorted(refused.items())),
        why=_why(pod, strategy, ranked, refused),
    )


def _why(
    pod: Workload, strategy: Strategy, ranked: list[Candidate], refused: Mapping[str, int]
) -> str:
    said = [f"{candidate.node.name} {strategy.explain(candidate)}" for candidate in ranked[:2]]
    standing = f"; {strategy.standing(pod)}" if isinstance(strategy, Aging) else ""
    if len(said) == 2:
        return f"{said[0]}; runner-up {said[1]}{standing}"
    if not refused:
        return f"{said[0]}; it is the only node{standing}"
    return f"{said[0]}; no other node can take it: {_counts(refused)}{standing}"


def _counts(reasons: Mapping[str, int]) -> str:
    """The reasons with their numbers of nodes, most frequent first."""
    if not reasons:
        return "there are no nodes"
    ordered = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    return "; ".join(f"{count} node{'s' * (count > 1)}: {reason}" for reason, count in ordered)
