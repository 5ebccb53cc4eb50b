"""least_utilized: the node with the least busy GPUs; good for latency and heat, not capacity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from agentaflow_advisor.model import Workload
from agentaflow_advisor.place.strategy import Candidate, Rank, gpus, oldest_first


@dataclass(frozen=True, slots=True)
class LeastUtilized:
    """Lowest measured GPU utilization. Spreading leaves fewer nodes whole than best_fit."""

    name: ClassVar[str] = "least_utilized"
    summary: ClassVar[str] = (
        "the node whose GPUs were measured least busy; spreads load and heat, fragments capacity"
    )
    needs: ClassVar[frozenset[str]] = frozenset({"utilization"})

    def queue(self, workload: Workload) -> Rank:
        return oldest_first(workload)

    def rank(self, candidate: Candidate) -> Rank:
        return (-_busy(candidate), candidate.left.gpus)

    def explain(self, candidate: Candidate) -> str:
        promised = candidate.promised_gpus
        counted = f" ({gpus(promised)} promised, counted as busy)" if promised else ""
        return f"has GPUs {min(1.0, _busy(candidate)):.0%} busy{counted}"


def _busy(candidate: Candidate) -> float:
    """The high percentile over the window, averaged over the GPUs; a promised one counts as 1."""
    measured = sum(gpu.utilization.high for gpu in candidate.gpus if gpu.utilization)
    return (measured + candidate.promised_gpus) / len(candidate.gpus)
