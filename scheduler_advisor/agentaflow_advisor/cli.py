"""`agentaflow`: the commands, and the one boundary where errors become a line and an exit code."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Annotated, Any

import typer

from agentaflow_advisor.commands.lazy import Group, Named, group_of
from agentaflow_advisor.commands.session import global_options, remember
from agentaflow_advisor.render import printable

COMMANDS: Named = {
    "recommend": "recommend.recommend",
    "recommendations": Group(
        "The recommendations, their age, and what was said to them.",
        {
            "list": "recommendations.list_",
            "show": "recommendations.show",
            "snooze": "recommendations.snooze",
            "dismiss": "recommendations.dismiss",
            "restore": "recommendations.restore",
        },
    ),
    "report": Group(
        "Reports over the window.",
        {
            "cost": "cost.cost",
            "efficiency": "report.efficiency",
            "forecast": "forecast.forecast",
            "html": "html.html",
        },
    ),
    "place": "place.place",
    "replay": "replay.replay",
    "simulate": "simulate.simulate",
    "what-if": "whatif.whatif",
    "defragment": "defragment.defragment",
    "submit": "submit.submit",
    "propose": "decisions.propose",
    "approve": "decisions.approve",
    "reject": "decisions.reject",
    "apply": "decisions.apply",
    "revert": "decisions.revert",
    "journal": Group(
        "The decisions, and what became of them.",
        {"list": "journal.list_", "show": "journal.show", "verify": "journal.verify"},
    ),
    "serve": "serve.serve",
    "schema": "schema.schema",
}
"""Name → module and function in commands/."""

EXIT_CODES = {
    "agentaflow_advisor.configuration.SettingsError": 2,
    "agentaflow_advisor.analyze.SettingsError": 2,
    "agentaflow_advisor.price.PriceTableError": 2,
    "agentaflow_advisor.commands.manifest.ManifestError": 2,
    "agentaflow_advisor.telemetry.NoTelemetry": 2,
    "agentaflow_advisor.place.traces.TraceError": 2,
    "agentaflow_advisor.commands.html.PageError": 2,
    "agentaflow_exporter.errors.UserError": 2,
    "agentaflow_advisor.observe.errors.ObserveError": 3,
    "agentaflow_advisor.decide.errors.JournalError": 4,
}
"""What each named error exits with; docs/cli.md has the table. 5 is a decision that went wrong."""


app = typer.Typer(cls=group_of(COMMANDS), pretty_exceptions_enable=False)
"""A bare `agentaflow` shows its help."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is the answer."""
    try:
        code = int(app(argv, standalone_mode=False, prog_name="agentaflow") or 0)
        sys.stdout.flush()
    except typer.TyperException as error:
        return _fail(f"{error.format_message()}{_help(error)}", error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except BrokenPipeError:
        # The reader went away (`| head`); Python would complain once more when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        found = next((code for kind, code in _exit_codes() if isinstance(error, kind)), None)
        if found is None:  # a bug
            raise
        return _fail(str(error), found)
    else:
        return code


def _exit_codes() -> Iterator[tuple[type[Exception], int]]:
    """Of the errors there can be: one that was raised is of a module that is there already."""
    for name, code in EXIT_CODES.items():
        module, _, kind = name.rpartition(".")
        if module in sys.modules:
            yield getattr(sys.modules[module], kind), code


def _fail(message: str, code: int) -> int:
    print(f"agentaflow: {printable(message)}", file=sys.stderr)
    return code


def _help(error: Any) -> str:
    context = getattr(error, "ctx", None)
    return f" (see `{context.command_path} --help`)" if context else ""


def _version(wanted: bool) -> None:
    if wanted:
        print(f"agentaflow {version('agentaflow')} (Python {platform.python_version()})")
        raise typer.Exit


@global_options
def agentaflow(
    ctx: typer.Context,
    version: Annotated[  # noqa: ARG001 the callback answers
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print it and exit."),
    ] = False,
    **options: Any,
) -> None:
    """Say in money and in plain words what GPUs waste; carry out what was approved.

    Every command takes the global options before or after its name. Advice is the default: nothing
    is changed without a channel that is switched on, an opted-in namespace, and an approval.
    """
    remember(ctx, options)
    if ctx.invoked_subcommand is None:
        print(ctx.get_help())


app.callback(invoke_without_command=True)(agentaflow)

if __name__ == "__main__":
    sys.exit(main())
