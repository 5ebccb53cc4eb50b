"""fragmentation: the node on which a placement leaves the least useless to the cluster's pods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from agentaflow_advisor.place.demand import Demand
from agentaflow_advisor.place.scorer import Scorer
from agentaflow_advisor.place.scorers.fragmentation import Fragmentation as Fgd
from agentaflow_advisor.place.scorers.fragmentation import Typical
from agentaflow_advisor.place.strategy import ByScore, Candidate


@dataclass(frozen=True, slots=True)
class Fragmentation(ByScore):
    """FGD (Weng et al., USENIX ATC 2023), with the pods of the cluster as the typical ones."""

    name: ClassVar[str] = "fragmentation"
    summary: ClassVar[str] = (
        "the node on which a placement adds least to what is idle and useless to the pods that "
        "the cluster has"
    )

    def scorer(self, past: Sequence[Demand], models: int) -> Scorer:
        return Fgd(Typical(past, models))

    def explain(self, candidate: Candidate) -> str:
        return f"scores {candidate.value:.0f} of 100 for the fragments that it avoids"
