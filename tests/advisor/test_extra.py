"""The command where only the base package is installed."""

from __future__ import annotations

import subprocess
import sys

WITHOUT_TYPER = """
import sys
sys.modules["typer"] = None
from agentaflow_advisor.__main__ import main
sys.exit(main())
"""


def test_without_the_extra_the_command_says_how_to_get_it() -> None:
    """One line names what is missing and what installs it."""
    ended = subprocess.run([sys.executable, "-c", WITHOUT_TYPER], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == (
        "agentaflow: typer is not installed; the advisor needs its extra:"
        " pip install 'agentaflow[advisor]'\n"
    )
