"""What a strategy is: typed settings, the signals it needs, and three pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol, runtime_checkable

from agentaflow_advisor.model import Node, Workload
from agentaflow_advisor.place.capacity import Capacity
from agentaflow_advisor.place.demand import Demand
from agentaflow_advisor.place.fleet import Integers
from agentaflow_advisor.place.scorer import Floats, Scorer

Rank = tuple[float, ...]
"""Compared from the left."""
Column = Floats | Integers
Ranks = Mapping[str, Column]
"""By name, a value for each node: compared from the left, the greatest wins."""


@dataclass(frozen=True, slots=True)
class Offers:
    """All nodes as one pod sees them: columns with a row each, in order of names.

    What they say of a node that cannot take the pod is not used.
    """

    left: Mapping[str, Integers]  # afterwards, by resource as in capacity.py
    promised_gpus: Integers  # to pods that do not run yet, so not in the measurements
    measured_gpus: Integers
    measured: Mapping[str, Floats]  # signal → sum of its high percentile over those GPUs
    next_row: int  # of the first node after the one where the pod before went, by name
    extended_left: Integers | None = None  # of the extended resources that it asks for, if any
    values: Floats | None = None  # what the strategy's scorer says


@dataclass(frozen=True, slots=True)
class Candidate:
    """One of the nodes that could take the pod, to be told of."""

    node: Node
    row: int
    left: Capacity  # what would be left on it afterwards
    promised_gpus: int = 0
    extended: tuple[tuple[str, int], ...] = ()  # of `left`, what it asks for
    ranks: Mapping[str, float] = field(default_factory=dict)  # its row of the ranks
    parts: Mapping[str, float] = field(default_factory=dict)  # what the scorer's value is made of
    near: Mapping[str, float] = field(default_factory=dict)  # the same for what goes before ranks

    @property
    def value(self) -> float:
        """What the strategy's scorer says of it."""
        return self.ranks["score"]

    @property
    def all_parts(self) -> Mapping[str, float]:
        """All that was compared, in its order, and what the scorer's value is the sum of."""
        return {**self.near, **self.ranks, **self.parts}


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

    def rank(self, offers: Offers) -> Ranks:
        return packed(offers) | ({} if offers.values is None else {"score": offers.values})


class Strategy(Protocol):
    """One way to choose a node. Implementations are frozen dataclasses, fields are settings."""

    name: ClassVar[str]
    summary: ClassVar[str]
    needs: ClassVar[frozenset[str]]  # Usage fields of Gpu; a node that lacks one is refused

    def queue(self, workload: Workload) -> Rank:
        """Which pod is placed first: the one with the smallest rank."""

    def rank(self, offers: Offers) -> Ranks:
        """How good each node is; between equals the first by name is taken."""

    def explain(self, candidate: Candidate) -> str:
        """The rank in words that follow the node's name: "would keep 2 GPUs free"."""


def packed(offers: Offers) -> dict[str, Column]:
    """First the node with the fewest left of the extended resources that are asked for, so that
    others stay whole for pods that need many.
    """
    left = offers.extended_left
    return {} if left is None else {"extended_resources_left": -left}


def gpus(number: int) -> str:
    """For explanations: 1 GPU, 2 GPUs."""
    return f"{number} GPU{'' if number == 1 else 's'}"


def oldest_first(workload: Workload) -> Rank:
    """The order in which the pods were created."""
    return (workload.created_at,)
