"""What was measured, by node: sums for strategies that measure, and which nodes lack evidence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from agentaflow_advisor.model import Gpu, Node
from agentaflow_advisor.place.feasibility import EvidenceSettings, measured
from agentaflow_advisor.place.fleet import Booleans
from agentaflow_advisor.place.scorer import Floats


class Evidence:
    """`gpus` has fresh samples of every signal that is needed, by row; `high` is the sum of their
    high percentiles, by signal and row.
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        there: Sequence[tuple[Gpu, ...]],
        needs: frozenset[str],
        settings: EvidenceSettings | None,
    ) -> None:
        settings = settings or EvidenceSettings()
        fresh = [measured(gpus, needs, settings) if needs else gpus for gpus in there]
        self.gpus = np.array([len(gpus) for gpus in fresh], dtype=np.int64)
        self.high: Mapping[str, Floats] = {
            signal: np.array([_sum(gpus, signal) for gpus in fresh], dtype=float)
            for signal in needs
        }
        least = np.array([max(1, node.gpus) for node in nodes], dtype=np.int64)
        self._lacking: Booleans | None = self.gpus < least if needs else None
        self._reason = f"no fresh {' and '.join(sorted(needs))} of every GPU"

    def narrow(self, able: Booleans) -> tuple[Booleans, Counter[str]]:
        """Those of the able rows of which enough was measured, and why not the others."""
        if self._lacking is None:
            return able, Counter()
        return able & ~self._lacking, Counter({self._reason: int((able & self._lacking).sum())})


def _sum(gpus: Sequence[Gpu], signal: str) -> float:
    return float(sum(getattr(gpu, signal).high for gpu in gpus))
