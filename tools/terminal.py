"""What a demo shows: its own lines on stderr, and commands run as a user would run them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BIN = Path(sys.executable).parent
WINDOW = "24h"


def say(line: str) -> None:
    print(f"  {line}", file=sys.stderr, flush=True)


def agentaflow(*arguments: str) -> None:
    """Run the command, showing it first."""
    print(f"\n$ agentaflow {' '.join(arguments)}", flush=True)
    subprocess.run([BIN / "agentaflow", *arguments], check=True)
