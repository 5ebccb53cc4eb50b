"""Priority with aging: who waits rises by one level of priority in every so many seconds.

Levels are the different priorities there are, from 0 for the lowest: the numbers of PriorityClasses
have any distance from each other. Since all who wait rise alike, the order of two of them never
changes while they wait, and it is that of `turn`.

The law: among L levels nobody who was submitted more than (L - 1) x aging seconds after another
goes before him. After L x aging seconds one is overdue: no room is given away that he waits for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def levels(priorities: Iterable[int]) -> Mapping[int, int]:
    """Level by priority."""
    return {priority: level for level, priority in enumerate(sorted(set(priorities)))}


def turn(submitted: float, level: int, aging_seconds: float) -> float:
    """When one of level 0 would have had to come to be as far; the smallest goes first."""
    return submitted - level * aging_seconds


def overdue_after_seconds(many: int, aging_seconds: float) -> float:
    """Of waiting, with so many levels."""
    return max(1, many) * aging_seconds
