"""What a decision lives through on a real API server: an ended token, an outage, wrong clocks."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import replace
from pathlib import Path

import pytest

from agentaflow_advisor.act.apply import Applier, Clock, apply_decision
from agentaflow_advisor.decide.journal import Journal
from agentaflow_advisor.model import State
from agentaflow_advisor.model.names import DECISION
from agentaflow_advisor.observe.cluster import connect
from tests.support.scene import Scene
from tools.control_plane import ControlPlane

SKEW = 600.0


@pytest.fixture
def scene(own_cluster: ControlPlane) -> Scene:
    """With a pod that waits behind its gate."""
    made = Scene(own_cluster, f"out-{secrets.token_hex(4)}")
    made.add_pod()
    return made


def test_a_token_that_ended_is_read_again_from_its_file(
    scene: Scene, journal: Journal, tmp_path: Path
) -> None:
    """401 ends no decision; with the new token in the file the same process goes on."""
    token, kubeconfig = tmp_path / "token", tmp_path / "kubeconfig"
    token.write_text("expired")
    body = json.loads(scene.cluster.kubeconfig.read_text())
    body["users"][0]["user"] = {"tokenFile": str(token)}
    kubeconfig.write_text(json.dumps(body))
    made = scene.approved(journal)
    with connect(kubeconfig, None) as client:
        room = Applier(journal, client, scene.policy, prometheus_now=time.time)
        waits = apply_decision(room, made)
        assert (waits.state, "401" in waits.reason) == (State.APPROVED, True)
        token.write_text(scene.cluster.token)
        assert apply_decision(room, made).state is State.APPLIED


@pytest.mark.parametrize("skew", [SKEW, -SKEW])
def test_wrong_clocks_make_no_evidence_fresh(scene: Scene, journal: Journal, skew: float) -> None:
    """A process that is ten minutes off judges by Prometheus' clock: fresh goes, stale does not."""
    clock = Clock(now=lambda: time.time() + skew)
    with connect(scene.cluster.kubeconfig, None) as client:
        old = time.time() + scene.policy.max_evidence_age_seconds + 60
        late = Applier(journal, client, scene.policy, lambda: old, clock=clock)
        vetoed = apply_decision(late, scene.approved(journal))
        assert (vetoed.state, "evidence_fresh" in vetoed.reason) == (State.VETOED, True)
        room = replace(late, prometheus_now=time.time)
        assert apply_decision(room, scene.approved(journal)).state is State.APPLIED


def test_an_outage_of_the_api_server_loses_nothing(scene: Scene, journal: Journal) -> None:
    """While it is away the decision waits, however often it is tried; then it is done once."""
    made = scene.approved(journal)
    slept: list[float] = []
    policy = replace(scene.policy, attempts=3)
    with connect(scene.cluster.kubeconfig, None) as client:
        room = Applier(journal, client, policy, time.time, clock=Clock(sleep=slept.append))
        with scene.cluster.outage():
            for _ in range(5):
                waits = apply_decision(room, made)
                assert waits.state in (State.APPROVED, State.INTENDED), waits.reason
        assert apply_decision(room, made).state is State.APPLIED
    assert scene.pod()["metadata"]["annotations"][DECISION] == made.id
