"""The history's tables. A life is what is true now; its events are append-only."""

from __future__ import annotations

from agentaflow_advisor.decide.database import Form

TABLES = """
CREATE TABLE lives (
  id            TEXT PRIMARY KEY,
  kind          TEXT NOT NULL,
  analysis      TEXT NOT NULL,
  what          TEXT NOT NULL,
  place         TEXT NOT NULL,
  amount        TEXT,
  currency      TEXT,
  first_seen_at REAL NOT NULL,
  last_seen_at  REAL NOT NULL,
  times_seen    INTEGER NOT NULL,
  closed_at     REAL,
  mark          TEXT
) STRICT;
CREATE INDEX open_lives ON lives (id) WHERE closed_at IS NULL;
CREATE TABLE events (
  seq      INTEGER PRIMARY KEY,
  life     TEXT NOT NULL REFERENCES lives (id),
  at       REAL NOT NULL,
  step     TEXT NOT NULL,
  actor    TEXT NOT NULL,
  reason   TEXT NOT NULL,
  until_at REAL
) STRICT;
CREATE INDEX events_by_life ON events (life);
CREATE TABLE sums (
  scope    TEXT NOT NULL,
  hour     INTEGER NOT NULL,
  currency TEXT NOT NULL,
  amount   TEXT NOT NULL,
  shown    INTEGER NOT NULL,
  PRIMARY KEY (scope, currency, hour)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER events_are_not_updated BEFORE UPDATE ON events
  BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
CREATE TRIGGER events_are_not_deleted BEFORE DELETE ON events
  BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
CREATE TRIGGER lives_are_not_deleted BEFORE DELETE ON lives
  BEGIN SELECT RAISE(ABORT, 'lives are kept'); END;
CREATE TRIGGER first_seen_does_not_change BEFORE UPDATE OF id, kind, first_seen_at ON lives
  WHEN OLD.first_seen_at IS NOT NEW.first_seen_at OR OLD.id IS NOT NEW.id
    OR OLD.kind IS NOT NEW.kind
  BEGIN SELECT RAISE(ABORT, 'a beginning does not change'); END;
"""

HISTORY = Form("history", version=1, application_id=0x41474831, tables=TABLES, wal=False)  # "AGH1"
