"""What a strategy is: typed settings, the signals it needs, and three pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol, runtime_checkable

from agentaflow_advisor.model import Gpu, Node, Workload
from agentaflow_advisor.place.capacity import Capacity
from agentaflow_advisor.place.demand import Demand
from agentaflow_advisor.place.scorer import Scorer

Rank = tuple[float, ...]
"""Compared from the left."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A node that could take the pod, and all that a strategy may know about it."""

    node: Node
    left: Capacity  # what would be left on it afterwards
    gpus: tuple[Gpu, ...] = ()  # all of its own, busy or not, with what the strategy needs
    promised_gpus: int = 0  # to pods that do not run yet, so not in the measurements
    last_node: str | None = None  # where the pod before this one went
    value: float = 0.0  # what the strategy's scorer says of it
    parts: Mapping[str, float] = field(default_factory=dict)  # what that is made of


@runtime_checkable
class Scoring(Protocol):
    """A strategy that scores all nodes at once, as arrays."""

    def scorer(self, past: Sequence[Demand], models: int) -> Scorer:
        """For one run, from what pods of the cluster asked for, in the order in which they came,
        and the number of its GPU models.
        """


@runtime_checkable
class Aging(Protocol):
    """A strategy for which it counts how long a pod has waited, and who else there is."""

    def among(self, priorities: Iterable[int], now: float) -> Strategy:
        """The same for one run, at `now` in seconds since the epoch."""

    def is_overdue(self, workload: Workload) -> bool:
        """Whether a node is kept for the pod, if there is no room for it."""

    def standing(self, workload: Workload) -> str:
        """Its place in the queue in words."""


class ByScore:
    """What strategies that score all nodes at once have in common."""

    needs: ClassVar[frozenset[str]] = frozenset()

    def queue(self, workload: Workload) -> Rank:
        return oldest_first(workload)

    def rank(self, candidate: Candidate) -> Rank:
        return (candidate.value,)


class Strategy(Protocol):
    """One way to choose a node. Implementations are frozen dataclasses, fields are settings."""

    name: ClassVar[str]
    summary: ClassVar[str]
    needs: ClassVar[frozenset[str]]  # Usage fields of Gpu; a node that lacks one is refused

    def queue(self, workload: Workload) -> Rank:
        """Which pod is placed first: the one with the smallest rank."""

    def rank(self, candidate: Candidate) -> Rank:
        """How good the node is: the greatest rank wins, then the first node by name."""

    def explain(self, candidate: Candidate) -> str:
        """The rank in words that follow the node's name: "would keep 2 GPUs free"."""


def gpus(number: int) -> str:
    """For explanations: 1 GPU, 2 GPUs."""
    return f"{number} GPU{'' if number == 1 else 's'}"


def oldest_first(workload: Workload) -> Rank:
    """The order in which the pods were created."""
    return (workload.created_at,)
