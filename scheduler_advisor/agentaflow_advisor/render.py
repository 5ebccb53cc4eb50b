"""Values as people and programs read them: tables that fit the terminal, and stable documents."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Any, TextIO

import msgspec
import yaml
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from agentaflow_advisor.model import Action, Money
from agentaflow_advisor.tables import Format, csv_text, markdown_table, markdown_text

UNBOUNDED_COLUMNS = 10_000
"""The width when nobody looks: a pipe or file gets whole lines, nothing folded or cut."""


@dataclass(frozen=True, slots=True)
class Column:
    """A heading; numbers and money go to the right."""

    heading: str
    right: bool = False


@dataclass(frozen=True, slots=True)
class Output:
    """Where a command's answer goes, and in which form. Progress goes to stderr."""

    form: Format = Format.TABLE
    stdout: TextIO = field(default_factory=lambda: sys.stdout)
    stderr: TextIO = field(default_factory=lambda: sys.stderr)

    @property
    def as_json(self) -> bool:
        """Whether the answer is wanted as one document, as JSON or YAML."""
        return self.form in (Format.JSON, Format.YAML)

    def document(self, document: object) -> None:
        """The whole answer as one object."""
        if self.form is Format.YAML:
            print(to_yaml(document), file=self.stdout, end="")
        else:
            print(to_json(document), file=self.stdout)

    def table(self, columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
        """A table; on a terminal no wider than that, in a pipe with whole lines."""
        cells = [[printable(cell) for cell in row] for row in rows]
        headings = [column.heading for column in columns]
        if self.form is Format.CSV:
            known = [["" if cell == "-" else cell for cell in row] for row in cells]
            print(csv_text(headings, known), file=self.stdout, end="")
        elif self.form is Format.MARKDOWN:
            right = [column.right for column in columns]
            print(markdown_table(headings, cells, right), file=self.stdout)
        else:
            self._table(columns, cells)

    def _table(self, columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in columns:
            table.add_column(
                column.heading,
                justify="right" if column.right else "left",
                overflow="fold",
                no_wrap=column.right,
            )
        for row in rows:
            table.add_row(*map(Text, row))
        console = _console(self.stdout)
        with console.capture() as printed:
            console.print(table)
        for line in printed.get().splitlines():
            print(line.rstrip(), file=self.stdout)

    def line(self, text: str = "") -> None:
        """One line of the answer; beside a CSV, which has no place for it."""
        if self.form is Format.CSV:
            self.note(text)
        elif self.form is Format.MARKDOWN:
            print(markdown_text(printable(text)), file=self.stdout, end="\n\n" if text else "\n")
        else:
            print(printable(text), file=self.stdout)

    def note(self, text: str) -> None:
        """One line beside the answer, on stderr."""
        print(printable(text), file=self.stderr, flush=True)

    def progress(self, text: str) -> AbstractContextManager[object]:
        """What is being waited for, on stderr while it lasts; nothing where nobody looks."""
        return _console(self.stderr).status(printable(text))

    @contextmanager
    def bar(self, text: str) -> Iterator[Callable[[int, int], None]]:
        """A progress bar on stderr, to be told (done, all); nothing where nobody looks."""
        console = _console(self.stderr)
        with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task(printable(text), total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)


def _console(file: TextIO) -> Console:
    console = Console(file=file, markup=False, highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = UNBOUNDED_COLUMNS
    return console


def printable(text: str) -> str:
    """Without control characters: labels come from strangers, and terminals obey them."""
    return "".join(char if char.isprintable() else " " for char in text)


PLAIN = frozenset({str, int, float, bool, type(None)})


def to_json(value: object) -> str:
    """Indented, keys in the order of the fields."""
    return msgspec.json.format(msgspec.json.encode(plain(value)), indent=2).decode()


def to_yaml(value: object) -> str:
    """The same as YAML, in the same order."""
    return yaml.safe_dump(msgspec.json.decode(to_json(value)), sort_keys=False, allow_unicode=True)


def plain(value: Any) -> Any:
    """Dataclasses to objects, decimals to strings, `at` and …_at to ISO 8601 times in UTC."""
    kind: type = type(value)
    if kind in PLAIN:
        return value
    if (names := _fields(kind)) is not None:
        return {name: _told(getattr(value, name), is_time) for name, is_time in names}
    if isinstance(value, Mapping):
        return {str(key): _told(item, _is_time(str(key))) for key, item in value.items()}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    return value


@cache
def _fields(kind: type) -> tuple[tuple[str, bool], ...] | None:
    """Names, and whether they are times; None of what is no dataclass. An action tells what it is
    first.
    """
    if not dataclasses.is_dataclass(kind):
        return None
    names = tuple(field.name for field in dataclasses.fields(kind))
    if issubclass(kind, Action):
        names = ("channel", "kind", *names)
    return tuple((name, _is_time(name)) for name in names)


def _is_time(name: str) -> bool:
    return name == "at" or name.endswith("_at")


def _told(value: Any, is_time: bool) -> Any:
    if is_time and isinstance(value, (int, float)):
        return iso(value)
    return value if type(value) in PLAIN else plain(value)


def iso(at: float) -> str | None:
    """Seconds since the epoch as 2026-01-31T12:00:00Z; None for 0, which means unknown."""
    if not at:
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def money(amount: Money | None) -> str:
    """To the cent; a dash where there is none."""
    return "-" if amount is None else str(amount)


def duration(seconds: float) -> str:
    """The largest unit that keeps it readable: 7 d, 36 h, 90 s."""
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size or (seconds >= size and seconds % size == 0):
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.0f} s" if seconds >= 1 or not seconds else f"{seconds:.1g} s"


def percent(ratio: float | None) -> str:
    """A ratio from 0 to 1 in percent; a dash where there is none."""
    return "-" if ratio is None else f"{ratio:.1%}"


def sureness(confidence: float) -> str:
    """A confidence from 0 to 1 in whole percent, rounded down: 99.8 % is not 100 %."""
    return f"{math.floor(confidence * 100 + 1e-9)}%"


def short(decision_id: str) -> str:
    """The end of an id, which is enough to name a decision: its beginning is only the time."""
    return decision_id.rpartition("-")[2]


def counted(number: int, one: str, many: str = "") -> str:
    """1 pod, 2 pods; 1 query, 2 queries."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
