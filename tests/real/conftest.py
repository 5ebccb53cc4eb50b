"""Real parts as fixtures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.parts import need
from tools.control_plane import ControlPlane
from tools.programs import has_cluster, prometheus_program


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
