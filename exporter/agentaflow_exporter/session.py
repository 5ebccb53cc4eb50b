"""Keeps the driver open: opens it when it appears, and again, with backoff, when it has failed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from agentaflow_exporter.driver import Driver, DriverError, DriverUnavailable, Gpu

FIRST_RETRY_SECONDS = 1.0
LONGEST_RETRY_SECONDS = 60.0


class Session:
    """Used by one thread at a time. Nothing runs in the background: each scrape asks for gpus()."""

    def __init__(self, driver: Driver, clock: Callable[[], float]) -> None:
        self.driver = driver
        self._clock = clock
        self._opened = False
        self._suspect = False
        self._retry_at = 0.0
        self._backoff = FIRST_RETRY_SECONDS
        self._reason = DriverUnavailable("not opened yet")

    def gpus(self, *, idle: bool) -> Sequence[Gpu]:
        """The GPUs enumerated now, after (re)opening if that is due. Raises DriverUnavailable.

        `idle` says that no other call is under way: nvmlShutdown beneath one is not safe.
        """
        if self._clock() >= self._retry_at and (not self._opened or (self._suspect and idle)):
            self._open(may_close=idle)
        if not self._opened:
            raise self._reason
        try:
            return self.driver.gpus()
        except DriverError as error:
            self._opened = False
            self._reason = _unavailable(error)
            raise self._reason from error

    def judge(self, *, healthy: bool) -> None:
        """If a GPU is lost, nvmlInit again when the backoff allows: only that finds it again."""
        self._suspect = not healthy
        if healthy:
            self._backoff = FIRST_RETRY_SECONDS

    def _open(self, *, may_close: bool) -> None:
        self._retry_at = self._clock() + self._backoff
        self._backoff = min(2 * self._backoff, LONGEST_RETRY_SECONDS)
        if may_close:
            self.driver.close()
        try:
            self.driver.open()
        except DriverError as error:
            self._opened = False
            self._reason = _unavailable(error)
        else:
            self._opened = True
            self._suspect = False


def _unavailable(error: DriverError) -> DriverUnavailable:
    if isinstance(error, DriverUnavailable):
        return error
    return DriverUnavailable(str(error), function=error.function, code=error.code)
