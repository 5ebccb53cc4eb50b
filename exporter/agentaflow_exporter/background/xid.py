"""Waits for NVML's Xid events, which nobody else keeps: one that is not waited for is gone.

The waits are short, because the driver cannot be closed beneath one (nvml/door.py), and it must be
to find a lost GPU again. What happens between closing and opening is missed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Protocol

from agentaflow_exporter.crew import Job, ThreadCrew
from agentaflow_exporter.driver import DriverError
from agentaflow_exporter.log import Log
from agentaflow_exporter.xids import BY_EVENTS, Tally, Xids

_WAIT_MILLISECONDS = 200
_REGISTRATION_SECONDS = 1.0  # then those that hang are left behind
_PENDING_SECONDS = 0.2
_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 60.0


class EventSource(Protocol):
    """nvml/events.py tells what each does."""

    def enter(self) -> None: ...
    def leave(self) -> None: ...
    def may_stay(self) -> bool: ...
    def rest(self, seconds: float) -> None: ...
    def create(self) -> int: ...
    def register(self, index: int) -> str | None: ...
    def wait(self, milliseconds: int) -> tuple[str, int] | None: ...
    def free(self) -> None: ...


class XidWatcher:
    """A daemon thread and its tally; calls answer what was counted since it was started."""

    def __init__(
        self,
        events: EventSource,
        log: Log,
        clock: Callable[[], float] = time.time,
        retry_seconds: float = 30.0,
        hangs_seconds: float = 5.0,
    ) -> None:
        """After `retry_seconds` a GPU that failed to register is tried again; a wait that takes
        `hangs_seconds` is a failure.
        """
        self._events = events
        self._retry_seconds = retry_seconds
        self._hangs_seconds = hangs_seconds
        self._log = log
        self._clock = clock
        self._tally = Tally(BY_EVENTS)
        self._refused: dict[int, str] = {}
        self._failure = ""
        self._wait_began: float | None = None
        self._thread = threading.Thread(target=self._run, name="xid", daemon=True)
        self._thread.start()

    def __call__(self) -> Xids:
        """Counts of an earlier time are true of that time, but nothing is being added."""
        if not self._thread.is_alive():
            raise RuntimeError("the thread that waits for Xid events has ended")
        began, failure = self._wait_began, self._failure
        if began is not None and time.monotonic() - began > self._hangs_seconds:
            failure = "nvmlEventSetWait_v2 hangs"
        return self._tally.xids(failure)

    def _run(self) -> None:
        """A lost GPU in the set can make every wait fail at once: hence the pauses."""
        pause = _FIRST_PAUSE_SECONDS
        while True:
            self._events.enter()
            try:
                self._watch()
                pause = _FIRST_PAUSE_SECONDS
            except DriverError as error:
                self._failed(str(error))
                self._events.rest(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
            finally:
                self._events.leave()

    def _watch(self) -> None:
        """Until the driver is about to be closed. Raises DriverError."""
        jobs: dict[int, Job] = {}
        try:
            todo = list(range(self._events.create()))
            while self._events.may_stay():
                jobs |= self._register(todo)
                again = time.monotonic() + self._retry_seconds
                while self._events.may_stay() and time.monotonic() < again:
                    if self._adopt(jobs):
                        self._wait()
                    else:
                        self._events.rest(_PENDING_SECONDS)
                todo = [i for i, job in jobs.items() if isinstance(job.answer, DriverError)]
        finally:
            while any(job.hangs for job in jobs.values()):  # in the set that is to be freed
                time.sleep(_PENDING_SECONDS)
            self._events.free()

    def _register(self, gpus: Iterable[int]) -> dict[int, Job]:
        jobs = {index: Job(partial(self._events.register, index)) for index in gpus}
        crew = ThreadCrew(time.monotonic)
        crew.run(list(jobs.values()), _REGISTRATION_SECONDS)
        crew.close()
        return jobs

    def _adopt(self, jobs: dict[int, Job]) -> int:
        """How many GPUs are registered now; one that hung may be so at any time."""
        uuids = [job.answer for job in jobs.values() if isinstance(job.answer, str)]
        for uuid in uuids:
            self._tally.watch(uuid)
        for index, job in jobs.items():
            if job.finished and not isinstance(job.answer, str):
                self._refuse(index, str(job.answer or "not supported"))
        return len(uuids)

    def _refuse(self, index: int, reason: str) -> None:
        if self._refused.get(index) != reason:
            self._log.info("Xid events of a GPU are not watched", gpu=index, reason=reason)
        self._refused[index] = reason

    def _wait(self) -> None:
        self._wait_began = time.monotonic()
        try:
            event = self._events.wait(_WAIT_MILLISECONDS)
        finally:
            self._wait_began = None
        self._failure = ""
        if event is not None:
            self._tally.count(*event, self._clock())

    def _failed(self, reason: str) -> None:
        if reason != self._failure:
            self._log.warning("Xid events cannot be waited for, trying again", reason=reason)
        self._failure = reason
