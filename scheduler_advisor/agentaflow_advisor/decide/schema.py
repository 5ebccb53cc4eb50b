"""The journal's tables: what is true now, and the append-only events that led to it."""

from __future__ import annotations

from agentaflow_advisor.decide.database import Form

TABLES = """
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

JOURNAL = Form("journal", version=1, application_id=0x41474631, tables=TABLES)  # "AGF1"
