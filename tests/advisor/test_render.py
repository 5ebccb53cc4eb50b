"""Answers are readable in a terminal, whole in a pipe, and stable as JSON."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

import pytest

from agentaflow_advisor.model import Money
from agentaflow_advisor.render import (
    Column,
    Output,
    counted,
    duration,
    iso,
    money,
    percent,
    short,
    sureness,
    to_json,
)


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True, slots=True)
class Thing:
    seen_at: float
    cost: Money
    colour: Colour
    parts: tuple[int, ...]
    share: float | None


def output() -> tuple[Output, io.StringIO]:
    """An output into memory, which is no terminal."""
    text = io.StringIO()
    return Output(stdout=text), text


def test_json_is_plain_and_exact() -> None:
    """Money keeps its digits as a string, times are ISO 8601, absent values are null."""
    thing = Thing(1_800_000_000.0, Money(Decimal("3759.006520")), Colour.RED, (1, 2), None)
    assert json.loads(to_json({"thing": thing})) == {
        "thing": {
            "seen_at": "2027-01-15T08:00:00Z",
            "cost": {"amount": "3759.006520", "currency": "USD"},
            "colour": "red",
            "parts": [1, 2],
            "share": None,
        }
    }


def test_numbers_to_the_right_and_nothing_wider_than_needed() -> None:
    """Money lines up at its end; a pipe gets no trailing blanks."""
    out, text = output()
    out.table([Column("COST", right=True), Column("WHAT")], [("1.00", "a"), ("12,345.00", "bb")])
    assert text.getvalue() == "     COST  WHAT\n     1.00  a\n12,345.00  bb\n"


def test_a_pipe_gets_whole_lines() -> None:
    """No folding at 80 columns where a program reads."""
    out, text = output()
    out.table([Column("WHAT")], [("x" * 500,)])
    assert text.getvalue().splitlines()[1] == "x" * 500


def test_foreign_text_cannot_drive_the_terminal_or_the_markup() -> None:
    """Labels come from strangers: escape sequences go, brackets stay as they are."""
    out, text = output()
    out.table([Column("POD")], [("\x1b[31m[bold]evil\x07",)])
    out.line("\x1b]0;title\x07")
    assert "\x1b" not in text.getvalue()
    assert "[bold]evil" in text.getvalue()


def through_terminal(monkeypatch: pytest.MonkeyPatch, **environment: str) -> bytes:
    """What a table sends to a real (pseudo) terminal of 40 columns."""
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": "xterm", "COLUMNS": "40", **environment}.items():
        monkeypatch.setenv(name, value)
    reader, writer = pty.openpty()
    with os.fdopen(writer, "w") as terminal:
        Output(stdout=terminal).table([Column("HEADING")], [("word " * 20,)])
    sent = b""
    with contextlib.suppress(OSError):  # what a terminal says at its end
        while more := os.read(reader, 65536):
            sent += more
    os.close(reader)
    return sent


def test_a_terminal_gets_bold_headings_and_folded_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal of 40 columns no line is longer than that."""
    sent = through_terminal(monkeypatch)
    assert b"\x1b[1m" in sent
    assert all(len(line) <= 60 for line in sent.split(b"\r\n"))
    assert len(sent.split(b"\r\n")) > 3


def test_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    """https://no-color.org: no colours; rich keeps bold, which is none."""
    assert b"\x1b[3" not in through_terminal(monkeypatch, NO_COLOR="1")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (0.5, "0.5 s"), (59, "59 s"), (90, "90 s"), (3600, "1 h"), (604_800, "7 d")],
)
def test_durations_are_short(seconds: float, text: str) -> None:
    """One unit is enough."""
    assert duration(seconds) == text


def test_small_words() -> None:
    """The cells that tables are made of."""
    assert money(Money(Decimal("1234.5"))) == "1,234.50 USD"
    assert (money(None), percent(None)) == ("-", "-")
    assert percent(0.0234) == "2.3%"
    assert (sureness(0.999), sureness(1.0), sureness(0.29)) == ("99%", "100%", "29%")
    assert (counted(1, "pod"), counted(2000, "pod")) == ("1 pod", "2,000 pods")
    assert counted(2, "query", "queries") == "2 queries"
    assert short("01a2053e-c6e5-7628-8b32-4458398a9f68") == "4458398a9f68"
    assert iso(0) is None


def test_progress_is_silent_where_nobody_looks() -> None:
    """A log of a cron job holds no spinner."""
    errors = io.StringIO()
    with Output(stdout=io.StringIO(), stderr=errors).progress("asking Prometheus"):
        pass
    assert errors.getvalue() == ""
