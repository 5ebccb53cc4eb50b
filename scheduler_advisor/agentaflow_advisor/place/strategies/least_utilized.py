"""least_utilized: the node with the least busy GPUs; good for latency and heat, not capacity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from agentaflow_advisor.model import Workload
from agentaflow_advisor.place.capacity import GPUS
from agentaflow_advisor.place.strategy import Candidate, Offers, Rank, Ranks, gpus, oldest_first


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

    def rank(self, offers: Offers) -> Ranks:
        """The high percentile over the window, averaged over the GPUs; a promised one counts as
        1.
        """
        busy = offers.measured["utilization"] + offers.promised_gpus
        return {
            "busy": -(busy / np.maximum(offers.measured_gpus, 1)),
            "gpus_left": offers.left[GPUS],
        }

    def explain(self, candidate: Candidate) -> str:
        promised = candidate.promised_gpus
        counted = f" ({gpus(promised)} promised, counted as busy)" if promised else ""
        busy = min(1.0, -candidate.ranks["busy"])
        return f"has GPUs {busy:.0%} busy{counted}"
