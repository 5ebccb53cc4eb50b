"""report html: the advice and the cost as one page for people who have no terminal."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from agentaflow_advisor.advice import Advice, price_warning
from agentaflow_advisor.analyze.cost import SIGNALS as COST_SIGNALS
from agentaflow_advisor.analyze.cost import CostRow
from agentaflow_advisor.analyze.cost import report as cost_of
from agentaflow_advisor.commands.recommend import look
from agentaflow_advisor.commands.session import Session, command
from agentaflow_advisor.decide.errors import JournalError
from agentaflow_advisor.history import History
from agentaflow_advisor.model import Money
from agentaflow_advisor.reports import Slice, page
from agentaflow_advisor.review import scope

STDOUT = "-"
TREND_SECONDS = 90 * 86_400.0


class PageError(Exception):
    """The page cannot be written; the message says where and why."""


@command("window_seconds", "dialect", "percentile", "prices_file", "cost_file", "history")
def html(
    session: Session,
    output: Annotated[
        str,
        typer.Option("--output", "-o", metavar="FILE", help="Where it goes; - is stdout."),
    ] = STDOUT,
    record: Annotated[
        bool, typer.Option("--record/--no-record", help="Write the look down in the history.")
    ] = True,
) -> int:
    """Make one self-contained HTML page: costs, waste, what to do first, and how we know."""
    advice = look(session, record=record, also=COST_SIGNALS)
    slices, total = _costs(session, advice)
    warning = price_warning(session.settings, advice.table, advice.snapshot.taken_at)
    text = page(advice, slices, total, _trend(session, advice.snapshot.taken_at), warning)
    if output == STDOUT:
        print(text, end="", file=session.output.stdout)
    else:
        write(Path(output).expanduser(), text)
    return 0


def _costs(session: Session, advice: Advice) -> tuple[list[Slice], Slice]:
    report = cost_of(
        advice.snapshot,
        advice.prices,
        session.settings.idle(),
        by="namespace",
        basis="whole",
        terms=advice.table.terms,
    )
    several = len({row.cluster for row in report.rows}) > 1
    slices = [_slice(row, several=several) for row in report.rows]
    return slices, _slice(report.total, several=False)


def _slice(row: CostRow, *, several: bool) -> Slice:
    name = f"{row.cluster}/{row.name}" if several and row.cluster else row.name
    return Slice(name, row.used, row.idle, row.unallocated, row.unjudged)


def _trend(session: Session, now: float) -> tuple[tuple[float, Money], ...]:
    """What the history has; a page without a trend is a page all the same."""
    settings = session.settings
    if not settings.history_file.exists():
        return ()
    try:
        with History(settings.history_file, read_only=True) as history:
            return history.trend(scope(settings), since=now - TREND_SECONDS)
    except JournalError:
        return ()


def write(path: Path, text: str) -> None:
    """All of it or nothing: a reader never sees half a page. Raises PageError."""
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            with suppress(OSError):
                Path(name).unlink()
            raise
    except OSError as error:
        raise PageError(
            f"cannot write {path}: {error.strerror}; name a file in a folder that you may write"
        ) from error
