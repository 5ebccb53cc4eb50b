"""`make demo` and `make demo-kubernetes`, without their set-up and without waiting for Ctrl-C."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentaflow_exporter.simulated import SimulatedFleet
from tests.support.parts import need
from tools.programs import has_cluster

pytestmark = pytest.mark.usefixtures("prometheus_binary")


WASTED = ("idle_notebook", "forgotten_process", "unallocated")


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A short path: the control plane's sockets are in it."""
    with tempfile.TemporaryDirectory(prefix="d-") as name:
        yield Path(name)


def run_demo(scratch: Path, *options: str) -> str:
    """What it prints. It has to end well and leave nothing behind."""
    ended = subprocess.run(
        [sys.executable, "-m", "tools.demo", "--once", "--history=26h", *options],
        env={**os.environ, "TMPDIR": str(scratch)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert list(scratch.iterdir()) == []
    return ended.stdout


def test_the_demo_recommends_what_is_wasted_and_nothing_else(scratch: Path) -> None:
    """The table of money names the GPUs that do nothing in truth, all of them and no others."""
    table = run_demo(scratch)
    named = re.findall(r"GPU (\d+) \(.*?\) on (\S+) did nothing", table)
    fleet = SimulatedFleet(8, 8, 7, time.time)
    wasted = {
        (str(gpu), node)
        for node in fleet.nodes
        for gpu in range(8)
        if fleet.truth(node, gpu).name in WASTED
    }
    assert wasted
    assert sorted(named) == sorted(wasted)
    assert "together: " in table


def test_the_kubernetes_demo_places_what_fits(scratch: Path) -> None:
    """Gated pods by approvals of a person; submitted work by a standing approval, as is shown."""
    need("the Kubernetes control plane", has_cluster())
    said = run_demo(scratch, "--kubernetes")
    assert said.count("  verified  ") >= 4  # by apply, and in the journal's list
    assert "research/reward-model is not placed" in said
    assert "serving/chat-canary is not placed: namespace serving has not opted in" in said
    assert "5 decisions, chain intact" in said
    assert "eviction research/notebook-7-0" in said
    submitted = said.partition("$ agentaflow submit nightly-eval")[2]
    waits, _, placed = submitted.partition("$ agentaflow approve")
    assert "it waits for a place: no node can take it" in waits
    assert "suspended-job of Job research/nightly-eval" in placed
    assert re.search(r" approved +standing approval submitted-work", placed)
    assert re.search(r"gpuworkload\S*/nightly-eval +(Placed|Running|Succeeded)", placed)
