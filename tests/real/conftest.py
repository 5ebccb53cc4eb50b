"""Real parts as fixtures: where one is absent its tests say so and skip, in CI they fail."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.control_plane import ControlPlane
from tools.realparts import has_cluster, prometheus_program


def need(part: str, there: bool) -> None:
    """Skip with one line where the part is absent; fail where everything has to be there."""
    if there:
        return
    message = f"{part} is not there: run `make parts`"
    if os.environ.get("AGENTAFLOW_REQUIRE_REAL_PARTS"):
        pytest.fail(message)
    pytest.skip(message)


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
