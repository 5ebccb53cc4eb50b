"""A process that carries out what its journal holds, and dies at a named point, and by chance."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import httpx2
from lightkube import Client, KubeConfig

from agentaflow_advisor.act.apply import Applier, Clock, apply_decision, recover, revert
from agentaflow_advisor.act.channels import CHANNELS
from agentaflow_advisor.act.points import Point
from agentaflow_advisor.decide.errors import JournalLocked, WrongState
from agentaflow_advisor.decide.journal import Journal
from agentaflow_advisor.decide.policy import Policy
from agentaflow_advisor.model import Decision, State
from agentaflow_advisor.observe.prometheus import Prometheus

UNDONE = "taken back"  # why decisions are reverted once they are applied
HURRY = 20.0  # pauses are so much shorter than they would be
POLICY = Policy(
    channels=frozenset(CHANNELS),
    min_pod_age_seconds=0.0,
    min_replicas=0,
    owner_cooldown_seconds=0.0,
    max_per_cycle=10**6,
    max_per_hour=10**6,
    max_per_node_per_hour=10**6,
    max_per_namespace_per_hour=10**6,
    breaker_failures=1000,
    max_closed_ratio=1.0,
    approval_ttl_seconds=600.0,
    deadline_seconds=20.0,
)


@dataclass(frozen=True, slots=True)
class Order:
    """What a worker is given for its life."""

    kubeconfig: Path
    journal: Path
    namespace: str
    prometheus: str
    seed: int
    chance: float  # of dying at any point
    point: str  # dies there for certain; empty: nowhere


def taken_back(decision: Decision) -> bool:
    """Every second one that can be."""
    return CHANNELS[decision.action.channel].reversible and int(decision.id[-1], 16) % 2 == 0


def dying(order: Order) -> Callable[[Point], None]:
    """Ends the process at a point, and leaves a line that says where."""
    dice = random.Random(order.seed)

    def reached(point: Point) -> None:
        if point == order.point or dice.random() < order.chance:
            with order.journal.with_suffix(".kills").open("a") as kills:
                kills.write(f"{point}\n")
            os.kill(os.getpid(), signal.SIGKILL)

    return reached


def main(order: Order) -> None:
    config = KubeConfig.from_file(order.kubeconfig).get()
    policy = replace(POLICY, namespace=order.namespace)
    with (
        Journal(order.journal) as journal,
        Client(config=config, timeout=httpx2.Timeout(1.0), field_manager="agentaflow") as client,
        Prometheus(order.prometheus, timeout_seconds=2.0) as clock,
    ):
        applier = Applier(
            journal,
            client,
            policy,
            prometheus_now=clock.now,
            clock=Clock(sleep=lambda seconds: time.sleep(seconds / HURRY)),
            reached=dying(order),
        )
        work(applier)


def work(applier: Applier) -> None:
    """Until nothing is left to do, or another process has the journal's lock."""
    try:
        recover(applier)
        for decision in applier.journal.list((State.APPROVED,)):
            apply_decision(applier, decision)
        for decision in filter(taken_back, applier.journal.list((State.APPLIED,))):
            revert(applier, decision, UNDONE)
    except (JournalLocked, WrongState):
        pass
