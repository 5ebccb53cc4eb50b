"""Durations as Prometheus writes them: 7d, 1h30m, 250ms."""

from __future__ import annotations

import re

_UNITS = {
    "y": 365 * 86_400.0,
    "w": 7 * 86_400.0,
    "d": 86_400.0,
    "h": 3600.0,
    "m": 60.0,
    "s": 1.0,
    "ms": 0.001,
}
_DURATION = re.compile("".join(rf"(?:([0-9]+){unit})?" for unit in _UNITS))


def parse_duration(text: str) -> float:
    """Seconds, more than none. Raises ValueError."""
    match = _DURATION.fullmatch(text)
    amounts = match.groups("0") if match else ()
    seconds = sum(int(n) * size for n, size in zip(amounts, _UNITS.values(), strict=False))
    if seconds <= 0:
        raise ValueError(f"{text!r} is not a duration: write for instance 7d, 1h30m or 60s")
    return seconds
