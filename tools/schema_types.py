"""TypeScript's judgement of boards by @grafana/schema's own types, as Grafana's editors have it."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tools.browser import libraries

BOARD = Path(__file__).parent / "typescript" / "board.ts"
OPTIONS = (
    "--noEmit", "--strict", "--skipLibCheck",
    "--target", "es2022", "--module", "esnext", "--moduleResolution", "bundler",
)  # fmt: skip


def compiler() -> Path:
    """TypeScript's, beside Grafana's libraries, there or not."""
    return libraries() / "node_modules" / "typescript" / "bin" / "tsc"


def errors(boards: Mapping[str, Any]) -> Sequence[str]:
    """A line for each thing in a board, by its name, that is not of its type."""
    with tempfile.TemporaryDirectory(dir=libraries()) as name:  # it finds node_modules above it
        folder = Path(name)
        shutil.copy(BOARD, folder)
        files = [_write(folder, stem, board) for stem, board in boards.items()]
        ended = subprocess.run(
            ["node", compiler(), *OPTIONS, *files],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=120,
        )
    if ended.returncode and not ended.stdout.strip():
        raise RuntimeError(f"tsc: {ended.stderr[-2000:]}")
    return [line for line in ended.stdout.splitlines() if not line.startswith(" ")]


def _write(folder: Path, stem: str, board: Any) -> str:
    text = json.dumps(board, indent=1)
    name = f"{stem}.board.ts"
    (folder / name).write_text(
        f"import type {{ Board }} from './board';\nexport const it = {text} satisfies Board;\n"
    )
    return name
