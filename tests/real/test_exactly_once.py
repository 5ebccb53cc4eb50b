"""Exactly once on a real API server: kills, lost answers and other people's edits on the way."""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from lightkube import Client, KubeConfig

from agentaflow_advisor.act.apply import Applier, apply_decision
from agentaflow_advisor.decide.journal import Journal
from agentaflow_advisor.model import Decision, State
from agentaflow_advisor.model.names import DECISION, HOSTNAME
from agentaflow_advisor.observe.cluster import connect
from tests.support.applying import Stopwatch
from tests.support.fault_proxy import Fault, FaultProxy, Kind
from tests.support.scene import Scene
from tools.control_plane import ControlPlane
from tools.processes import Program

ROOT = Path(__file__).parents[2]


@pytest.fixture
def scene(cluster: ControlPlane) -> Scene:
    return Scene(cluster, f"once-{secrets.token_hex(4)}")


@pytest.fixture
def proxy(cluster: ControlPlane) -> Iterator[FaultProxy]:
    with FaultProxy(cluster.url, cluster.ca_file) as running:
        yield running


def start(scene: Scene, proxy: FaultProxy, journal: Journal) -> Program:
    """A process of the advisor that applies what the journal holds, through the proxy."""
    module: list[str | Path] = [sys.executable, "-m", "tests.support.applier_process"]
    command = [*module, scene.kubeconfig(proxy.url), journal.path, scene.namespace]
    return Program(command, journal.path.with_suffix(".log"), folder=ROOT)


def apply_through(scene: Scene, proxy: FaultProxy, journal: Journal, made: Decision) -> Decision:
    """The same in this process, where pauses cost no time."""
    clock = replace(Stopwatch().clock(), now=time.time)
    with connect(scene.kubeconfig(proxy.url), None) as client:
        room = Applier(journal, client, scene.policy, prometheus_now=time.time, clock=clock)
        return apply_decision(room, made)


def assert_patched_once_and_bound(scene: Scene, proxy: FaultProxy, made: Decision) -> None:
    assert scene.bound_to() == scene.node
    pod = scene.pod()
    assert pod["metadata"]["annotations"][DECISION] == made.id
    assert pod["spec"]["nodeSelector"] == {HOSTNAME: scene.node}
    managers = [entry["manager"] for entry in pod["metadata"]["managedFields"]]
    assert managers.count("agentaflow") == 1
    assert len(proxy.writes()) == 1


def assert_untouched(pod: Any, proxy: FaultProxy) -> None:
    assert proxy.writes() == []
    assert DECISION not in pod["metadata"].get("annotations", {})
    assert [gate["name"] for gate in pod["spec"]["schedulingGates"]] == ["agentaflow.io/placement"]


@pytest.mark.parametrize(
    ("fault", "patched"),
    [
        pytest.param(Fault(Kind.HOLD, dry_run=True), False, id="before the dry run"),
        pytest.param(Fault(Kind.HOLD), False, id="between journal commit and patch"),
        pytest.param(Fault(Kind.FORWARD_THEN_HOLD), True, id="between patch and answer"),
    ],
)
def test_killed_on_the_way_and_restarted_the_pod_is_patched_exactly_once(
    scene: Scene, proxy: FaultProxy, journal: Journal, fault: Fault, patched: bool
) -> None:
    """SIGKILL leaves `intended` behind; the next process finds out what happened and ends it."""
    scene.add_pod()
    made = scene.approved(journal)
    proxy.inject(fault)
    first = start(scene, proxy, journal)
    try:
        proxy.wait_until_struck(fault.kind)
    finally:
        first.process.kill()
        first.stop()
    assert journal.get(made.id).state is State.INTENDED
    assert (DECISION in scene.pod()["metadata"].get("annotations", {})) == patched

    second = start(scene, proxy, journal)
    assert second.process.wait(60) == 0, second.log.read_text()
    assert journal.get(made.id).state is State.APPLIED
    assert [event.to_state for event in journal.events(made.id)] == [
        State.PROPOSED,
        State.APPROVED,
        State.INTENDED,
        State.APPLIED,
    ]
    assert_patched_once_and_bound(scene, proxy, made)
    assert journal.verify() == ()


@pytest.mark.parametrize(
    "fault",
    [
        Fault(Kind.RESET),
        Fault(Kind.FORWARD_THEN_RESET),
        Fault(Kind.FORWARD_THEN_TRUNCATE),
        Fault(Kind.FORWARD_THEN_ANSWER, status=500),
        Fault(Kind.FORWARD_THEN_ANSWER, status=409),
        Fault(Kind.ANSWER, status=409),
        Fault(Kind.ANSWER, status=429),
        Fault(Kind.ANSWER, status=503),
        Fault(Kind.RESET, dry_run=True),
        Fault(Kind.RESET, method="GET", path="/pods/"),
        Fault(Kind.FORWARD_THEN_TRUNCATE, method="GET", path="/namespaces/"),
    ],
    ids=lambda fault: f"{fault.method} {fault.kind} {fault.status} dry={fault.dry_run}",
)
def test_a_lost_or_false_answer_changes_the_pod_once(
    scene: Scene, proxy: FaultProxy, journal: Journal, fault: Fault
) -> None:
    """Whatever the network does to a request or its answer, one write takes effect."""
    scene.add_pod()
    made = scene.approved(journal)
    proxy.inject(fault)
    ended = apply_through(scene, proxy, journal, made)
    if ended.state is State.APPROVED:  # nothing was sent yet when the read failed
        ended = apply_through(scene, proxy, journal, made)
    assert (ended.state, proxy.struck) == (State.APPLIED, [fault.kind])
    assert_patched_once_and_bound(scene, proxy, made)


@pytest.mark.parametrize("kind", [Kind.HOLD, Kind.FORWARD_THEN_HOLD])
def test_an_answer_that_does_not_come_in_time_changes_the_pod_once(
    scene: Scene, proxy: FaultProxy, journal: Journal, kind: Kind
) -> None:
    """After the client's timeout a read tells whether the write took effect."""
    scene.add_pod()
    made = scene.approved(journal)
    proxy.inject(Fault(kind))
    config = KubeConfig.from_file(scene.kubeconfig(proxy.url)).get()
    with Client(config=config, timeout=httpx2.Timeout(1.0)) as client:
        room = Applier(journal, client, scene.policy, prometheus_now=time.time)
        assert apply_decision(room, made).state is State.APPLIED
    assert_patched_once_and_bound(scene, proxy, made)


def test_a_concurrent_harmless_edit_is_judged_anew_and_kept(
    scene: Scene, proxy: FaultProxy, journal: Journal
) -> None:
    """The API server answers 409; after a second look the patch goes out, and the edit stays."""
    scene.add_pod()
    made = scene.approved(journal)
    label = {"metadata": {"labels": {"team": "vision"}}}
    proxy.inject(Fault(Kind.EDIT_THEN_FORWARD, edit=lambda: scene.patch(label)))
    assert apply_through(scene, proxy, journal, made).state is State.APPLIED
    patches = [seen.status for seen in proxy.seen if seen.method == "PATCH"]
    assert patches == [200, 409, 200]  # dry run, conflict, write
    assert scene.pod()["metadata"]["labels"]["team"] == "vision"
    assert_patched_once_and_bound(scene, proxy, made)


@pytest.mark.parametrize(
    ("meanwhile", "reason"),
    [
        (
            lambda scene: scene.patch({"metadata": {"labels": {"agentaflow.io/managed": None}}}),
            "target_opted_in",
        ),
        (
            lambda scene: scene.patch({"spec": {"nodeSelector": {"tier": "a100"}}}),
            "target_unchanged",
        ),
        (lambda scene: scene.replace_pod(), "replaced by another of its name"),
    ],
)
def test_a_concurrent_edit_that_matters_supersedes(
    scene: Scene,
    proxy: FaultProxy,
    journal: Journal,
    meanwhile: Callable[[Scene], object],
    reason: str,
) -> None:
    """Opted out, constrained or replaced while the patch was on its way: the pod is left alone."""
    scene.add_pod()
    made = scene.approved(journal)
    proxy.inject(Fault(Kind.EDIT_THEN_FORWARD, edit=lambda: meanwhile(scene)))
    ended = apply_through(scene, proxy, journal, made)
    assert ended.state is State.SUPERSEDED
    assert reason in ended.reason
    assert_untouched(scene.pod(), proxy)


def test_a_pod_that_is_deleted_on_the_way_supersedes(
    scene: Scene, proxy: FaultProxy, journal: Journal
) -> None:
    """A patch of a pod that is gone is 404, and the decision is over."""
    scene.add_pod()
    made = scene.approved(journal)
    proxy.inject(Fault(Kind.EDIT_THEN_FORWARD, edit=scene.delete_pod))
    ended = apply_through(scene, proxy, journal, made)
    assert (ended.state, ended.reason) == (State.SUPERSEDED, "the pod is gone")
    assert proxy.writes() == []


def test_a_pod_that_took_the_name_is_not_touched(
    scene: Scene, proxy: FaultProxy, journal: Journal
) -> None:
    """The decision was about the other pod."""
    scene.add_pod()
    made = scene.approved(journal)
    scene.replace_pod()
    ended = apply_through(scene, proxy, journal, made)
    assert ended.state is State.SUPERSEDED
    assert_untouched(scene.pod(), proxy)
