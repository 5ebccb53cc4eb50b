"""A small `make chaos`: nothing is lost, done twice, done to the wrong pod or on stale evidence."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import chaos
from tests.support.parts import need
from tools.programs import has_cluster


def test_a_batch_under_kills_and_faults_comes_to_what_the_journals_say(
    prometheus_binary: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The API server's audit log and the journals tell the same story."""
    need("the Kubernetes control plane", has_cluster())
    assert prometheus_binary
    clean = chaos.main(decisions=40, seed=7)
    printed = capsys.readouterr().out
    assert clean, printed
    assert "decisions 40, kills" in printed
    assert "watch under way: " in printed
    assert "comparisons with a list 1: lost 0" in printed
