"""Waiting to be stopped, without a signal handler.

A handler runs in the middle of whatever the main thread does. `threading.Event.set` in one waits
for good if that was the beginning of `wait` of the same event, for they share a lock.
"""

from __future__ import annotations

import signal
import threading

_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT})


def hold_signals() -> None:
    """Keep SIGTERM and SIGINT for wait(). Before any thread starts: threads inherit it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)


def wait() -> None:
    """Until SIGTERM or SIGINT, which may have come already. In the main thread: a thread that a
    library started before hold_signals() would get them instead, and end the process.

    Not for a time only: where SIGCONT interrupts `signal.sigtimedwait` after its time, CPython's
    answers garbage instead of None, and whoever was paused would stop when it goes on.
    """
    signal.sigwait(_SIGNALS)


def ask() -> None:
    """End wait(), from another thread."""
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
