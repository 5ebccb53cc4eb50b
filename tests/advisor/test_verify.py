"""Verification: what became of an applied decision, as the pod itself shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agentaflow_advisor.decide.journal import Journal
from agentaflow_advisor.model import State
from agentaflow_advisor.verify import verify, verify_applied
from tests.support.applying import POD_PATH, changed, objects
from tests.support.decisions import NOW, decision
from tests.support.fake_cluster import FakeCluster

GONE = {path: body for path, body in objects().items() if path != POD_PATH}


@pytest.mark.parametrize(
    ("world", "state", "reason"),
    [
        (changed(POD_PATH, spec__nodeName="node-0"), State.VERIFIED, "was bound to node-0"),
        (changed(POD_PATH, spec__nodeName="x"), State.FAILED, "bound to x, not node-0"),
        (objects(), State.APPLIED, "is not bound yet"),
        (GONE, State.SUPERSEDED, "gone before it was seen bound"),
        (changed(POD_PATH, metadata__uid="other"), State.SUPERSEDED, "gone before"),
    ],
)
def test_an_applied_decision_comes_to_what_the_pod_shows(
    tmp_path: Path, world: dict[str, Any], state: State, reason: str
) -> None:
    """Bound there, bound elsewhere, waiting or gone: each has its state and its reason."""
    with Journal(tmp_path / "journal.db") as journal:
        made = journal.add(decision())
        for step in (State.APPROVED, State.INTENDED, State.APPLIED):
            journal.transition(made.id, step, actor="test", at=NOW)
        cluster = FakeCluster(world)
        ((ended, found),) = verify_applied(journal, cluster.client, now=NOW + 1)
        assert (ended.state, found.state) == (state, state)
        assert reason in found.reason
        assert journal.get(made.id).state is state
        assert all(sent.method == "GET" for sent in cluster.requests)


@pytest.mark.parametrize("fault", ["lost before", "500 before", "403", "truncated"])
def test_a_cluster_that_does_not_answer_proves_nothing(fault: str) -> None:
    """The state stays, and the reason is the trouble."""
    cluster = FakeCluster(objects())
    cluster.get_faults = iter([fault])
    made = decision()
    found = verify(made, cluster.client)
    assert found.state is made.state
    assert found.reason.startswith("Kubernetes API: ")
