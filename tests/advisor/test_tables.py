"""CSV and Markdown: any name comes through whole, and none is taken for anything but a name."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentaflow_advisor.render import Column, Output, printable
from agentaflow_advisor.tables import Format, csv_text, harmless, markdown_table, markdown_text

cells = st.text().map(printable)


@given(st.lists(st.lists(cells, min_size=2, max_size=2), max_size=5))
def test_csv_comes_back_as_it_went(rows: list[list[str]]) -> None:
    """RFC 4180: every cell is read back, but for the apostrophe before a formula."""
    text = csv_text(["a", "b"], rows)
    assert text.endswith("\r\n")
    assert list(csv.reader(io.StringIO(text, newline=""), strict=True)) == [
        ["a", "b"],
        *([harmless(cell) for cell in row] for row in rows),
    ]


@given(cells)
def test_no_cell_begins_a_formula(cell: str) -> None:
    """Unless it is a plain number, which no spreadsheet runs."""
    made = harmless(cell)
    assert made in (cell, f"'{cell}")
    if made.strip()[:1] in {"=", "+", "-", "@"}:
        assert float(made) is not None


@pytest.mark.parametrize("cell", ["=cmd|'/c calc'!A1", "+1+cmd", "-2+3", "@SUM(A1)", "  =1", "＝1"])  # noqa: RUF001
def test_a_formula_gets_an_apostrophe(cell: str) -> None:
    """As OWASP advises."""
    assert harmless(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["-12.50", "+3", "0", "", "node-0", "1e-5"])
def test_numbers_and_names_stay(cell: str) -> None:
    """A negative amount is no formula."""
    assert harmless(cell) == cell


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("a|b", r"a\|b"),
        ("<img src=x>", r"\<img src=x\>"),
        ("[x](http://evil)", r"\[x\](http&#58;//evil)"),
        ("@everyone", "&#64;everyone"),
        ("*_`", r"\*\_\`"),
        ("a & b", "a &amp; b"),
    ],
)
def test_markdown_says_and_does_nothing(text: str, made: str) -> None:
    """No markup, no HTML, no link, nobody mentioned."""
    assert markdown_text(text) == made


@given(st.lists(st.lists(cells, min_size=2, max_size=2), max_size=5))
def test_a_markdown_table_has_a_line_for_each_row(rows: list[list[str]]) -> None:
    """And as many bars as it has columns, and one more."""
    lines = markdown_table(["a", "b"], rows, [False, True]).splitlines()
    assert len(lines) == 2 + len(rows)
    for line in lines:
        assert line.replace("\\\\", "").replace("\\|", "").count("|") == 3


def printed(form: Format) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    output = Output(form, out, err)
    output.table([Column("NAME"), Column("COST", right=True)], [("a=b", "3.50"), ("=x", "-")])
    output.line("beside it")
    return out.getvalue(), err.getvalue()


def test_what_stands_beside_a_csv_goes_to_stderr() -> None:
    """A program reads rows, and no words between them; what is not there is empty."""
    assert printed(Format.CSV) == ("NAME,COST\r\na=b,3.50\r\n'=x,\r\n", "beside it\n")


def test_markdown_keeps_the_words() -> None:
    """As a paragraph under the table."""
    out, err = printed(Format.MARKDOWN)
    assert out == "| NAME | COST |\n| --- | ---: |\n| a=b | 3.50 |\n| =x | - |\n\nbeside it\n\n"
    assert err == ""


def test_yaml_is_the_json_in_the_same_order() -> None:
    """Amounts stay strings; what JSON cannot say is null in both."""
    out = io.StringIO()
    Output(Format.YAML, out).document({"b": "1.0", "a": {"x_at": 1.8e9, "y": float("inf")}})
    assert out.getvalue() == "b: '1.0'\na:\n  x_at: '2027-01-15T08:00:00Z'\n  y: null\n"
