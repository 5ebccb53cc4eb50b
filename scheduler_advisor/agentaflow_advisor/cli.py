"""`agentaflow`: the commands, and the one boundary where errors become a line and an exit code."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated, Any

import typer

from agentaflow_advisor.analyze import SettingsError as AnalysisSettingsError
from agentaflow_advisor.commands import (
    cost,
    decisions,
    defragment,
    forecast,
    html,
    journal,
    place,
    recommend,
    recommendations,
    replay,
    report,
    schema,
    serve,
    simulate,
    submit,
    whatif,
)
from agentaflow_advisor.commands.html import PageError
from agentaflow_advisor.commands.manifest import ManifestError
from agentaflow_advisor.commands.session import global_options, remember
from agentaflow_advisor.configuration import SettingsError
from agentaflow_advisor.decide.errors import JournalError
from agentaflow_advisor.observe.errors import ObserveError
from agentaflow_advisor.place.traces import TraceError
from agentaflow_advisor.price import PriceTableError
from agentaflow_advisor.render import printable
from agentaflow_advisor.telemetry import NoTelemetry
from agentaflow_exporter.errors import UserError as WebServerError

EXIT_CODES: tuple[tuple[type[Exception], int], ...] = (
    (SettingsError, 2),
    (AnalysisSettingsError, 2),
    (PriceTableError, 2),
    (ManifestError, 2),
    (NoTelemetry, 2),
    (TraceError, 2),
    (PageError, 2),
    (WebServerError, 2),
    (ObserveError, 3),
    (JournalError, 4),
)
"""What each named error exits with; docs/cli.md has the table. 5 is a decision that went wrong."""

app = typer.Typer(pretty_exceptions_enable=False)
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
    except tuple(kind for kind, _ in EXIT_CODES) as error:
        return _fail(str(error), next(code for kind, code in EXIT_CODES if isinstance(error, kind)))
    else:
        return code


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


reports = typer.Typer(help="Reports over the window.")
reports.command()(cost.cost)
reports.command()(report.efficiency)
reports.command()(forecast.forecast)
reports.command()(html.html)
lives = typer.Typer(help="The recommendations, their age, and what was said to them.")
lives.command("list")(recommendations.list_)
lives.command()(recommendations.show)
lives.command()(recommendations.snooze)
lives.command()(recommendations.dismiss)
lives.command()(recommendations.restore)
journals = typer.Typer(help="The decisions, and what became of them.")
journals.command("list")(journal.list_)
journals.command()(journal.show)
journals.command()(journal.verify)

app.callback(invoke_without_command=True)(agentaflow)
app.command()(recommend.recommend)
app.add_typer(lives, name="recommendations")
app.add_typer(reports, name="report")
app.command()(place.place)
app.command()(replay.replay)
app.command()(simulate.simulate)
app.command("what-if")(whatif.whatif)
app.command()(defragment.defragment)
app.command()(submit.submit)
app.command()(decisions.propose)
app.command()(decisions.approve)
app.command()(decisions.reject)
app.command()(decisions.apply)
app.command()(decisions.revert)
app.add_typer(journals, name="journal")
app.command()(serve.serve)
app.command()(schema.schema)

if __name__ == "__main__":
    sys.exit(main())
