"""Threads for calls that may hang: one does all the work, and another only when it is held up.

An NVML call on a sick GPU can block for good and cannot be cancelled. Its thread stays with it and
the rest of the work goes to the next thread, so that there are never more threads than one for
each GPU that hangs and one more. A thread that is not needed any more is let go: kept, it would
cost a quarter of a MiB. Spreading healthy GPUs over threads would gain nothing: they take
well under a millisecond each, and would spend more than that on handing the GIL around.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any, Protocol

HELD_UP_AFTER_SECONDS = 0.01


class Job:
    """A call and what came of it: the answer or the exception, once it is finished."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self.started = False
        self.finished = False
        self.answer: Any = None
        self._call = call

    @property
    def hangs(self) -> bool:
        return self.started and not self.finished

    def run(self) -> None:
        self.started = True
        try:
            self.answer = self._call()
        except Exception as error:
            self.answer = error
        self.finished = True


class Crew(Protocol):
    """Used by one thread at a time."""

    def run(self, jobs: Sequence[Job], seconds: float) -> None:
        """Come back when all jobs are finished or the time is up; no job starts after that."""
        ...

    def close(self) -> None:
        """Let go of every thread that does not hang."""
        ...


class InlineCrew:
    """The caller's own thread: for drivers that cannot hang, such as a simulation."""

    def run(self, jobs: Sequence[Job], seconds: float) -> None:
        del seconds
        for job in jobs:
            job.run()

    def close(self) -> None:
        """There is nothing to let go of."""


class ThreadCrew:
    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._idle: list[_Hand] = []
        self._hired = 0

    def run(self, jobs: Sequence[Job], seconds: float) -> None:
        todo, reports = deque(jobs), SimpleQueue[None]()
        deadline = self._clock() + seconds
        at_work, held_up = 0, False
        while todo or at_work:
            left = deadline - self._clock()
            if left <= 0:
                break
            if todo and (held_up or not at_work):
                self._hand().take(todo, reports)
                at_work += 1
            before = len(todo)
            try:
                reports.get(timeout=min(left, HELD_UP_AFTER_SECONDS) if before else left)
                at_work -= 1
            except Empty:
                held_up = len(todo) == before
        todo.clear()
        self._keep(1)

    def close(self) -> None:
        self._keep(0)

    def _keep(self, hands: int) -> None:
        while len(self._idle) > hands:
            self._idle.pop().dismiss()

    def _hand(self) -> _Hand:
        try:
            return self._idle.pop()
        except IndexError:
            self._hired += 1
            return _Hand(f"nvml-{self._hired}", self._idle)


class _Hand:
    """A thread that works lists off, and calls itself idle in between."""

    def __init__(self, name: str, idle: list[_Hand]) -> None:
        self._idle = idle
        self._lists: SimpleQueue[tuple[deque[Job], SimpleQueue[None]] | None] = SimpleQueue()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def take(self, todo: deque[Job], reports: SimpleQueue[None]) -> None:
        self._lists.put((todo, reports))

    def dismiss(self) -> None:
        self._lists.put(None)

    def _run(self) -> None:
        while order := self._lists.get():
            todo, reports = order
            while todo:
                try:
                    job = todo.popleft()
                except IndexError:  # another hand was quicker
                    break
                job.run()
                del job
            self._idle.append(self)
            reports.put(None)
            del order, todo, reports  # a waiting thread keeps nothing of the last scrape alive
