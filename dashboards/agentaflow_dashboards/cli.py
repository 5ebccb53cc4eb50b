"""Writes the boards as JSON files, or says which of them are no longer what the code makes."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from agentaflow_dashboards import BOARDS

DEFAULT_FOLDER = Path("dashboards/generated")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m agentaflow_dashboards", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, what in (("generate", "write the files"), ("check", "compare them with the code")):
        command = commands.add_parser(name, help=what)
        command.add_argument(
            "folder", nargs="?", type=Path, default=DEFAULT_FOLDER, help="default: %(default)s"
        )
    options = parser.parse_args(arguments)
    try:
        return generate(options.folder) if options.command == "generate" else check(options.folder)
    except OSError as error:
        print(f"{error.filename}: {error.strerror}; give a folder you can use", file=sys.stderr)
        return 1


def rendered() -> Mapping[str, str]:
    """The text of each file by its name; the same code always makes the same text."""
    return {
        name: json.dumps(make(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        for name, make in BOARDS.items()
    }


def generate(folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in rendered().items():
        (folder / name).write_text(text, encoding="utf-8")
        print(folder / name)
    return 0


def check(folder: Path) -> int:
    stale = [
        folder / name
        for name, text in rendered().items()
        if not (folder / name).exists() or (folder / name).read_bytes() != text.encode()
    ]
    for path in stale:
        print(f"{path}: not what the code makes; run `generate` with this folder", file=sys.stderr)
    return 1 if stale else 0
