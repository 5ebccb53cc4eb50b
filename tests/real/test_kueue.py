"""The admission-check channel on Kueue's own CRDs: its answers, and that Kueue is told of us."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agentaflow_advisor.act.channels.admission_check import activate
from agentaflow_advisor.decide.journal import Journal
from agentaflow_advisor.model import AdmitWorkload, State
from agentaflow_advisor.model.names import CHECK, HOSTNAME
from agentaflow_advisor.observe.cluster import connect, read_cluster
from tests.support.rights import MANIFESTS
from tests.support.stage import Stage, harm_of, harmless, install_kueue, to
from tools.control_plane import MERGE_PATCH, ControlPlane

SINCE = "2026-01-01T00:00:00Z"


@pytest.fixture
def stage(kueue: ControlPlane, tmp_path: Path) -> Iterator[Stage]:
    with Journal(tmp_path / "journal.db") as journal:
        yield Stage(kueue, journal)


@pytest.fixture(scope="session")
def kueue(cluster: ControlPlane) -> ControlPlane:
    """The shared cluster with Kueue's Workloads."""
    install_kueue(cluster)
    return cluster


def test_a_kueue_workload_is_answered_and_taken_back(kueue: ControlPlane, stage: Stage) -> None:
    """Ready with the node for its pods, other checks as they were; taken back it is asked again."""
    checks = stage.add_kueue_workload()
    path = stage.kueue
    with connect(kueue.kubeconfig, None) as client:
        (seen,) = (w for w in read_cluster(client).workloads if w.namespace == stage.namespace)
    assert (seen.released_by, seen.gpus) == ("admission-check", 2)
    made = stage.carried_out(to(AdmitWorkload, stage, "fit", check=CHECK, hostname=stage.node))
    assert made.state is State.APPLIED, made.reason
    other, ours = kueue.must("GET", f"{path}/fit")["status"]["admissionChecks"]
    assert other == checks[0]
    assert ours["state"] == "Ready"
    assert ours["lastTransitionTime"] > checks[1]["lastTransitionTime"]
    assert ours["podSetUpdates"] == [{"name": "main", "nodeSelector": {HOSTNAME: stage.node}}]
    assert stage.reverted(made).state is State.REVERTED
    assert kueue.must("GET", f"{path}/fit")["status"]["admissionChecks"][1]["state"] == "Retry"


def test_kueue_is_told_that_our_check_is_answered(kueue: ControlPlane) -> None:
    """Only ours: the condition without which Kueue lets a ClusterQueue admit nothing."""
    checks = "/apis/kueue.x-k8s.io/v1beta2/admissionchecks"
    kind = {"apiVersion": "kueue.x-k8s.io/v1beta2", "kind": "AdmissionCheck"}
    with connect(kueue.kubeconfig, None) as client:
        activate(client)  # none there yet
        body = {**kind, "metadata": {"name": CHECK}, "spec": {"controllerName": "example.test/x"}}
        kueue.must("POST", checks, body)
        activate(client)
        assert "status" not in kueue.must("GET", f"{checks}/{CHECK}")
        kueue.must("DELETE", f"{checks}/{CHECK}")
        applied = kueue.kubectl("apply", "-f", str(MANIFESTS / "kueue.yaml"))
        assert f"admissioncheck.kueue.x-k8s.io/{CHECK} created" in applied.stdout, applied.stderr
        activate(client)
        seen = kueue.must("GET", f"{checks}/{CHECK}")
        activate(client)
    (condition,) = seen["status"]["conditions"]
    assert (condition["type"], condition["status"]) == ("Active", "True")
    assert kueue.must("GET", f"{checks}/{CHECK}") == seen


def test_an_admitted_workload_whose_pods_find_no_node_is_harm(
    kueue: ControlPlane, stage: Stage
) -> None:
    """They are pods of the Job that owns it."""
    stage.add_kueue_workload()
    job = stage.add_job(gpus=99)
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": "fit", "uid": job["metadata"]["uid"]}
    body = {"metadata": {"ownerReferences": [owner]}}
    kueue.must("PATCH", f"{stage.kueue}/fit", body, content_type=MERGE_PATCH)
    made = stage.carried_out(to(AdmitWorkload, stage, "fit", check=CHECK, hostname=stage.node))
    assert made.state is State.APPLIED, made.reason
    assert harmless(stage, made.action)
    start = {"spec": {"suspend": False}}
    kueue.must("PATCH", f"{stage.jobs}/fit", start, content_type=MERGE_PATCH)
    assert "has found no node" in harm_of(stage, made.action)
