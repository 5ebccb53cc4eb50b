"""A small `make chaos`: nothing is lost, done twice, done to the wrong pod or on stale evidence."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentaflow_advisor.act.points import Point
from bench import chaos
from tests.support.parts import need
from tools.programs import has_cluster


def test_a_batch_under_kills_and_faults_comes_to_what_the_journals_say(
    prometheus_binary: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Audit log and journals agree, after deaths at every named point and each kind of lie."""
    need("the Kubernetes control plane", has_cluster())
    assert prometheus_binary
    clean = chaos.main(decisions=24, seed=7)
    printed = capsys.readouterr().out
    assert clean, printed
    (killed,) = (line for line in printed.splitlines() if line.startswith("killed at: "))
    for point in Point:
        assert f"{point} " in killed
    for lie in ("metrics empty", "metrics NaN", "metrics stale"):
        assert lie in printed
    assert "lost 0, applied twice 0" in printed
