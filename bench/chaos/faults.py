"""What the proxies do to the requests of workers, by chance, from a seed."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.fault_proxy import Fault, FaultProxy, Kind, is_dry_run

CHANCE = 0.12
"""Of a request to be struck."""
KINDS: tuple[tuple[Kind, int, int], ...] = (  # kind, status, weight
    (Kind.RESET, 0, 6),
    (Kind.FORWARD_THEN_RESET, 0, 6),
    (Kind.FORWARD_THEN_TRUNCATE, 0, 5),
    (Kind.ANSWER, 409, 4),
    (Kind.ANSWER, 422, 1),
    (Kind.ANSWER, 429, 3),
    (Kind.ANSWER, 500, 3),
    (Kind.ANSWER, 503, 3),
    (Kind.FORWARD_THEN_ANSWER, 409, 2),
    (Kind.FORWARD_THEN_ANSWER, 422, 1),
    (Kind.FORWARD_THEN_ANSWER, 500, 3),
    (Kind.EDIT_THEN_FORWARD, 0, 6),
    (Kind.HOLD, 0, 1),
    (Kind.FORWARD_THEN_HOLD, 0, 1),
)
STALE_SECONDS = 3 * 3600.0


class ChaosProxy(FaultProxy):
    """Strikes each request with a chance; `edit` is what somebody else does in the meantime."""

    def __init__(
        self, upstream: str, ca_file: Path, seed: int, edit: Callable[[str], object]
    ) -> None:
        super().__init__(upstream, ca_file)
        self.random = random.Random(seed)
        self.edit = edit
        self.calm = False
        self.counted: Counter[str] = Counter()

    def take(self, method: str, path: str) -> Fault | None:
        with self._lock:
            if self.calm or self.random.random() >= CHANCE:
                return None
            kinds, weights = [each[:2] for each in KINDS], [each[2] for each in KINDS]
            ((kind, status),) = self.random.choices(kinds, weights)
            self.counted[f"{kind}{f' {status}' if status else ''}"] += 1
        return Fault(kind, status, method, is_dry_run(path), path, lambda: self.edit(path))


class LyingTime:
    """Falsifies some answers to the question what time it is, as a broken Prometheus might."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.calm = False
        self.lies: Counter[str] = Counter()

    def __call__(self, query: str, content: dict[str, Any]) -> None:
        if query != "time()" or self.calm or self.random.random() >= 0.04:
            return
        lie = self.random.choice(("NaN", "empty", "stale", "no answer"))
        self.lies[lie] += 1
        match lie:
            case "NaN":
                content["data"]["result"][1] = "NaN"
            case "empty":
                content["data"] = {"resultType": "vector", "result": []}
            case "stale":
                content["data"]["result"][1] = str(time.time() - STALE_SECONDS)
            case "no answer":
                content["status"] = "error"
