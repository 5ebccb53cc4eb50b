"""A thread that reads what would be lost if the next scrape came late, such as rings of samples."""

from __future__ import annotations

import threading
from typing import Protocol


class Ticking(Protocol):
    """What the ticker needs of a Scraper."""

    def tick(self, interval_seconds: float) -> float:
        """Read if it is time to; how many seconds there are until it may be."""
        ...


class Ticker:
    """Reads in the background wherever no scrape came for `interval_seconds`."""

    def __init__(self, scraper: Ticking, interval_seconds: float) -> None:
        self._scraper = scraper
        self._interval_seconds = interval_seconds
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ticker", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_seconds: float = 1.0) -> None:
        """No tick starts after this; one that hangs in the driver is left behind."""
        self._stopped.set()
        self._thread.join(timeout_seconds)

    def _run(self) -> None:
        wait = self._interval_seconds
        while not self._stopped.wait(wait):
            wait = self._scraper.tick(self._interval_seconds)
