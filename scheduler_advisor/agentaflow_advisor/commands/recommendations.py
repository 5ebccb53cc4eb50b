"""recommendations: their age, and what people say to them: list, show, snooze, dismiss, restore."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from agentaflow_advisor.commands.session import Session, command
from agentaflow_advisor.history import Event, History, Life, Mark, Standing
from agentaflow_advisor.render import Column, duration, iso, money
from agentaflow_advisor.settings import seconds

LONGEST_SNOOZE_SECONDS = 366 * 86_400.0
Id = Annotated[
    str,
    typer.Argument(metavar="ID", help="A recommendation's id, or an end or beginning of it."),
]
Ids = Annotated[
    list[str],
    typer.Argument(metavar="ID...", help="Recommendations, by their id or an end or beginning."),
]


@command("history")
def list_(
    session: Session,
    state: Annotated[
        list[Standing] | None,
        typer.Option(help="Only those in this state; may be repeated. All by default."),
    ] = None,
) -> int:
    """List the recommendations there ever were, those first seen first."""
    now = session.clock()
    with session.history() as history:
        lives = [life for life in history.lives() if not state or life.standing(now) in set(state)]
    _show(session, lives)
    return 0


@command("history")
def show(session: Session, recommendation_id: Id) -> int:
    """Show one recommendation and each step of its life."""
    with session.history() as history:
        life = history.get(recommendation_id)
        events = history.events(life.id)
    if session.output.as_json:
        session.output.document({"recommendation": _told(life, session.clock()), "events": events})
    else:
        _describe(session, life, events)
    return 0


@command("history")
def snooze(
    session: Session,
    ids: Ids,
    span: Annotated[
        str | None, typer.Option("--for", metavar="DURATION", help="How long: 7d, 12h.")
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Until when: 2026-12-31, or a time as ISO 8601 (UTC)."),
    ] = None,
    reason: Annotated[str, typer.Option(help="Kept in the history.")] = "no reason given",
) -> int:
    """Hide recommendations until a time; they come back by themselves."""
    now = session.clock()
    end = _end(span, until, now)
    with session.history() as history:
        for each in _full_ids(history, ids):
            history.snooze(each, end, actor=session.actor, at=now, reason=reason)
        return _report(session, history, ids)


@command("history")
def dismiss(
    session: Session,
    ids: Ids,
    reason: Annotated[str, typer.Option(help="Why it is not worth doing; kept in the history.")],
) -> int:
    """Hide recommendations until they are restored, or would save more than twice as much."""
    if not reason.strip():
        raise typer.BadParameter("say why, in words", param_hint="--reason")
    with session.history() as history:
        for each in _full_ids(history, ids):
            history.dismiss(each, actor=session.actor, at=session.clock(), reason=reason)
        return _report(session, history, ids)


@command("history")
def restore(
    session: Session,
    ids: Ids,
    reason: Annotated[str, typer.Option(help="Kept in the history.")] = "no reason given",
) -> int:
    """Show snoozed or dismissed recommendations again."""
    with session.history() as history:
        for each in _full_ids(history, ids):
            history.restore(each, actor=session.actor, at=session.clock(), reason=reason)
        return _report(session, history, ids)


def _full_ids(history: History, ids: list[str]) -> list[str]:
    """Each once, and all of them known before the first is changed."""
    return list(dict.fromkeys(history.get(each).id for each in ids))


def _end(span: str | None, until: str | None, now: float) -> float:
    """When a snooze ends, seconds since the epoch."""
    if (span is None) == (until is None):
        raise typer.BadParameter("give one of --for DURATION and --until TIME")
    end = now + _span(span) if span is not None else _time(until or "")
    if not now < end <= now + LONGEST_SNOOZE_SECONDS:
        raise typer.BadParameter(
            f"{span or until} has to end between now and a year from now; to hide it for good, "
            "dismiss it",
            param_hint="--for" if span else "--until",
        )
    return end


def _span(text: str) -> float:
    try:
        return float(str(seconds(text)))
    except ValueError as error:
        raise typer.BadParameter(
            f"{text!r} is no duration; write 7d, 12h or a number of seconds", param_hint="--for"
        ) from error


def _time(text: str) -> float:
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(
            f"{text!r} is no time; write 2026-12-31 or 2026-12-31T12:00:00Z", param_hint="--until"
        ) from error
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def _report(session: Session, history: History, ids: list[str]) -> int:
    _show(session, [history.get(each) for each in _full_ids(history, ids)])
    return 0


def _show(session: Session, lives: list[Life]) -> None:
    now = session.clock()
    if session.output.as_json:
        session.output.document({"recommendations": [_told(life, now) for life in lives]})
    elif lives:
        columns = [
            Column("ID"),
            Column("STATE"),
            Column("SEEN FOR", right=True),
            Column("TIMES", right=True),
            Column("SAVES/MONTH", right=True),
            Column("WHAT"),
            Column("SAID"),
        ]
        session.output.table(columns, [_row(life, now) for life in lives])
    else:
        session.output.line("no recommendations")


def _row(life: Life, now: float) -> tuple[str, ...]:
    end = life.closed_at if life.closed_at is not None else now
    return (
        life.id,
        life.standing(now),
        duration(max(0.0, end - life.first_seen_at)),
        str(life.times_seen),
        money(life.saves),
        life.what,
        _said(life.mark),
    )


def _said(mark: Mark | None) -> str:
    if mark is None:
        return ""
    until = f" until {iso(mark.until_at)}" if mark.until_at else ""
    return f"{mark.standing} by {mark.by}{until}: {mark.reason}"


def _told(life: Life, now: float) -> dict[str, object]:
    """As JSON has it: the life with the state it is in."""
    return {
        "id": life.id,
        "kind": life.kind,
        "state": life.standing(now),
        "what": life.what,
        "where": life.where,
        "saves_per_month": life.saves,
        "first_seen_at": life.first_seen_at,
        "last_seen_at": life.last_seen_at,
        "times_seen": life.times_seen,
        "closed_at": life.closed_at,
        "mark": life.mark,
    }


def _describe(session: Session, life: Life, events: tuple[Event, ...]) -> None:
    line = session.output.line
    line(f"recommendation  {life.id}")
    line(f"state           {life.standing(session.clock())}")
    if life.mark:
        line(f"said            {_said(life.mark)}")
    line(f"what            {life.what}")
    line(f"saves a month   {money(life.saves)}")
    line(
        f"seen            {life.times_seen} times, {iso(life.first_seen_at)} to "
        f"{iso(life.last_seen_at)}"
    )
    line()
    session.output.table(
        [Column("AT"), Column("STEP"), Column("BY"), Column("REASON")],
        [(iso(event.at) or "-", event.step, event.actor, event.reason) for event in events],
    )
