"""Waiting to be stopped, without a signal handler.

A handler runs in the middle of whatever the main thread does. `threading.Event.set` in one waits
for good if that was the beginning of `wait` of the same event, for they share a lock.
"""

from __future__ import annotations

import signal

_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT})


def hold_signals() -> None:
    """Keep SIGTERM and SIGINT for wait(). Before any thread starts: threads inherit it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)


def wait() -> None:
    """Until SIGTERM or SIGINT, which may have come already."""
    signal.sigwait(_SIGNALS)


def wait_for(seconds: float) -> bool:
    """The same for so long at most; whether one has come."""
    return signal.sigtimedwait(_SIGNALS, seconds) is not None
