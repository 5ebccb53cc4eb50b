"""Keeps nvmlShutdown from happening beneath a thread that stays in NVML between scrapes."""

from __future__ import annotations

import threading


class Door:
    """The driver opens and closes it; one other thread goes in and out."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._is_open = False
        self._inside = False
        self._openings = 0
        self._entered = 0

    def open(self) -> None:
        """Whoever is inside since an earlier opening is asked out, and may come in again."""
        with self._changed:
            self._is_open = True
            self._openings += 1
            self._changed.notify_all()

    def close(self, seconds: float) -> bool:
        """Ask whoever is inside to leave; whether that happened in time. If not, it stays open."""
        with self._changed:
            was_open, self._is_open = self._is_open, False
            self._changed.notify_all()
            empty = self._changed.wait_for(lambda: not self._inside, seconds)
            self._is_open = was_open and not empty
            return empty

    def enter(self) -> None:
        """Wait until it is open, and go in."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_open)
            self._inside = True
            self._entered = self._openings

    def leave(self) -> None:
        with self._changed:
            self._inside = False
            self._changed.notify_all()

    def may_stay(self) -> bool:
        """Asked by the one inside."""
        return self._is_open and self._entered == self._openings

    def rest(self, seconds: float) -> None:
        """Stay inside without a call for so long, or until it is time to leave."""
        with self._changed:
            self._changed.wait_for(lambda: not self.may_stay(), seconds)
