"""The command line: one parser per command, made from the table of options in settings.py.

A command is the first argument or it is `serve`, so that the resident exporter never imports what
the other commands need.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from agentaflow_exporter import __version__
from agentaflow_exporter.settings import OPTIONS, Option

PROGRAM = "agentaflow-exporter"
_GROUPS = {
    "web": "web",
    "driver": "driver",
    "background": "between scrapes",
    "pods": "pods",
    "names": "names of the metrics",
    "collectors": "collectors (on, but for those that say off)",
    "log": "log",
}
_COMMANDS = """commands:
  agentaflow-exporter record FILE     write what NVML answers here to FILE
  agentaflow-exporter replay FILE     serve what was recorded in FILE
  agentaflow-exporter simulate        serve a simulated fleet
  agentaflow-exporter completion bash|zsh|fish

Every flag can be given in the environment (--scrape.timeout is AGENTAFLOW_EXPORTER_SCRAPE_TIMEOUT)
and in the YAML file of --config.file (scrape: {timeout: 5}). Flags win over the environment, the
environment over the file."""


class Parser(argparse.ArgumentParser):
    """Errors are one line."""

    def __init__(self, prog: str, description: str, epilog: str = "") -> None:
        super().__init__(
            prog=prog,
            description=description,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def flags(self) -> list[str]:
        return [flag for action in self._actions for flag in action.option_strings]

    def error(self, message: str) -> NoReturn:
        sys.stderr.write(f"{self.prog}: {message}: see {self.prog} --help\n")
        raise SystemExit(2)


def serve_parser(command: str = "") -> Parser:
    parser = Parser(
        prog=f"{PROGRAM} {command}".strip(),
        description="Prometheus exporter for NVIDIA GPUs.",
        epilog="" if command else _COMMANDS,
    )
    add_options(parser, tuple(_GROUPS))
    parser.add_argument("--config.file", dest="config_file", type=Path, metavar="FILE")
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    return parser


def add_options(parser: argparse.ArgumentParser, groups: tuple[str, ...]) -> None:
    """The options of these groups, absent from the namespace unless they are given."""
    for name in groups:
        group = parser.add_argument_group(_GROUPS[name])
        for option in OPTIONS:
            if option.group == name:
                _add(group, option)


def given(namespace: argparse.Namespace) -> Mapping[str, Any]:
    """The options that were given as flags, by option name."""
    found = vars(namespace)
    return {option.name: found[option.name] for option in OPTIONS if option.name in found}


def _add(group: argparse._ArgumentGroup, option: Option) -> None:
    common: dict[str, Any] = {"dest": option.name, "default": argparse.SUPPRESS}
    common["help"] = option.help
    if not option.metavar:
        group.add_argument(f"--{option.name}", action=argparse.BooleanOptionalAction, **common)
    else:
        action = "append" if option.repeatable else "store"
        group.add_argument(f"--{option.name}", action=action, metavar=option.metavar, **common)
