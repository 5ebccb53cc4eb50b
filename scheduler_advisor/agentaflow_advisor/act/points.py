"""The named points on a decision's way, at each of which a process may die and nothing is lost."""

from __future__ import annotations

from enum import StrEnum


class Point(StrEnum):
    AFTER_JUDGEMENT = "after-judgement"
    BEFORE_INTENT = "before-intent"
    AFTER_INTENT = "after-intent"
    AFTER_REHEARSAL = "after-rehearsal"
    AFTER_WRITE = "after-write"
    BEFORE_SETTLING = "before-settling"
    AFTER_SETTLING = "after-settling"
    BEFORE_UNDO = "before-undo"
    AFTER_UNDO = "after-undo"
