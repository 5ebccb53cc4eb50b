"""What a process of the advisor does when it applies: recover, then carry out what is approved.

python -m tests.support.applier_process KUBECONFIG JOURNAL NAMESPACE
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from agentaflow_advisor.act.apply import Applier, apply_decision, recover
from agentaflow_advisor.decide.journal import Journal
from agentaflow_advisor.decide.policy import Policy
from agentaflow_advisor.model import PlacePod, State
from agentaflow_advisor.observe.cluster import connect


def main(kubeconfig: str, path: str, namespace: str) -> None:
    policy = Policy(channels=frozenset({PlacePod.channel}), namespace=namespace)
    with Journal(Path(path)) as journal, connect(Path(kubeconfig), None) as client:
        applier = Applier(journal, client, policy, prometheus_now=time.time)
        recover(applier)
        for decision in journal.list((State.APPROVED,)):
            apply_decision(applier, decision)


if __name__ == "__main__":
    main(*sys.argv[1:])
