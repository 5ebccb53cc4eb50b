"""What becomes of decisions is told, whoever brought them there: log, Event and notice."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agentaflow_advisor.advice import load_prices
from agentaflow_advisor.configuration import load
from agentaflow_advisor.decide.journal import Journal
from agentaflow_advisor.model import Decision, State
from agentaflow_advisor.service import Service
from agentaflow_exporter.log import Log
from tests.support.decisions import decision
from tests.support.fake_kubernetes import FakeKubernetes, fake_kubernetes
from tests.support.fake_prometheus import Card, fake_prometheus
from tests.support.fleet import gated_pod
from tests.support.loopback import Answer, serve

POD = "/api/v1/namespaces/research/pods/train"


@dataclass
class Scene:
    """A loop's body on a cluster with a pod that waits, and somebody who is told of decisions."""

    service: Service
    cluster: FakeKubernetes
    journal: Journal
    log: io.StringIO
    told: list[dict[str, Any]]
    answers: threading.Event

    def lines(self, made: Decision) -> list[dict[str, Any]]:
        """What the log says of a decision."""
        said = map(json.loads, self.log.getvalue().splitlines())
        return [line for line in said if line.get("decision") == made.id]

    def proposed(self) -> Decision:
        self.service.cycle()
        (made,) = self.journal.list((State.PROPOSED,))
        return made


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    told: list[dict[str, Any]] = []
    answers = threading.Event()
    answers.set()

    def handle(_method: str, _path: str, body: bytes) -> Answer:
        answers.wait(30)
        told.append(json.loads(body)["decision"])
        return 200, "application/json", b"{}"

    with (
        fake_prometheus(*(Card("node-0", gpu, busy=0.1) for gpu in range(4))) as prometheus,
        fake_kubernetes(tmp_path, {"node-0": 4}) as cluster,
        serve(handle) as url,
        Journal(tmp_path / "journal.db") as journal,
    ):
        cluster.add_pod("train", gpus=2)
        values = {
            "prometheus_url": prometheus.url,
            "kubeconfig": cluster.kubeconfig,
            "journal": tmp_path / "journal.db",
            "channels": ["scheduling-gate"],
            "notices": [{"url": url, "states": [str(state) for state in State]}],
        }
        settings = load(None, values)
        log = io.StringIO()
        service = Service(
            settings,
            load_prices(settings),
            threading.Event(),
            actor="test",
            log=Log(format="json", stream=log),
        )
        yield Scene(service, cluster, journal, log, told, answers)
        answers.set()


def gone(scene: Scene, made: Decision) -> None:
    """The pod is deleted."""
    assert made.state is State.PROPOSED
    del scene.cluster.objects[POD]


def rejected(scene: Scene, made: Decision) -> None:
    """Somebody says no, by a command or over HTTP."""
    scene.journal.transition(
        made.id, State.VETOED, actor="bob", at=time.time(), reason="rejected: not today"
    )


@pytest.mark.parametrize(
    ("ends", "state", "event", "reason"),
    [
        (gone, "superseded", "Superseded", "the pod is gone"),
        (rejected, "vetoed", "Vetoed", "rejected: not today"),
    ],
)
def test_the_end_of_a_proposal_is_told(
    scene: Scene,
    ends: Callable[[Scene, Decision], None],
    state: str,
    event: str,
    reason: str,
) -> None:
    """With the decision's id in the log, as an Event of its object, and to who asked for it."""
    made = scene.proposed()
    ends(scene, made)
    scene.service.cycle()
    scene.service.acting.end(within_seconds=30)
    assert [(line["component"], line["msg"].partition(":")[0]) for line in scene.lines(made)] == [
        ("act", "proposed"),
        ("act", state),
    ]
    assert reason in scene.lines(made)[-1]["msg"]
    (written,) = scene.cluster.events
    assert (written["reason"], written["note"]) == (event, reason)
    assert written["regarding"]["name"] == "train"
    ours = [(told["state"], told["reason"]) for told in scene.told if told["id"] == made.id]
    assert ours[-1] == (state, reason)


def test_a_proposal_that_nobody_approved_is_told_to_have_expired(scene: Scene) -> None:
    """Its pod is proposed anew, which is told as well."""
    scene.proposed()
    old = scene.journal.add(decision(gated_pod("other"), now=time.time() - 1000))
    scene.service.cycle()
    said = [line["msg"] for line in scene.lines(old)]
    assert [line.partition(":")[0] for line in said] == ["proposed", "expired"]
    assert "it has waited for approval longer than 900 s" in said[-1]


def test_each_step_is_told_once(scene: Scene) -> None:
    """However many cycles follow."""
    made = scene.proposed()
    scene.journal.transition(made.id, State.APPROVED, actor="alice", at=time.time())
    for _ in range(3):
        scene.service.cycle()
    told = [(line["msg"].partition(":")[0], line["actor"]) for line in scene.lines(made)]
    assert [state for state, _ in told] == ["proposed", "approved", "applied", "verified"]
    assert told[1] == ("approved", "alice")


def test_a_receiver_that_hangs_does_not_hold_up_the_loop(scene: Scene) -> None:
    """The cycle ends while nobody answers; what it told is delivered afterwards."""
    scene.answers.clear()
    made = scene.proposed()
    scene.journal.transition(made.id, State.APPROVED, actor="alice", at=time.time())
    scene.service.cycle()
    assert scene.journal.get(made.id).state is State.VERIFIED
    assert scene.told == []
    scene.answers.set()
    scene.service.acting.end(within_seconds=30)
    assert [told["state"] for told in scene.told][-1] == "verified"
