"""Gangs from `place` to `apply`: both mean the same by a gang, and it goes whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentaflow_advisor.model.names import GANG, GANG_SIZE, GATE, MANAGED, SCHEDULER
from tests.support.cli import Cli
from tests.support.fake_kubernetes import FakeKubernetes, fake_kubernetes
from tests.support.fake_prometheus import Card, fake_prometheus

NODES = {"node-0": 4, "node-1": 8}
CHANNELS = ("--channel", "scheduling-gate", "--channel", "binding")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[FakeKubernetes]:
    """node-0 has 4 GPUs and node-1 has 8."""
    with fake_kubernetes(tmp_path, NODES) as made:
        yield made


@pytest.fixture
def run(cli: Cli, cluster: FakeKubernetes) -> Iterator[Cli]:
    cards = [Card(node, gpu, busy=0.1) for node, gpus in NODES.items() for gpu in range(gpus)]
    with fake_prometheus(*cards) as prometheus:
        options = ("--prometheus-url", prometheus.url, "--kubeconfig", str(cluster.kubeconfig))
        yield cli.having(*options)


def add(cluster: FakeKubernetes, name: str, gpus: int, phase: str = "", **spec: Any) -> None:
    """A pod of the gang `ring`; gated, unless its spec says otherwise."""
    cluster.add_pod(name, gpus=gpus)
    pod = body(cluster, name)
    pod["metadata"]["labels"] = {MANAGED: "true", GANG: "ring"}
    pod["spec"] |= spec
    if phase:
        pod["status"] = {"phase": phase}


def body(cluster: FakeKubernetes, name: str) -> dict[str, Any]:
    found: dict[str, Any] = cluster.objects[f"/api/v1/namespaces/research/pods/{name}"]
    return found


def applied(run: Cli) -> dict[str, tuple[str, str]]:
    """State and reason by pod, of what is proposed now, agreed to and carried out."""
    placed = run("place", "-o", "json").json["placements"]
    assert run("approve", *(each["decision"] for each in placed)).code == 0
    decisions = run("apply", *CHANNELS, "-o", "json").json["decisions"]
    return {each["action"]["name"]: (each["state"], each["reason"]) for each in decisions}


def test_pods_of_a_plain_job_start_one_by_one(run: Cli, cluster: FakeKubernetes) -> None:
    """They are no gang unless they say so: the one that has room runs."""
    job = {"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "j", "controller": True}
    for number in range(3):
        cluster.add_pod(f"j{number}", gpus=8)
        body(cluster, f"j{number}")["metadata"]["ownerReferences"] = [job]
    done = applied(run)
    assert {state for state, _ in done.values()} == {"verified"}
    assert len(done) == 1


def test_a_member_that_has_run_counts(run: Cli, cluster: FakeKubernetes) -> None:
    """Of three one has ended and one runs: the third is replaced by itself."""
    add(cluster, "a", 1, "Succeeded", nodeName="node-0", schedulingGates=None)
    add(cluster, "b", 1, "Running", nodeName="node-0", schedulingGates=None)
    add(cluster, "c", 1)
    for name in "abc":
        body(cluster, name)["metadata"]["annotations"] = {GANG_SIZE: "3"}
    assert applied(run)["c"][0] == "verified"


def test_members_that_are_bound_are_not_missing(run: Cli, cluster: FakeKubernetes) -> None:
    """Neither those that we bound, nor those that another scheduler did."""
    bind = {"schedulerName": SCHEDULER, "schedulingGates": None}
    add(cluster, "a", 1, "Running", nodeName="node-0", **bind)
    add(cluster, "b", 1, "Running", nodeName="node-1", schedulingGates=None)
    add(cluster, "c", 1)
    assert applied(run)["c"][0] == "verified"


def test_half_an_approval_releases_nothing(run: Cli, cluster: FakeKubernetes) -> None:
    """One of two is agreed to: it is vetoed by name, and both are proposed again."""
    add(cluster, "a", 4)
    add(cluster, "b", 4)
    (first, _) = run("place", "-o", "json").json["placements"]
    run("approve", first["decision"])
    refused = run("apply", *CHANNELS)
    assert refused.code == 5
    assert "gang_whole: the rest of its gang is not approved" in refused.out
    assert all(body(cluster, name)["spec"]["schedulingGates"] == [{"name": GATE}] for name in "ab")


def test_room_that_is_lost_after_the_approval_keeps_all(run: Cli, cluster: FakeKubernetes) -> None:
    """Another pod takes a node: nothing of the gang runs alone, and all of it goes later."""
    for name in ("g0", "g1", "g2"):
        add(cluster, name, 4)
    placed = run("place", "-o", "json").json["placements"]
    run("approve", *(each["decision"] for each in placed))
    cluster.add_pod("late", gpus=4, gates=())
    body(cluster, "late")["spec"]["nodeName"] = "node-0"
    assert run("apply", *CHANNELS).code == 5
    for name in ("g0", "g1", "g2"):
        assert body(cluster, name)["spec"]["schedulingGates"] == [{"name": GATE}]
    del cluster.objects["/api/v1/namespaces/research/pods/late"]
    assert {state for state, _ in applied(run).values()} == {"verified"}
    nodes = sorted(body(cluster, name)["spec"]["nodeName"] for name in ("g0", "g1", "g2"))
    assert nodes == ["node-0", "node-1", "node-1"]
