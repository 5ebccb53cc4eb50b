"""Writes the boards as files, says which are no longer what the code makes, or sends them off."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from agentaflow_dashboards import BOARDS
from agentaflow_dashboards.files import rendered
from agentaflow_dashboards.push import Grafana, PushFailed

DEFAULT_FOLDER = Path("dashboards/generated")


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except OSError as error:
        print(f"{error.filename}: {error.strerror}; give a folder you can use", file=sys.stderr)
    except PushFailed as error:
        print(error, file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="agentaflow-dashboards", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, run, what in (
        ("generate", generate, "write the files"),
        ("check", check, "compare them with the code"),
    ):
        command = commands.add_parser(name, help=what)
        command.set_defaults(run=run)
        command.add_argument(
            "folder", nargs="?", type=Path, default=DEFAULT_FOLDER, help="default: %(default)s"
        )
    _add_push(commands.add_parser("push", help="send the boards to a Grafana"))
    return parser


def _add_push(command: argparse.ArgumentParser) -> None:
    command.set_defaults(run=push)
    command.description = (
        "Boards that are there as they are stay untouched. Signs in with $GRAFANA_TOKEN, else with"
        " $GRAFANA_USER and $GRAFANA_PASSWORD."
    )
    command.add_argument("--grafana-url", required=True, metavar="URL")
    command.add_argument("--folder", default="", metavar="UID", help="made if it is not there")
    command.add_argument("--folder-title", default="AgentaFlow", metavar="TITLE")
    command.add_argument("--message", default="agentaflow-dashboards push", metavar="TEXT")
    command.add_argument("--overwrite", action="store_true", help="replace what others saved")
    command.add_argument(
        "board", nargs="*", metavar="BOARD", help=f"all if none; {', '.join(_names())}"
    )


def _names() -> list[str]:
    return [name.removesuffix(".json") for name in BOARDS]


def generate(options: argparse.Namespace) -> int:
    for name, text in rendered().items():
        path = options.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(path)
    return 0


def check(options: argparse.Namespace) -> int:
    if not options.folder.is_dir():
        print(f"{options.folder}: no such folder; run `generate` with it first", file=sys.stderr)
        return 1
    stale = [
        options.folder / name
        for name, text in rendered().items()
        if not (options.folder / name).exists()
        or (options.folder / name).read_bytes() != text.encode()
    ]
    for path in stale:
        print(f"{path}: not what the code makes; run `generate` with this folder", file=sys.stderr)
    return 1 if stale else 0


def push(options: argparse.Namespace) -> int:
    wanted = options.board or _names()
    if unknown := sorted(set(wanted) - set(_names())):
        raise PushFailed(f"no board {', '.join(unknown)}; there are {', '.join(_names())}")
    grafana = Grafana(
        options.grafana_url,
        token=os.environ.get("GRAFANA_TOKEN", ""),
        user=os.environ.get("GRAFANA_USER", ""),
        password=os.environ.get("GRAFANA_PASSWORD", ""),
    )
    if options.folder:
        grafana.ensure_folder(options.folder, options.folder_title)
    boards = [BOARDS[f"{name}.json"]() for name in wanted]
    for done in grafana.push(
        boards, folder=options.folder, message=options.message, overwrite=options.overwrite
    ):
        print(f"{done.outcome:9}  {done.uid:24}  {done.title}", flush=True)
    return 0
