"""least_waste: the node on which a placement is expected to leave the least unusable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from agentaflow_advisor.place.demand import WHOLE, Demand
from agentaflow_advisor.place.mix import Mix
from agentaflow_advisor.place.scorer import Scorer
from agentaflow_advisor.place.scorers.least_waste import LeastWaste as Waste
from agentaflow_advisor.place.strategy import ByScore, Candidate


@dataclass(frozen=True, slots=True)
class LeastWaste(ByScore):
    """Scores all nodes at once from the mix of pods that the cluster has had; see scorers/."""

    name: ClassVar[str] = "least_waste"
    summary: ClassVar[str] = (
        "the node on which a placement is expected to leave the fewest GPUs unusable, "
        "by the mix of pods that the cluster has"
    )

    def scorer(self, past: Sequence[Demand], models: int) -> Scorer:
        """The mix of a cluster with few pods is mostly the uninformed one."""
        del models
        mix = Mix()
        for demand in past:
            mix.learn(demand)
        return Waste(mix=mix)

    def explain(self, candidate: Candidate) -> str:
        saved = candidate.value
        sign = 1 if saved > 0 else -1
        parts = ", ".join(
            f"{name} {sign * value / WHOLE:.2f}" for name, value in candidate.parts.items() if value
        )
        verb = "save" if saved > 0 else "waste"
        return f"would {verb} {abs(saved) / WHOLE:.2f} GPUs ({parts or 'nothing'})"
