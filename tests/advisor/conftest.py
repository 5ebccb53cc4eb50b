"""What the advisor's tests share: the command, in an environment that decides nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.cli import Cli


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cli:
    """`agentaflow` in a clean environment, with a journal of its own that does not exist yet."""
    for name in [name for name in os.environ if name.startswith(("AGENTAFLOW_", "KUBE"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    return Cli(capsys, ("--journal", str(tmp_path / "journal.db")))
