"""The history's file: what each look found, what people said to it, and nothing ever deleted."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from agentaflow_advisor.decide.database import Database
from agentaflow_advisor.decide.errors import (
    AmbiguousId,
    JournalCorrupt,
    UnknownDecision,
    WrongState,
)
from agentaflow_advisor.history import rows
from agentaflow_advisor.history.life import (
    Event,
    Life,
    Look,
    Mark,
    Standing,
    Step,
    ended,
    outgrown,
)
from agentaflow_advisor.history.tables import HISTORY
from agentaflow_advisor.model import Money, Recommendation

HOUR = 3600
SHORTEST_ID = 4
UPSERT = (
    "INSERT INTO lives VALUES (:id, :kind, :analysis, :what, :place, :amount, :currency,"
    " :first_seen_at, :last_seen_at, :times_seen, :closed_at, :mark) ON CONFLICT (id) DO UPDATE"
    " SET analysis = excluded.analysis, what = excluded.what, place = excluded.place,"
    " amount = excluded.amount, currency = excluded.currency,"
    " last_seen_at = excluded.last_seen_at, times_seen = excluded.times_seen,"
    " closed_at = excluded.closed_at, mark = excluded.mark"
)
Line = tuple[str, float, Step, str, str, float | None]
"""An event to write: id, at, step, actor, reason, until."""


class UnknownRecommendation(UnknownDecision):
    """The history has none of that id."""


class History(Database):
    """`with History(path) as history:`; several processes may have it open at once."""

    FORM = HISTORY

    # -- writing --------------------------------------------------------------

    def record(self, look: Look, *, actor: str) -> Mapping[str, Life]:
        """Write down what a look found, and close what it found no more. Lives by id."""
        with self._transaction():
            before = self._before(look)
            lines: list[Line] = []
            found = {
                each.id: _seen(before.get(each.id), each, look, actor, lines)
                for each in look.recommendations
            }
            over = [
                replace(life, closed_at=look.at)
                for id_, life in before.items()
                if id_ not in found and _closing(life, look, actor, lines)
            ]
            self._write([*found.values(), *over], lines)
        return found

    def remember(self, look: Look) -> None:
        """Keep what the shown ones would save together, at most one sum an hour."""
        hour = int(look.at) // HOUR * HOUR
        with self._transaction():
            known = self._connection.execute(
                "SELECT DISTINCT currency FROM sums WHERE scope = ?", (look.scope,)
            )
            amounts = dict.fromkeys((row["currency"] for row in known), Decimal(0))
            amounts |= {money.currency: money.amount for money in look.together}
            self._connection.executemany(
                "INSERT OR REPLACE INTO sums VALUES (?, ?, ?, ?, ?)",
                [
                    (look.scope, hour, currency, str(amount), look.shown)
                    for currency, amount in amounts.items()
                ],
            )

    def snooze(self, id_: str, until: float, *, actor: str, at: float, reason: str) -> Life:
        """Hide it until then."""
        return self._mark(id_, Mark(Standing.SNOOZED, at, actor, reason, until), Step.SNOOZED)

    def dismiss(self, id_: str, *, actor: str, at: float, reason: str) -> Life:
        """Hide it until it is restored, or would save more than twice as much."""
        return self._mark(id_, Mark(Standing.DISMISSED, at, actor, reason), Step.DISMISSED)

    def restore(self, id_: str, *, actor: str, at: float, reason: str = "") -> Life:
        """Show it again. Raises WrongState where nothing hides it."""
        with self._transaction():
            life = self.get(id_)
            if life.mark is None:
                raise WrongState(
                    f"recommendation {life.id} is neither snoozed nor dismissed;"
                    " `agentaflow recommendations list` shows those that are"
                )
            changed = replace(life, mark=None)
            self._write([changed], [(life.id, at, Step.RESTORED, actor, reason, None)])
        return changed

    # -- reading --------------------------------------------------------------

    def get(self, id_: str) -> Life:
        """By its id, or by a beginning or an end of it that no other has."""
        found = self._lives(
            "SELECT * FROM lives WHERE id = :id OR (length(:id) >= :shortest AND"
            " (substr(id, 1, length(:id)) = :id OR substr(id, -length(:id)) = :id))"
            " ORDER BY id = :id DESC, id LIMIT 2",
            {"id": id_, "shortest": SHORTEST_ID},
        )
        if not found:
            raise UnknownRecommendation(
                f"no recommendation {id_!r} in history {self.path};"
                " `agentaflow recommendations list` shows the ids"
            )
        if len(found) > 1 and found[0].id != id_:
            raise AmbiguousId(f"{id_!r} fits {found[0].id} and {found[1].id}; give more of the id")
        return found[0]

    def lives(self) -> tuple[Life, ...]:
        """All there ever were, in the order in which they were first seen."""
        return self._lives("SELECT * FROM lives ORDER BY first_seen_at, id", {})

    def of(self, ids: Iterable[str]) -> Mapping[str, Life]:
        """Those of these ids that are known."""
        query = "SELECT * FROM lives WHERE id IN (SELECT value FROM json_each(:ids))"
        return {life.id: life for life in self._lives(query, {"ids": json.dumps(list(ids))})}

    def events(self, id_: str) -> tuple[Event, ...]:
        """All that happened to one, oldest first."""
        query = "SELECT * FROM events WHERE life = ? ORDER BY seq"
        with self._naming():
            found = self._connection.execute(query, [self.get(id_).id]).fetchall()
        return tuple(self._readable(rows.event, row) for row in found)

    def trend(self, scope: str, since: float = 0.0) -> tuple[tuple[float, Money], ...]:
        """(time, what could be saved a month) by the hour, oldest first."""
        query = "SELECT * FROM sums WHERE scope = ? AND hour >= ? ORDER BY hour, currency"
        with self._naming():
            found = self._connection.execute(query, [scope, int(since)]).fetchall()
        return tuple((row["hour"], Money(Decimal(row["amount"]), row["currency"])) for row in found)

    # -- inside ---------------------------------------------------------------

    def _before(self, look: Look) -> dict[str, Life]:
        open_ = self._lives("SELECT * FROM lives WHERE closed_at IS NULL", {})
        known = {life.id: life for life in open_}
        rest = (each.id for each in look.recommendations if each.id not in known)
        return {**known, **self.of(rest)}

    def _mark(self, id_: str, mark: Mark, step: Step) -> Life:
        with self._transaction():
            life = self.get(id_)
            changed = replace(life, mark=replace(mark, saves=life.saves))
            line = (life.id, mark.at, step, mark.by, mark.reason, mark.until_at)
            self._write([changed], [line])
        return changed

    def _write(self, lives: Iterable[Life], lines: Iterable[Line]) -> None:
        self._connection.executemany(UPSERT, map(rows.columns, lives))
        self._connection.executemany(
            "INSERT INTO events (life, at, step, actor, reason, until_at)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            lines,
        )

    def _lives(self, query: str, values: Mapping[str, Any]) -> tuple[Life, ...]:
        with self._naming():
            found = self._connection.execute(query, values).fetchall()
        return tuple(self._readable(rows.life, row) for row in found)

    def _readable(self, read: Any, row: sqlite3.Row) -> Any:
        try:
            return read(row)
        except (ValueError, KeyError, TypeError, ArithmeticError) as error:
            raise JournalCorrupt(
                f"history {self.path}: row {row[0]} is not readable;"
                " keep a copy of it and start a new one with --history FILE"
            ) from error


def _seen(
    before: Life | None, found: Recommendation, look: Look, actor: str, lines: list[Line]
) -> Life:
    """The life after this look; a look that was written down already counts once."""
    saves = found.saves.per_month if found.saves else None
    analysis = look.analyses.get(found.id, "")
    if before is None:
        lines.append((found.id, look.at, Step.OPENED, actor, found.what, None))
        return Life(
            found.id, found.kind, analysis, found.what, found.where, saves, look.at, look.at, 1
        )
    if look.at <= before.last_seen_at:
        return before
    if before.closed_at is not None:
        lines.append((found.id, look.at, Step.REOPENED, actor, found.what, None))
    why = outgrown(before.mark, saves)
    if why:
        lines.append((found.id, look.at, Step.RETURNED, actor, why, None))
    return replace(
        before,
        analysis=analysis,
        what=found.what,
        where=found.where,
        saves=saves,
        last_seen_at=look.at,
        times_seen=before.times_seen + 1,
        closed_at=None,
        mark=None if why else before.mark,
    )


def _closing(life: Life, look: Look, actor: str, lines: list[Line]) -> bool:
    why = None if life.closed_at is not None else ended(life, look)
    if why:
        lines.append((life.id, look.at, Step.CLOSED, actor, why, None))
    return bool(why)
