"""The nodes as one strategy sees them: its evidence, its scores, whose turn it is.

Pods of one run may ask for different strategies; each has a view, and all see what is taken.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agentaflow_advisor.model import Gpu, Node, Workload
from agentaflow_advisor.place.capacity import Capacity
from agentaflow_advisor.place.evidence import Evidence
from agentaflow_advisor.place.feasibility import EvidenceSettings
from agentaflow_advisor.place.fleet import Grant
from agentaflow_advisor.place.scored import Scored
from agentaflow_advisor.place.scorer import Floats
from agentaflow_advisor.place.strategy import Scoring, Strategy


class View:
    """`turn` is the row after the one where its pod before went."""

    def __init__(
        self, strategy: Strategy, evidence: Evidence, scored: Scored | None, turn: int
    ) -> None:
        self.strategy = strategy
        self.evidence = evidence
        self.turn = turn
        self._scored = scored
        self._grants: list[Grant] = []

    def values(self, pod: Workload) -> Floats | None:
        """What the strategy's scorer says of every row, where it has one."""
        return None if self._scored is None else self._scored.values(pod)

    def parts(self, pod: Workload, row: int) -> Mapping[str, float]:
        """What such a value is the sum of, by name."""
        return {} if self._scored is None else self._scored.parts(pod, row)

    def take(self, pod: Workload, row: int) -> None:
        if self._scored is not None:
            self._grants.append(self._scored.take(pod, row))

    def give_back(self) -> None:
        """What was taken last."""
        if self._scored is not None:
            self._scored.release(self._grants.pop())


@dataclass(frozen=True, slots=True)
class Ground:
    """What the views of one run are made from; `nodes` are in order of their names."""

    nodes: Sequence[Node]
    free: Mapping[str, Capacity]
    gpus: Mapping[tuple[str, str], tuple[Gpu, ...]]
    broken: Mapping[str, int]  # GPUs that are free and yet of no use
    past: Sequence[Workload]
    evidence: EvidenceSettings | None

    def view(self, strategy: Strategy, last_node: str | None) -> View:
        """`last_node` is where the strategy's pod before went."""
        names = [node.name for node in self.nodes]
        there = [self.gpus.get((node.cluster, node.name), ()) for node in self.nodes]
        scored = None
        if isinstance(strategy, Scoring):
            scored = Scored(self.nodes, self.free, self.gpus, self.broken, strategy, self.past)
        return View(
            strategy,
            Evidence(self.nodes, there, strategy.needs, self.evidence),
            scored,
            turn=len(names) if last_node is None else bisect_right(names, last_node),
        )
