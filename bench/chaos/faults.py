"""What the proxies do to the requests of workers, by chance, from a seed."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.fault_proxy import WATCH, Fault, FaultProxy, Kind, is_dry_run, is_watch

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
FOLLOWED_KINDS: tuple[tuple[Kind, int, int], ...] = (  # of a request to list or to watch
    (Kind.ANSWER, 410, 6),
    (Kind.ANSWER, 429, 1),
    (Kind.ANSWER, 500, 1),
    (Kind.ANSWER, 503, 1),
    (Kind.RESET, 0, 2),
)
PIECE_CHANCE = 0.1
"""Of a piece of a watch under way to be struck."""
PIECE_KINDS: tuple[tuple[Kind, int, int], ...] = (
    (Kind.SILENCE, 0, 3),
    (Kind.EXPIRE, 0, 3),
    (Kind.RESET, 0, 2),
    (Kind.FORWARD_THEN_TRUNCATE, 0, 2),
)
STALE_SECONDS = 3 * 3600.0


class ChaosProxy(FaultProxy):
    """Strikes each request with a chance; `edit` is what somebody else does in the meantime.

    What the follower (follower.py) lists and watches is struck by dice of its own.
    """

    def __init__(
        self, upstream: str, ca_file: Path, seed: int, edit: Callable[[str], object]
    ) -> None:
        super().__init__(upstream, ca_file)
        self.random, self.follower_random = random.Random(seed), random.Random(seed)
        self.edit = edit
        self.calm = self.follower_calm = False
        self.counted: Counter[str] = Counter()

    def take(self, method: str, path: str) -> Fault | None:
        with self._lock:
            if method == WATCH:
                return self._followed("watch under way", PIECE_CHANCE, PIECE_KINDS)
            if is_watch(path):
                return self._followed("watch", CHANCE, FOLLOWED_KINDS)
            if "limit=" in path:
                return self._followed("list", CHANCE, FOLLOWED_KINDS)
            if self.calm or self.random.random() >= CHANCE:
                return None
            kind, status = _drawn(self.random, KINDS)
            self.counted[_named(kind, status)] += 1
        return Fault(kind, status, method, is_dry_run(path), path, lambda: self.edit(path))

    def _followed(
        self, what: str, chance: float, kinds: tuple[tuple[Kind, int, int], ...]
    ) -> Fault | None:
        if self.follower_calm or self.follower_random.random() >= chance:
            return None
        kind, status = _drawn(self.follower_random, kinds)
        self.counted[f"{what}: {_named(kind, status)}"] += 1
        return Fault(kind, status)


def _drawn(dice: random.Random, kinds: tuple[tuple[Kind, int, int], ...]) -> tuple[Kind, int]:
    ((kind, status, _),) = dice.choices(kinds, [weight for _, _, weight in kinds])
    return kind, status


def _named(kind: Kind, status: int) -> str:
    return f"{kind}{f' {status}' if status else ''}"


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
