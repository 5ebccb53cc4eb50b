"""Standing approvals: a class of decisions that an admin has said yes to in advance, with a cap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agentaflow_advisor.model import Decision

DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class StandingApproval:
    """Agrees to decisions of these channels, in these namespaces, by these strategies if named."""

    name: str
    channels: tuple[str, ...]
    max_per_day: int
    namespaces: tuple[str, ...] = ()
    strategies: tuple[str, ...] = ()

    @property
    def actor(self) -> str:
        """How the journal names it."""
        return f"standing approval {self.name}"

    def covers(self, decision: Decision) -> bool:
        return (
            decision.action.channel in self.channels
            and (not self.namespaces or decision.action.namespace in self.namespaces)
            and (not self.strategies or decision.strategy in self.strategies)
        )


def agreeing(
    decision: Decision, standing: tuple[StandingApproval, ...], given: Mapping[str, int]
) -> StandingApproval | None:
    """The first that covers it and has some of its day's approvals left; `given` is by actor."""
    return next(
        (
            approval
            for approval in standing
            if approval.covers(decision) and given.get(approval.actor, 0) < approval.max_per_day
        ),
        None,
    )
