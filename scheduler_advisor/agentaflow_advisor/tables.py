"""Tables as text for other programs: CSV that no spreadsheet executes, and Markdown."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from enum import StrEnum

FORMULA = frozenset("=+-@\t\r\n＝＋－＠")  # noqa: RUF001 some spreadsheets take the wide ones, too
NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
MARKS = re.compile(r"([\\`*_\[\]<>|~#])")


class Format(StrEnum):
    """How an answer can be printed."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    CSV = "csv"
    MARKDOWN = "markdown"


def csv_text(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """RFC 4180, lines ended by CRLF; a cell that a spreadsheet would run gets an apostrophe."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(headings)
    writer.writerows([harmless(cell) for cell in row] for row in rows)
    return text.getvalue()


def harmless(cell: str) -> str:
    """As OWASP advises on CSV injection; numbers stay numbers."""
    if cell.lstrip()[:1] not in FORMULA or not cell or NUMBER.fullmatch(cell):
        return cell
    return f"'{cell}"


def markdown_table(
    headings: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[bool]
) -> str:
    """A table as GitHub Flavored Markdown has it; cells say what they say and link nowhere."""
    rule = ["---:" if each else "---" for each in right]
    lines = [list(map(markdown_text, headings)), rule]
    lines += [list(map(markdown_text, row)) for row in rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def markdown_text(text: str) -> str:
    """Plain words: no markup, no HTML, no address that becomes a link, nobody mentioned."""
    entities = text.replace("&", "&amp;").replace("@", "&#64;")
    unlinked = entities.replace("://", "&#58;//").replace("www.", "www&#46;")
    return MARKS.sub(r"\\\1", unlinked).replace("&\\#", "&#")
