"""All or nothing: every member of a gang gets a place at once, or nothing is changed."""

from __future__ import annotations

from collections.abc import Iterable

from agentaflow_advisor.place.demand import Demand
from agentaflow_advisor.place.fleet import Booleans, Fleet, Grant
from agentaflow_advisor.place.placer import Placer


def place_gang(
    placer: Placer, demand: Demand, members: int, allowed: Booleans | None = None
) -> tuple[Grant, ...] | None:
    """Where the scorer likes each member best, one after the other; None without room for all."""
    grants: list[Grant] = []
    for _ in range(members):
        row, slot = placer.choose(demand, allowed)
        if row < 0:
            release(placer.fleet, grants)
            return None
        grants.append(placer.fleet.grant(demand, row, slot))
    return tuple(grants)


def release(fleet: Fleet, grants: Iterable[Grant]) -> None:
    """Give all of it back."""
    for grant in grants:
        fleet.release(grant)
