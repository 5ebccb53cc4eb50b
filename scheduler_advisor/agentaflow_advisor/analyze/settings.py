"""Bounds for settings: a value out of range is refused with its name and what is allowed."""

from __future__ import annotations

import math


class SettingsError(ValueError):
    """A setting that cannot be meant. `str()` is one line: which, what it is, what is allowed."""


def bounded(name: str, value: float, low: float, high: float, unit: str) -> None:
    """Raise SettingsError unless low <= value <= high (NaN never is)."""
    if not math.isfinite(value) or not low <= value <= high:
        raise SettingsError(f"{name} is {value:g}: give {unit} from {low:g} to {high:g}")
