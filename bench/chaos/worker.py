"""A process that carries out what its journal holds, and dies at named points by chance.

python -m bench.chaos.worker KUBECONFIG JOURNAL NAMESPACE PROMETHEUS SEED CHANCE
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx2
from lightkube import Client, KubeConfig

from agentaflow_advisor.act.apply import Applier, Clock, apply_decision, recover, revert
from agentaflow_advisor.act.channels import CHANNELS
from agentaflow_advisor.act.points import Point
from agentaflow_advisor.decide.errors import JournalLocked, WrongState
from agentaflow_advisor.decide.journal import Journal
from agentaflow_advisor.decide.policy import Policy
from agentaflow_advisor.model import State
from agentaflow_advisor.observe.prometheus import Prometheus

UNDONE = "taken back"  # strategy of decisions that are reverted once they are applied
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


def dying(journal: Path, seed: int, chance: float) -> Callable[[Point], None]:
    """Ends the process at a point by chance, and leaves a line that says where."""
    dice = random.Random(seed)

    def reached(point: Point) -> None:
        rare = 5 if point in (Point.BEFORE_UNDO, Point.AFTER_UNDO) else 1
        if dice.random() < chance * rare:
            with journal.with_suffix(".kills").open("a") as kills:
                kills.write(f"{point}\n")
            os.kill(os.getpid(), signal.SIGKILL)

    return reached


def main(
    kubeconfig: str, path: str, namespace: str, prometheus: str, seed: str, chance: str
) -> None:
    config = KubeConfig.from_file(kubeconfig).get()
    policy = Policy(**{**{f: getattr(POLICY, f) for f in POLICY.__slots__}, "namespace": namespace})
    with (
        Journal(Path(path)) as journal,
        Client(config=config, timeout=httpx2.Timeout(1.0), field_manager="agentaflow") as client,
        Prometheus(prometheus, timeout_seconds=2.0) as clock,
    ):
        applier = Applier(
            journal,
            client,
            policy,
            prometheus_now=clock.now,
            clock=Clock(sleep=lambda seconds: time.sleep(seconds / HURRY)),
            reached=dying(Path(path), int(seed), float(chance)),
        )
        work(applier)


def work(applier: Applier) -> None:
    """Until nothing is left to do, or another process has the journal's lock."""
    try:
        recover(applier)
        for decision in applier.journal.list((State.APPROVED,)):
            apply_decision(applier, decision)
        for decision in applier.journal.list((State.APPLIED,)):
            if decision.strategy == UNDONE:
                revert(applier, decision, UNDONE)
    except (JournalLocked, WrongState):
        pass


if __name__ == "__main__":
    main(*sys.argv[1:])
