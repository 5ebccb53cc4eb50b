"""The journal's tables, and the opening of its file: what it must be before it is trusted."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agentaflow_advisor.decide.errors import (
    JournalCorrupt,
    JournalError,
    JournalLocked,
    JournalTooNew,
    JournalUnwritable,
)

VERSION = 1
APPLICATION_ID = 0x41474631  # "AGF1", so that another program's database is not taken for ours

TABLES = f"""
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {VERSION};
CREATE TABLE decisions (
  id          TEXT PRIMARY KEY,
  proposed_at REAL NOT NULL,
  strategy    TEXT NOT NULL,
  why         TEXT NOT NULL,
  namespace   TEXT NOT NULL,
  pod         TEXT NOT NULL,
  uid         TEXT NOT NULL,
  node        TEXT NOT NULL,
  action      TEXT NOT NULL,
  evidence    TEXT NOT NULL,
  state       TEXT NOT NULL,
  state_at    REAL NOT NULL,
  actor       TEXT NOT NULL,
  reason      TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX one_open_decision_per_pod ON decisions (uid)
  WHERE state IN ('proposed', 'approved', 'intended');
CREATE INDEX decisions_by_state ON decisions (state);
CREATE TABLE events (
  seq         INTEGER PRIMARY KEY,
  decision_id TEXT NOT NULL REFERENCES decisions (id),
  at          REAL NOT NULL,
  from_state  TEXT NOT NULL,
  to_state    TEXT NOT NULL,
  actor       TEXT NOT NULL,
  reason      TEXT NOT NULL,
  detail      TEXT NOT NULL,
  prev_hash   TEXT NOT NULL,
  hash        TEXT NOT NULL
) STRICT;
CREATE INDEX events_by_decision ON events (decision_id);
CREATE TRIGGER events_are_not_updated BEFORE UPDATE ON events
  BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
CREATE TRIGGER events_are_not_deleted BEFORE DELETE ON events
  BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
CREATE TRIGGER decisions_are_not_deleted BEFORE DELETE ON decisions
  BEGIN SELECT RAISE(ABORT, 'decisions are kept'); END;
CREATE TRIGGER decisions_do_not_change BEFORE UPDATE OF
  id, proposed_at, strategy, why, namespace, pod, uid, node, action, evidence ON decisions
  BEGIN SELECT RAISE(ABORT, 'a decision does not change'); END;
"""

LOCKED = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
UNWRITABLE = {
    sqlite3.SQLITE_FULL: "there is no room left: free some space",
    sqlite3.SQLITE_IOERR: "the disk does not take the write: look at its space and health",
    sqlite3.SQLITE_READONLY: "it cannot be written: give the user write permission on it",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened: check the path and its permissions",
    sqlite3.SQLITE_PERM: "it cannot be opened: check its permissions",
}


def open_journal(path: Path, busy_seconds: float) -> sqlite3.Connection:
    """An existing journal that looks sound, or a new one. Raises JournalError."""
    if path.is_dir():
        raise JournalUnwritable(f"journal {path}: it is a directory; name a file (--journal FILE)")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise JournalUnwritable(
            f"journal {path}: its folder cannot be made ({error.strerror}); choose another place"
        ) from error
    with naming(path):
        connection = sqlite3.connect(path, timeout=busy_seconds, isolation_level=None)
        try:
            connection.row_factory = sqlite3.Row
            _prepare(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    _check(connection, path)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    if not _has_tables(connection):
        connection.execute("PRAGMA journal_mode = WAL")
        _create(connection)


def _create(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        if not _has_tables(connection):  # else another process was first
            for statement in _statements(TABLES):
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


def _check(connection: sqlite3.Connection, path: Path) -> None:
    if not _has_tables(connection):  # asked first: the process that makes them sets the rest too
        return
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    if application != APPLICATION_ID:
        raise JournalCorrupt(
            f"journal {path}: it is a database of another program; name another file (--journal)"
        )
    if version > VERSION:
        raise JournalTooNew(
            f"journal {path}: it has schema {version}, this version knows {VERSION};"
            " use the newer agentaflow that wrote it"
        )
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise _corrupt(path, found)


def _has_tables(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0])


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """SQLite's errors under the names of errors.py, but for our own mistakes."""
    try:
        yield
    except (sqlite3.ProgrammingError, sqlite3.IntegrityError):
        raise
    except sqlite3.DatabaseError as error:
        raise _named(path, error) from error


def _named(path: Path, error: sqlite3.DatabaseError) -> JournalError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the rest says which kind of it
    if code in LOCKED:
        return JournalLocked(
            f"journal {path}: another process holds it; wait for it to end, then try again"
        )
    if code in UNWRITABLE:
        return JournalUnwritable(f"journal {path}: {UNWRITABLE[code]} ({error})")
    return _corrupt(path, str(error))


def _corrupt(path: Path, what: str) -> JournalCorrupt:
    first_line = what.splitlines()[0]
    return JournalCorrupt(
        f"journal {path}: it is damaged or no journal ({first_line});"
        " keep a copy of it and start a new one with --journal FILE"
    )
