"""Durations as Prometheus writes them, in seconds."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator

DAY = 86_400.0
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": DAY, "w": 7 * DAY, "y": 365 * DAY}
_DURATION = re.compile(r"(?:\d+(?:ms|[smhdwy]))+")


def seconds(value: object) -> object:
    """A duration as Prometheus writes it ("7d", "1h30m") in seconds; a number as it is.

    Raises ValueError for any other text.
    """
    if isinstance(value, str) and _DURATION.fullmatch(value):
        parts = re.findall(r"(\d+)(ms|[smhdwy])", value)
        return sum(int(number) * _UNITS[unit] for number, unit in parts)
    if isinstance(value, str):
        try:
            float(value)
        except ValueError:
            raise ValueError("should be seconds or a duration such as 7d or 1h30m") from None
    return value


Seconds = Annotated[float, BeforeValidator(seconds)]
