"""Days, weeks and months of a time zone's calendar, as spans of Prometheus' clock."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta, tzinfo
from typing import Literal

Calendar = Literal["day", "week", "month"]
SHORTEST_SECONDS = 3600
"""A running period that has just begun proves nothing yet and is left out."""


@dataclass(frozen=True, slots=True)
class Period:
    """From `start` until before `end`, in seconds since the epoch."""

    name: str  # 2026-11-23, 2026-W48 or 2026-11
    start: float
    end: float
    complete: bool  # False: it is still running, and `end` is now
    ends: float  # when it ends, or will

    @property
    def seconds(self) -> float:
        return self.end - self.start


def periods(calendar: Calendar, count: int, now: float, zone: tzinfo) -> tuple[Period, ...]:
    """The newest so many, oldest first; the last one is the one that runs."""
    first = _first_day(calendar, datetime.fromtimestamp(now, zone).date())
    if now - _midnight(first, zone) < SHORTEST_SECONDS:
        first = _before(calendar, first)
    found: list[Period] = []
    for _ in range(count):
        found.append(_period(calendar, first, now, zone))
        first = _before(calendar, first)
    return tuple(reversed(found))


def running_month(now: float, zone: tzinfo) -> Period:
    """The calendar month that runs, however young it is."""
    return _period("month", datetime.fromtimestamp(now, zone).date().replace(day=1), now, zone)


def days_of(span: Period, zone: tzinfo) -> tuple[Period, ...]:
    """The days of a longer period; the last one may still be running."""
    found: list[Period] = []
    day = datetime.fromtimestamp(span.start, zone).date()
    while _midnight(day, zone) < span.end:
        found.append(_period("day", day, span.end, zone))
        day = _after("day", day)
    return tuple(found)


def months_of(span: Period, zone: tzinfo) -> tuple[Period, ...]:
    """The span in parts, none of which reaches over the end of a month; nothing is added to it."""
    found: list[Period] = []
    start = span.start
    while start < span.end:
        first = datetime.fromtimestamp(start, zone).date().replace(day=1)
        end = min(span.end, _midnight(_after("month", first), zone))
        found.append(replace(span, start=start, end=end))
        start = end
    return tuple(found)


def _period(calendar: Calendar, first: date, now: float, zone: tzinfo) -> Period:
    start, ends = _midnight(first, zone), _midnight(_after(calendar, first), zone)
    return Period(_name(calendar, first), start, min(ends, float(int(now))), ends <= now, ends)


def _first_day(calendar: Calendar, day: date) -> date:
    if calendar == "month":
        return day.replace(day=1)
    return day - timedelta(days=day.weekday()) if calendar == "week" else day


def _after(calendar: Calendar, first: date) -> date:
    if calendar == "month":
        return (first + timedelta(days=31)).replace(day=1)
    return first + timedelta(days=7 if calendar == "week" else 1)


def _before(calendar: Calendar, first: date) -> date:
    return _first_day(calendar, first - timedelta(days=1))


def _midnight(day: date, zone: tzinfo) -> float:
    return datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()


def _name(calendar: Calendar, first: date) -> str:
    if calendar == "month":
        return f"{first:%Y-%m}"
    return f"{first:%G-W%V}" if calendar == "week" else first.isoformat()
