"""Lives and events as rows of SQLite and back."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from agentaflow_advisor.history.life import Event, Life, Mark, Standing, Step
from agentaflow_advisor.model import Money, Where


def columns(life: Life) -> dict[str, Any]:
    """What the table `lives` holds of one."""
    return {
        "id": life.id,
        "kind": life.kind,
        "analysis": life.analysis,
        "what": life.what,
        "place": json.dumps([getattr(life.where, name) for name in Where.__slots__]),
        "amount": str(life.saves.amount) if life.saves else None,
        "currency": life.saves.currency if life.saves else None,
        "first_seen_at": float(life.first_seen_at),
        "last_seen_at": float(life.last_seen_at),
        "times_seen": life.times_seen,
        "closed_at": life.closed_at,
        "mark": _mark_text(life.mark),
    }


def life(row: sqlite3.Row) -> Life:
    """Raises ValueError, KeyError, TypeError or ArithmeticError where the row is none of ours."""
    return Life(
        id=row["id"],
        kind=row["kind"],
        analysis=row["analysis"],
        what=row["what"],
        where=Where(*json.loads(row["place"])),
        saves=_money(row["amount"], row["currency"]),
        first_seen_at=row["first_seen_at"],
        last_seen_at=row["last_seen_at"],
        times_seen=row["times_seen"],
        closed_at=row["closed_at"],
        mark=_mark(row["mark"]),
    )


def event(row: sqlite3.Row) -> Event:
    """Raises ValueError where the row is none of ours."""
    return Event(
        row["seq"],
        row["life"],
        row["at"],
        Step(row["step"]),
        row["actor"],
        row["reason"],
        row["until_at"],
    )


def _money(amount: str | None, currency: str | None) -> Money | None:
    return None if amount is None or currency is None else Money(Decimal(amount), currency)


def _mark_text(mark: Mark | None) -> str | None:
    if mark is None:
        return None
    saves = [str(mark.saves.amount), mark.saves.currency] if mark.saves else None
    return json.dumps({**asdict(mark), "saves": saves})


def _mark(text: str | None) -> Mark | None:
    if text is None:
        return None
    fields = json.loads(text)
    saves = fields.pop("saves")
    standing = Standing(fields.pop("standing"))
    return Mark(standing=standing, saves=_money(*saves) if saves else None, **fields)
