"""A recommendation's life as values, and the rules by which it ages, hides, returns and ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from agentaflow_advisor.model import Money, Recommendation, Where

RETURNS_ABOVE = 2
"""A dismissed one comes back when it would save more than so many times what it did then."""


class Standing(StrEnum):
    """Where a recommendation stands. Only an active one is shown unless all are asked for."""

    ACTIVE = "active"
    SNOOZED = "snoozed"
    DISMISSED = "dismissed"
    CLOSED = "closed"


class Step(StrEnum):
    """What can happen to one."""

    OPENED = "opened"
    CLOSED = "closed"
    REOPENED = "reopened"
    SNOOZED = "snoozed"
    DISMISSED = "dismissed"
    RESTORED = "restored"
    RETURNED = "returned"


@dataclass(frozen=True, slots=True)
class Mark:
    """What a person said to it. `saves` is what it would have saved a month when dismissed."""

    standing: Standing  # snoozed or dismissed
    at: float  # seconds since the epoch
    by: str
    reason: str
    until_at: float | None = None
    saves: Money | None = None


@dataclass(frozen=True, slots=True)
class Life:
    """One recommendation through all looks. Times are seconds since the epoch."""

    id: str
    kind: str
    analysis: str
    what: str
    where: Where
    saves: Money | None  # a month, when last seen
    first_seen_at: float
    last_seen_at: float
    times_seen: int  # looks that found it
    closed_at: float | None = None
    mark: Mark | None = None

    def standing(self, now: float) -> Standing:
        """A snooze ends by itself; nothing has to run for that."""
        if self.closed_at is not None:
            return Standing.CLOSED
        if self.mark is None:
            return Standing.ACTIVE
        over = self.mark.until_at is not None and self.mark.until_at <= now
        return Standing.ACTIVE if over else self.mark.standing


@dataclass(frozen=True, slots=True)
class Event:
    """One step of a life, as it was written down."""

    seq: int
    recommendation_id: str
    at: float  # seconds since the epoch
    step: Step
    actor: str
    reason: str
    until_at: float | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """What one look found, and what it can vouch for having looked at."""

    at: float  # Prometheus' evaluation time, seconds since the epoch
    recommendations: tuple[Recommendation, ...]
    analyses: Mapping[str, str] = field(default_factory=dict)  # id → the analysis that found it
    judged: Callable[[Life], bool] = lambda _: True  # whether its analysis could judge its place
    together: tuple[Money, ...] = ()  # what those that are shown save, overlaps once
    shown: int = 0
    scope: str = ""  # which Prometheus, over which window: sums of others do not compare
    gone_after_seconds: float = 86_400.0


def ended(life: Life, look: Look) -> str | None:
    """Why one that this look did not find is over; None where the look cannot tell.

    What could not be judged is not solved: it stays open until it has not been seen for long.
    """
    if look.at < life.last_seen_at:
        return None
    if look.judged(life):
        return "it was judged again and is no longer recommended"
    if look.at - life.last_seen_at > look.gone_after_seconds:
        return "what it is about has not been judged for long"
    return None


def outgrown(mark: Mark | None, saves: Money | None) -> str | None:
    """Why a dismissal does not hold any more; None where it does."""
    if mark is None or mark.standing is not Standing.DISMISSED:
        return None
    then = mark.saves
    if then is None or saves is None or then.currency != saves.currency:
        return None
    if saves.amount <= then.amount * RETURNS_ABOVE:
        return None
    return f"it would save {saves} a month, more than twice the {then} when it was dismissed"
