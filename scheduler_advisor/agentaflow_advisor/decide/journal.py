"""The journal: every decision and every step of its life, on disk before anything is acted on.

SQLite in WAL mode with synchronous=FULL. `decisions` holds what is true now; `events` is
append-only and hash-chained, and is written in the same transaction as the state it explains.
"""

from __future__ import annotations

import fcntl
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from agentaflow_advisor.decide import codec
from agentaflow_advisor.decide.chain import FIRST_HASH, broken_link, differences, event_hash
from agentaflow_advisor.decide.database import Database
from agentaflow_advisor.decide.errors import (
    AmbiguousId,
    JournalCorrupt,
    JournalLocked,
    JournalUnwritable,
    UnknownDecision,
    WrongState,
)
from agentaflow_advisor.decide.guards import Recent
from agentaflow_advisor.decide.schema import JOURNAL
from agentaflow_advisor.model import NEXT, Decision, State

OPEN = (State.PROPOSED, State.APPROVED, State.INTENDED)
ENDED = (State.VETOED, State.SUPERSEDED, State.EXPIRED, State.FAILED, State.REVERTED)
ENDED_MARKS = ", ".join("?" for _ in ENDED)
SHORTEST_ID = 4

Vetoes = tuple[tuple[str, str], ...]
"""(guard's name, reason) for each guard that forbade it."""


@dataclass(frozen=True, slots=True)
class Event:
    """One step of a decision's life, as the journal remembers it."""

    seq: int
    decision_id: str
    at: float  # seconds since the epoch
    from_state: State | None
    to_state: State
    actor: str
    reason: str
    vetoes: Vetoes
    hash: str


class Journal(Database):
    """`with Journal(path) as journal:`; several processes may have it open at once."""

    FORM = JOURNAL

    # -- writing --------------------------------------------------------------

    def add(self, decision: Decision) -> Decision:
        """Record a proposal; where its pod has an open decision already, that one is the answer."""
        row = codec.columns(decision)
        state = {"state": State.PROPOSED.value, "state_at": row["proposed_at"], "reason": ""}
        with self._transaction():
            if (found := self._open_for(decision.action.uid)) is not None:
                return found
            row |= {**state, "actor": decision.actor}
            marks = ", ".join(f":{name}" for name in row)
            # the names are codec.columns' own
            insert = f"INSERT INTO decisions ({', '.join(row)}) VALUES ({marks})"  # noqa: S608
            self._connection.execute(insert, row)
            self._append(decision.id, None, row, codec.columns(decision))
        return self.get(decision.id)

    def transition(
        self,
        decision_id: str,
        state: State,
        *,
        actor: str,
        at: float,
        reason: str = "",
        vetoes: Vetoes = (),
    ) -> Decision:
        """Bring it into the next state and commit. Raises WrongState where that may not follow."""
        with self._transaction():
            now = self.get(decision_id)
            if state not in NEXT.get(now.state, frozenset()):
                raise WrongState(
                    f"decision {now.id} is {now.state} and cannot become {state};"
                    f" see `agentaflow journal show {now.id}`"
                )
            row = {"state": state.value, "state_at": float(at), "actor": actor, "reason": reason}
            self._connection.execute(
                "UPDATE decisions SET state = :state, state_at = :state_at, actor = :actor,"
                " reason = :reason WHERE id = :id",
                {**row, "id": now.id},
            )
            detail = {"vetoes": [list(veto) for veto in vetoes]} if vetoes else {}
            self._append(now.id, now.state, row, detail)
        return self.get(now.id)

    def remark(
        self, decision_id: str, *, actor: str, at: float, reason: str, detail: Mapping[str, Any]
    ) -> Decision:
        """Write down what was found out about a decision, whose state stays."""
        with self._transaction():
            now = self.get(decision_id)
            row = {"state": now.state, "state_at": float(at), "actor": actor, "reason": reason}
            self._connection.execute(
                "UPDATE decisions SET state_at = :state_at, actor = :actor, reason = :reason"
                " WHERE id = :id",
                {**row, "id": now.id},
            )
            self._append(now.id, now.state, row, detail)
        return self.get(decision_id)

    def applied_at(self, decision_id: str) -> float | None:
        """When it took effect; None where it has not."""
        query = "SELECT at FROM events WHERE decision_id = ? AND to_state = ? ORDER BY seq DESC"
        rows = self._rows(query, [decision_id, State.APPLIED])
        return rows[0]["at"] if rows else None

    def details(self, state: State) -> Mapping[str, Mapping[str, Any]]:
        """Of decisions in that state: id → what was found out about it."""
        query = (
            "SELECT decision_id, detail FROM events JOIN decisions ON decisions.id = decision_id"
            " WHERE decisions.state = ? AND events.from_state = events.to_state ORDER BY seq"
        )
        return {row["decision_id"]: json.loads(row["detail"]) for row in self._rows(query, [state])}

    @contextmanager
    def acting(self) -> Iterator[None]:
        """One process at a time carries decisions out; the lock goes with the process."""
        path = self.path.with_name(f"{self.path.name}.lock")
        try:
            lock = path.open("a")
        except OSError as error:
            raise JournalUnwritable(
                f"journal {self.path}: {path.name} beside it cannot be made ({error.strerror});"
                " give the user write permission on the folder"
            ) from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise JournalLocked(
                    f"journal {self.path}: another process is carrying decisions out;"
                    " wait for it to end, then try again"
                ) from error
            yield

    # -- reading --------------------------------------------------------------

    def get(self, decision_id: str) -> Decision:
        """By its id, or by a beginning or an end of it that no other has."""
        rows = self._rows(
            "SELECT * FROM decisions WHERE id = :id OR (length(:id) >= :shortest AND"
            " (substr(id, 1, length(:id)) = :id OR substr(id, -length(:id)) = :id))"
            " ORDER BY id = :id DESC, id LIMIT 2",
            {"id": decision_id, "shortest": SHORTEST_ID},
        )
        if not rows:
            raise UnknownDecision(
                f"no decision {decision_id!r} in journal {self.path};"
                " `agentaflow journal list` shows the ids"
            )
        if len(rows) > 1 and rows[0]["id"] != decision_id:
            raise AmbiguousId(
                f"{decision_id!r} fits {rows[0]['id']} and {rows[1]['id']}; give more of the id"
            )
        return self._decision(rows[0])

    def list(self, states: Iterable[State] | None = None) -> tuple[Decision, ...]:
        """Oldest first; those in the given states, else all."""
        wanted = [state.value for state in (State if states is None else states)]
        marks = ", ".join("?" for _ in wanted)
        query = f"SELECT * FROM decisions WHERE state IN ({marks}) ORDER BY id"  # noqa: S608
        return tuple(self._decision(row) for row in self._rows(query, wanted))

    def open_for(self, uid: str) -> Decision | None:
        """The pod's decision that is not over yet."""
        with self._naming():
            return self._open_for(uid)

    def carried_out_since(self, at: float, *, but: str = "") -> tuple[Recent, ...]:
        """Decisions intended since then, newest first, without the one of that id."""
        query = (
            "SELECT decisions.*, MAX(events.at) AS intended_at FROM events"
            " JOIN decisions ON decisions.id = events.decision_id"
            " WHERE events.to_state = ? AND events.at >= ? AND decisions.id != ?"
            " GROUP BY decisions.id ORDER BY intended_at DESC, decisions.id DESC"
        )
        return tuple(
            Recent(self._decision(row), row["intended_at"])
            for row in self._rows(query, [State.INTENDED, at, but])
        )

    def approvals_since(self, at: float) -> Mapping[str, int]:
        """How many decisions each actor has approved since then."""
        query = (
            "SELECT actor, COUNT(*) AS number FROM events"
            " WHERE to_state = ? AND at >= ? GROUP BY actor"
        )
        return {row["actor"]: row["number"] for row in self._rows(query, [State.APPROVED, at])}

    def ended_since(self, at: float) -> frozenset[str]:
        """Uids of objects about which a decision ended since then without having taken effect."""
        query = f"SELECT uid FROM decisions WHERE state_at >= ? AND state IN ({ENDED_MARKS})"  # noqa: S608
        return frozenset(row["uid"] for row in self._rows(query, [at, *ENDED]))

    def agreed(self) -> Mapping[str, State]:
        """Uid of each object → the state of its decision, where that is approved or under way, or
        was applied and not verified yet.
        """
        states = (State.APPROVED, State.INTENDED, State.APPLIED)
        query = "SELECT uid, state FROM decisions WHERE state IN (?, ?, ?)"
        return {row["uid"]: State(row["state"]) for row in self._rows(query, states)}

    def events(self, decision_id: str) -> tuple[Event, ...]:
        """All that happened to one decision, oldest first."""
        query = "SELECT * FROM events WHERE decision_id = ? ORDER BY seq"
        return tuple(self._event(row) for row in self._rows(query, [self.get(decision_id).id]))

    def newest(self) -> int:
        """The number of the newest event; 0 where there is none."""
        return int(self._rows("SELECT COALESCE(MAX(seq), 0) AS seq FROM events", [])[0]["seq"])

    def events_after(self, seq: int) -> tuple[Event, ...]:
        """What happened since that event, to whatever decision, oldest first."""
        query = "SELECT * FROM events WHERE seq > ? ORDER BY seq"
        return tuple(self._event(row) for row in self._rows(query, [seq]))

    def verify(self) -> tuple[str, ...]:
        """What is wrong with it, the first bad event before the rest; empty where all is well."""
        events = self._rows("SELECT * FROM events ORDER BY seq", [])
        decisions = self._rows("SELECT * FROM decisions ORDER BY id", [])
        return (*broken_link(events), *differences(decisions, events))

    # -- inside ---------------------------------------------------------------

    def _append(
        self, decision_id: str, before: State | None, row: Mapping[str, Any], detail: object
    ) -> None:
        query = "SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1"
        seq, prev_hash = self._connection.execute(query).fetchone() or (0, FIRST_HASH)
        event = {
            "seq": seq + 1,
            "decision_id": decision_id,
            "at": row["state_at"],
            "from_state": before.value if before else "",
            "to_state": row["state"],
            "actor": row["actor"],
            "reason": row["reason"],
            "detail": codec.canonical(detail),
        }
        self._connection.execute(
            "INSERT INTO events VALUES (:seq, :decision_id, :at, :from_state, :to_state, :actor,"
            " :reason, :detail, :prev_hash, :hash)",
            {**event, "prev_hash": prev_hash, "hash": event_hash(prev_hash, event)},
        )

    def _open_for(self, uid: str) -> Decision | None:
        query = "SELECT * FROM decisions WHERE uid = ? AND state IN (?, ?, ?)"
        row = self._connection.execute(query, (uid, *OPEN)).fetchone()
        return self._decision(row) if row else None

    def _rows(self, query: str, values: Any) -> tuple[sqlite3.Row, ...]:
        with self._naming():
            return tuple(self._connection.execute(query, values).fetchall())

    def _decision(self, row: sqlite3.Row) -> Decision:
        try:
            return codec.decision(dict(row))
        except (ValueError, KeyError, TypeError) as error:
            raise self._unreadable(f"decision {row['id']}") from error

    def _event(self, row: sqlite3.Row) -> Event:
        try:
            vetoes = json.loads(row["detail"]).get("vetoes", ())
            return Event(
                seq=row["seq"],
                decision_id=row["decision_id"],
                at=row["at"],
                from_state=State(row["from_state"]) if row["from_state"] else None,
                to_state=State(row["to_state"]),
                actor=row["actor"],
                reason=row["reason"],
                vetoes=tuple((guard, reason) for guard, reason in vetoes),
                hash=row["hash"],
            )
        except (ValueError, KeyError, TypeError) as error:
            raise self._unreadable(f"event {row['seq']}") from error

    def _unreadable(self, what: str) -> JournalCorrupt:
        return JournalCorrupt(
            f"journal {self.path}: {what} is not readable; run `agentaflow journal verify`"
        )
