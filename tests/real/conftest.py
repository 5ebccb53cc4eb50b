"""Real parts as fixtures."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from lightkube import Client

from agentaflow_advisor.act.resources.approvals import guarded_since
from agentaflow_advisor.decide.journal import Journal
from agentaflow_advisor.observe.cluster import connect
from tests.support.parts import need
from tests.support.scene import new_namespace
from tools.control_plane import ControlPlane
from tools.processes import eventually
from tools.programs import has_cluster, prometheus_program

MANIFESTS = Path(__file__).parents[2] / "scheduler_advisor" / "manifests"


@pytest.fixture(scope="session")
def promtool() -> Path:
    path = prometheus_program("promtool")
    need("promtool", path is not None)
    assert path is not None
    return path


@pytest.fixture(scope="session")
def prometheus_binary() -> Path:
    """Ask for it in every test that starts a PrometheusServer."""
    path = prometheus_program("prometheus")
    need("prometheus", path is not None)
    assert path is not None
    return path


@pytest.fixture(scope="session")
def cluster() -> Iterator[ControlPlane]:
    """A Kubernetes control plane that the tests of one worker share: use names of your own."""
    need("the Kubernetes control plane", has_cluster())
    with ControlPlane() as running:
        yield running


@pytest.fixture(scope="module")
def own_cluster() -> Iterator[ControlPlane]:
    """One for a file alone, where what is asked is about all pods of a cluster."""
    need("the Kubernetes control plane", has_cluster())
    with ControlPlane() as running:
        yield running


def served(cluster: ControlPlane, path: str) -> bool:
    return cluster.request("GET", path)[0] == 200


@pytest.fixture(scope="module")
def extended(own_cluster: ControlPlane) -> ControlPlane:
    """A cluster with our resources and the policy on approvals."""
    for name in ("crds", "approvals"):
        applied = own_cluster.kubectl("apply", "-f", str(MANIFESTS / f"{name}.yaml"))
        assert applied.returncode == 0, applied.stderr
    for plural in ("gpunodes", "gpurecommendations", "gpuworkloads"):
        path = f"/apis/agentaflow.io/v1alpha1/{plural}"
        eventually(partial(served, own_cluster, path), what=path)
    with connect(own_cluster.kubeconfig, None) as opened:
        since = guarded_since(opened)
    assert isinstance(since, float), since
    eventually(lambda: time.time() > since + 1, what="approvals guarded")
    return own_cluster


@pytest.fixture
def client(extended: ControlPlane) -> Iterator[Client]:
    with connect(extended.kubeconfig, None) as opened:
        yield opened


@pytest.fixture
def home(extended: ControlPlane) -> str:
    """A namespace of the test's own."""
    return new_namespace(extended)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal.db") as opened:
        yield opened
