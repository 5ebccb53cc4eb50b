"""What carrying decisions out needs: a journal, a cluster, the limits, a clock, and who leads."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from lightkube import Client

from agentaflow_advisor.act.points import Point
from agentaflow_advisor.decide.journal import Journal
from agentaflow_advisor.decide.policy import Policy


@dataclass(frozen=True, slots=True)
class Clock:
    """Time as this room uses it; tests bring their own."""

    now: Callable[[], float] = time.time  # seconds since the epoch
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


def _leading() -> str | None:
    return None


def _unwatched(_: Point) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Applier:
    """All that carrying decisions out needs. `prometheus_now` may raise ObserveError."""

    journal: Journal
    client: Client
    policy: Policy
    prometheus_now: Callable[[], float]  # seconds since the epoch, Prometheus' clock
    actor: str = "agentaflow"
    clock: Clock = field(default_factory=Clock)
    follower: Callable[[], str | None] = _leading  # why another process is the one that acts
    reached: Callable[[Point], None] = _unwatched  # told of each point that is passed
