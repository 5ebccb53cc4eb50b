"""One heap for all threads: glibc gives each its own, which a program with one interpreter lock
pays for and gains nothing by.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress

_M_ARENA_MAX = -8  # malloc.h


def share() -> None:
    """To be called before the first thread starts. Without glibc it does nothing."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)
