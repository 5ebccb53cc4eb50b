"""A decision's life: from proposed to verified, one state at a time."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from agentaflow_advisor.model.actions import Action
from agentaflow_advisor.model.advice import Evidence


class State(StrEnum):
    PROPOSED = "proposed"
    VETOED = "vetoed"
    APPROVED = "approved"
    INTENDED = "intended"
    APPLIED = "applied"
    SUPERSEDED = "superseded"
    EXPIRED = "expired"
    FAILED = "failed"
    VERIFIED = "verified"
    REVERTED = "reverted"


NEXT: dict[State, frozenset[State]] = {
    State.PROPOSED: frozenset({State.VETOED, State.APPROVED, State.SUPERSEDED, State.EXPIRED}),
    State.APPROVED: frozenset({State.INTENDED, State.VETOED, State.SUPERSEDED, State.EXPIRED}),
    State.INTENDED: frozenset({State.APPLIED, State.SUPERSEDED, State.EXPIRED, State.FAILED}),
    State.APPLIED: frozenset({State.VERIFIED, State.REVERTED, State.FAILED, State.SUPERSEDED}),
    State.VERIFIED: frozenset({State.REVERTED}),
}
"""Which states may follow which; a state that is no key here is final."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One proposed change to the cluster. `id` is a UUIDv7, so that ids sort by time."""

    id: str
    proposed_at: float  # seconds since the epoch
    strategy: str
    action: Action
    evidence: Evidence
    why: str
    state: State = State.PROPOSED
    reason: str = ""  # of the newest transition
    actor: str = ""  # who brought it into this state
    state_at: float = 0.0  # when it came into this state, seconds since the epoch


@dataclass(frozen=True, slots=True)
class Allow:
    """A guard has nothing against it."""


@dataclass(frozen=True, slots=True)
class Veto:
    """A guard forbids it, and says why."""

    reason: str
