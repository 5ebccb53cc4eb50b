"""What every command gets: the settings in force, the output, and the name of who runs it."""

from __future__ import annotations

import getpass
import inspect
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from agentaflow_advisor.configuration import load
from agentaflow_advisor.decide.errors import JournalError
from agentaflow_advisor.decide.journal import Journal
from agentaflow_advisor.history import History
from agentaflow_advisor.model import Missing
from agentaflow_advisor.observe.partial import refusals
from agentaflow_advisor.render import Output
from agentaflow_advisor.settings import Settings, flag
from agentaflow_advisor.tables import Format

Command = Callable[..., int]
"""Takes a Session and the command's own options; answers with the exit code."""

GLOBAL_SETTINGS = ("prometheus_url", "kubeconfig", "context", "kubernetes_cluster", "journal")
PATHS = frozenset(
    {"kubeconfig", "journal", "history", "prices_file", "cost_file", "web_config_file"}
)
LISTS = frozenset({"channels"})


class NoJournal(JournalError):
    """Nothing was ever decided here."""


@dataclass(frozen=True, slots=True)
class Session:
    """One run of one command."""

    settings: Settings
    output: Output
    clock: Callable[[], float] = field(default=time.time)  # seconds since the epoch
    typed: frozenset[str] = frozenset()  # settings that were given as flags

    def journal(self) -> Journal:
        """The journal there is: a misspelt path must not leave an empty one behind."""
        path = self.settings.journal
        if not path.exists():
            raise NoJournal(
                f"no journal {path}; `agentaflow place` makes it, --journal names another"
            )
        return Journal(path)

    def history(self) -> History:
        """The history there is, for what people say to recommendations."""
        path = self.settings.history_file
        if not path.exists():
            raise NoJournal(
                f"no history {path}; `agentaflow recommend` makes it, --history names another"
            )
        return History(path)

    def warn_of(self, *lost: Missing) -> None:
        """A line on stderr for what partial responses left out, whatever is printed."""
        for refusal in dict.fromkeys(refusal for each in lost for refusal in refusals(each)):
            self.output.note(f"agentaflow: warning: {refusal.subject}: {refusal.reason}")

    @property
    def actor(self) -> str:
        """Who is at the keyboard, for the journal."""
        try:
            return getpass.getuser()
        except (KeyError, OSError):  # a container's user often has no name
            return f"uid {os.getuid()}"


def command(*settings: str) -> Callable[[Command], Command]:
    """Give a function the global options, a flag for each of `settings`, and its Session."""

    def decorate(function: Command) -> Command:
        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]

        def run(ctx: typer.Context, **values: Any) -> int:
            arguments = {parameter.name: values.pop(parameter.name) for parameter in own}
            return function(_session({**_before(ctx), **_given(values)}), **arguments)

        run.__name__, run.__doc__ = function.__name__, function.__doc__
        flags = [setting_flag(name) for name in settings]
        context = inspect.Parameter(
            "ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context
        )
        names = {parameter.name for parameter in own}  # its own win over global ones
        rest = [each for each in global_flags() if each.name not in names]
        _sign(run, [context, *own, *flags, *rest])
        return run

    return decorate


def global_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give the program itself the global options, in place of its `**options`."""
    own = list(inspect.signature(function, eval_str=True).parameters.values())[:-1]

    def run(ctx: typer.Context, **values: Any) -> None:
        function(ctx, **values)

    run.__name__, run.__doc__ = function.__name__, function.__doc__
    _sign(run, [*own, *global_flags()])
    return run


def remember(ctx: typer.Context, values: Mapping[str, Any]) -> None:
    """Keep the options that stood before the command's name."""
    ctx.obj = _given(values)


def global_flags() -> list[inspect.Parameter]:
    """The options that every command has, before and after its name."""
    return [
        _flag(
            "config",
            Path,
            typer.Option(
                "--config",
                envvar="AGENTAFLOW_CONFIG",
                metavar="FILE",
                help="Settings as YAML. Flags and AGENTAFLOW_… variables override it.",
                rich_help_panel="Global options",
            ),
        ),
        *(setting_flag(name, "Global options") for name in GLOBAL_SETTINGS),
        _flag(
            "output",
            Format,
            typer.Option(
                "--output", "-o", help="How to print the answer.", rich_help_panel="Global options"
            ),
        ),
    ]


def setting_flag(name: str, panel: str | None = None) -> inspect.Parameter:
    """A flag for one setting; the settings check its value, so it comes as it was typed."""
    kind: Any = Path if name in PATHS else list[str] if name in LISTS else str
    option = typer.Option(
        flag(name),
        metavar=_metavar(name),
        help=Settings.model_fields[name].description,
        rich_help_panel=panel,
    )
    return _flag(name, kind, option)


def _metavar(name: str) -> str:
    if name in PATHS:
        return "FILE"
    return "DURATION" if name.endswith("_seconds") else name.rpartition("_")[2].upper()


def _flag(name: str, kind: Any, option: Any) -> inspect.Parameter:
    annotation = Annotated[kind | None, option]
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
    )


def _sign(function: Callable[..., Any], parameters: list[inspect.Parameter]) -> None:
    """typer reads a command's options from its signature."""
    keyword_only = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters[1:]]
    function.__annotations__ = {}
    function.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [parameters[0], *keyword_only]
    )


def _before(ctx: typer.Context) -> Mapping[str, Any]:
    before: Mapping[str, Any] = ctx.find_root().obj or {}
    return before


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None and value != []}


def _session(options: dict[str, Any]) -> Session:
    config, form = options.pop("config", None), options.pop("output", Format.TABLE)
    return Session(load(config, options), Output(form), typed=frozenset(options))
