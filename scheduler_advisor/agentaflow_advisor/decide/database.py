"""An SQLite file of ours: what it must be before it is trusted, and its errors by name."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

from agentaflow_advisor.decide.errors import (
    JournalCorrupt,
    JournalError,
    JournalLocked,
    JournalTooNew,
    JournalUnwritable,
)

LOCKED = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
UNWRITABLE = {
    sqlite3.SQLITE_FULL: "there is no room left: free some space",
    sqlite3.SQLITE_IOERR: "the disk does not take the write: look at its space and health",
    sqlite3.SQLITE_READONLY: "it cannot be written: give the user write permission on it",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened: check the path and its permissions",
    sqlite3.SQLITE_PERM: "it cannot be opened: check its permissions",
}


@dataclass(frozen=True, slots=True)
class Form:
    """One kind of file. `noun` is its name for people and its flag.

    `application_id` tells it from other programs' databases. With `wal` readers and a writer do
    not wait for each other; without it the file is whole by itself, even on a read-only disk.
    """

    noun: str
    version: int
    application_id: int
    tables: str
    wal: bool = True


class Database:
    """`with Kind(path) as it:`; several processes may have it open at once."""

    FORM: ClassVar[Form]

    def __init__(self, path: Path, *, read_only: bool = False, busy_seconds: float = 5.0) -> None:
        """An existing file that looks sound, or, unless read only, a new one.

        Raises JournalError.
        """
        self.path = path
        self._connection = _open(path, self.FORM, busy_seconds, read_only=read_only)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All of it or nothing, and no other writer meanwhile. Raises JournalError."""
        with self._naming():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def _naming(self) -> AbstractContextManager[None]:
        """SQLite's errors under the names of errors.py, but for our own mistakes."""
        return _naming(self.path, self.FORM)


def _open(path: Path, form: Form, busy_seconds: float, *, read_only: bool) -> sqlite3.Connection:
    noun = form.noun
    if path.is_dir():
        raise JournalUnwritable(f"{noun} {path}: it is a directory; name a file (--{noun} FILE)")
    if not read_only:
        _make_folder(path, noun)
    with _naming(path, form):
        where = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}"
        connection = sqlite3.connect(where, timeout=busy_seconds, isolation_level=None, uri=True)
        try:
            connection.row_factory = sqlite3.Row
            _check(connection, path, form)
            if not read_only:
                _prepare(connection, form)
        except BaseException:
            connection.close()
            raise
    return connection


def _make_folder(path: Path, noun: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise JournalUnwritable(
            f"{noun} {path}: its folder cannot be made ({error.strerror}); choose another place"
        ) from error


def _prepare(connection: sqlite3.Connection, form: Form) -> None:
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    if not _has_tables(connection):
        if form.wal:
            connection.execute("PRAGMA journal_mode = WAL")
        _create(connection, form)


def _create(connection: sqlite3.Connection, form: Form) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        if not _has_tables(connection):  # else another process was first
            connection.execute(f"PRAGMA application_id = {form.application_id}")
            connection.execute(f"PRAGMA user_version = {form.version}")
            for statement in _statements(form.tables):
                connection.execute(statement)
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _statements(script: str) -> Iterator[str]:
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _check(connection: sqlite3.Connection, path: Path, form: Form) -> None:
    if not _has_tables(connection):  # asked first: the process that makes them sets the rest too
        return
    noun = form.noun
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    if application != form.application_id:
        raise JournalCorrupt(
            f"{noun} {path}: it is a database of another program; name another file (--{noun})"
        )
    if version > form.version:
        raise JournalTooNew(
            f"{noun} {path}: it has schema {version}, this version knows {form.version};"
            " use the newer agentaflow that wrote it"
        )
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise _corrupt(path, form, found)


def _has_tables(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0])


@contextmanager
def _naming(path: Path, form: Form) -> Iterator[None]:
    """SQLite's errors under the names of errors.py, but for our own mistakes."""
    try:
        yield
    except (sqlite3.ProgrammingError, sqlite3.IntegrityError):
        raise
    except sqlite3.DatabaseError as error:
        raise _named(path, form, error) from error


def _named(path: Path, form: Form, error: sqlite3.DatabaseError) -> JournalError:
    noun = form.noun
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the rest says which kind of it
    if code in LOCKED:
        return JournalLocked(
            f"{noun} {path}: another process holds it; wait for it to end, then try again"
        )
    if code in UNWRITABLE:
        return JournalUnwritable(f"{noun} {path}: {UNWRITABLE[code]} ({error})")
    return _corrupt(path, form, str(error))


def _corrupt(path: Path, form: Form, what: str) -> JournalCorrupt:
    first_line = what.splitlines()[0]
    return JournalCorrupt(
        f"{form.noun} {path}: it is damaged or no {form.noun} ({first_line});"
        f" keep a copy of it and start a new one with --{form.noun} FILE"
    )
