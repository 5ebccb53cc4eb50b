"""Draws what a command prints as an SVG: `python -m tools.picture FILE.svg COMMAND …`."""

from __future__ import annotations

import io
import os
import subprocess
import sys

from rich.console import Console
from rich.text import Text

COLUMNS = 132


def main(target: str, *command: str) -> None:
    """The command runs without a terminal, told to colour as if it had one this wide."""
    terminal = {"FORCE_COLOR": "1", "COLUMNS": str(COLUMNS), "TERM": "xterm-256color"}
    said = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, **terminal}
    )
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    console.print(Text.from_ansi(said.stdout))
    console.save_svg(target, title=" ".join(["agentaflow", *command[1:2]]))


if __name__ == "__main__":
    main(*sys.argv[1:])
