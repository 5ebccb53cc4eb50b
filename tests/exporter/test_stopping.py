"""Waiting to be stopped: by a signal or by a thread of one's own, and by nothing else."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.processes import Program, eventually

WAITING = """
from agentaflow_exporter import stopping
stopping.hold_signals()
print("waiting", flush=True)
stopping.wait()
print("stopped", flush=True)
"""
ASKED = """
import threading
from agentaflow_exporter import stopping
stopping.hold_signals()
threading.Thread(target=stopping.ask).start()
stopping.wait()
print("stopped", flush=True)
"""


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[Program]:
    program = Program([sys.executable, "-c", WAITING], tmp_path / "log")
    program.wait_until(lambda: "waiting" in program.log.read_text(), seconds=20)
    yield program
    program.stop()


def state(program: Program) -> str:
    return Path(f"/proc/{program.pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_ends_the_waiting(waiting: Program, name: str) -> None:
    """Once, and in order."""
    os.kill(waiting.pid, signal.Signals[name])
    assert waiting.process.wait(20) == 0
    assert waiting.log.read_text().split() == ["waiting", "stopped"]


def test_a_pause_does_not_end_the_waiting(waiting: Program) -> None:
    """Stopped and continued, it waits for a signal as before."""
    os.kill(waiting.pid, signal.SIGSTOP)
    eventually(lambda: state(waiting) == "T", what="paused")
    os.kill(waiting.pid, signal.SIGCONT)
    eventually(lambda: state(waiting) == "S", what="waiting again")
    assert waiting.process.poll() is None
    assert waiting.log.read_text().split() == ["waiting"]
    os.kill(waiting.pid, signal.SIGTERM)
    assert waiting.process.wait(20) == 0


def test_a_thread_ends_the_waiting(tmp_path: Path) -> None:
    """As the loop does that has crashed."""
    program = Program([sys.executable, "-c", ASKED], tmp_path / "log")
    assert program.process.wait(20) == 0
    assert program.log.read_text().split() == ["stopped"]
