"""The command `agentaflow`, run in this process as its console script would."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from agentaflow_advisor.cli import main


@dataclass(frozen=True, slots=True)
class Ran:
    """What one run of the command came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> str:
        """The one line on stderr."""
        (line,) = self.err.splitlines()
        assert line.startswith("agentaflow: ")
        return line.removeprefix("agentaflow: ")


@dataclass(frozen=True, slots=True)
class Cli:
    """Runs commands; `options` are added to each."""

    capture: pytest.CaptureFixture[str]
    options: tuple[str, ...] = ()

    def __call__(self, *arguments: str) -> Ran:
        code = main([*arguments, *self.options])
        captured = self.capture.readouterr()
        return Ran(code, captured.out, captured.err)

    def having(self, *options: str) -> Cli:
        return Cli(self.capture, (*self.options, *options))
