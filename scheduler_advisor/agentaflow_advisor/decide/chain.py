"""The journal's hash chain: each event vouches for all before it, and for what it says now."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from agentaflow_advisor.decide import codec

FIRST_HASH = "0" * 64
STATE = {"state": "to_state", "state_at": "at", "actor": "actor", "reason": "reason"}
"""A decision's columns that change, and the column of its newest event that says the same."""


def event_hash(prev_hash: str, event: Mapping[str, Any]) -> str:
    return hashlib.sha256((prev_hash + codec.canonical(event)).encode()).hexdigest()


def broken_link(events: Iterable[sqlite3.Row]) -> tuple[str, ...]:
    """The first event that does not continue the chain; those after it prove nothing."""
    prev_hash = FIRST_HASH
    for row in events:
        event = dict(row)
        stored_prev, stored = event.pop("prev_hash"), event.pop("hash")
        if stored_prev != prev_hash:
            return (f"event {row['seq']}: does not follow the one before it (removed or inserted)",)
        if stored != event_hash(prev_hash, event):
            return (f"event {row['seq']}: was changed after it was written",)
        prev_hash = stored
    return ()


def differences(decisions: Iterable[sqlite3.Row], events: Iterable[sqlite3.Row]) -> Iterator[str]:
    """Decisions that are not what their events say."""
    first: dict[str, sqlite3.Row] = {}
    last: dict[str, sqlite3.Row] = {}
    for event in events:
        first.setdefault(event["decision_id"], event)
        last[event["decision_id"]] = event
    for row in decisions:
        if (begun := first.pop(row["id"], None)) is None:
            yield f"decision {row['id']}: has no events"
            continue
        newest = last[row["id"]]
        content = {name: row[name] for name in row.keys() if name not in STATE}  # noqa: SIM118
        if codec.canonical(content) != begun["detail"]:
            yield f"decision {row['id']}: is not what was proposed in event {begun['seq']}"
        if any(row[mine] != newest[theirs] for mine, theirs in STATE.items()):
            yield f"decision {row['id']}: its state is not that of event {newest['seq']}"
    yield from (f"decision {missing}: has events but is not there" for missing in first)
