"""What the proxy of the API server does to requests: each kind of fault once, then by chance."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

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
STRUCK = {  # by what is asked for; the empty one is all that workers ask and write
    "": KINDS,
    "list": FOLLOWED_KINDS,
    "watch": FOLLOWED_KINDS,
    "watch under way": PIECE_KINDS,
}
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
        self._due = {what: list(kinds) for what, kinds in STRUCK.items()}

    def never(self) -> list[str]:
        """The kinds of fault that nothing was struck by."""
        with self._lock:
            return [_name(what, *one) for what, due in self._due.items() for one in due]

    def take(self, method: str, path: str) -> Fault | None:
        with self._lock:
            if method == WATCH:
                return self._followed("watch under way", PIECE_CHANCE)
            if is_watch(path):
                return self._followed("watch", CHANCE)
            if "limit=" in path:
                return self._followed("list", CHANCE)
            if self.calm or self.random.random() >= CHANCE:
                return None
            kind, status = self._drawn(self.random, "")
        return Fault(kind, status, method, is_dry_run(path), path, lambda: self.edit(path))

    def _followed(self, what: str, chance: float) -> Fault | None:
        if self.follower_calm or self.follower_random.random() >= chance:
            return None
        return Fault(*self._drawn(self.follower_random, what))

    def _drawn(self, dice: random.Random, what: str) -> tuple[Kind, int]:
        """Each kind once, then by weight."""
        kinds = STRUCK[what]
        if due := self._due[what]:
            kind, status, _ = due.pop(dice.randrange(len(due)))
        else:
            ((kind, status, _),) = dice.choices(kinds, [weight for _, _, weight in kinds])
        self.counted[_name(what, kind, status)] += 1
        return kind, status


def _name(what: str, kind: Kind, status: int, _: int = 0) -> str:
    named = f"{kind}{f' {status}' if status else ''}"
    return f"{what}: {named}" if what else named
