"""Progress of long work on stderr: a bar where somebody watches, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

_WIDTH = 30
_BAR_EVERY_SECONDS = 0.1
_LINE_EVERY_SECONDS = 5.0


class Progress:
    """Use as a context manager; advance() as steps are done."""

    def __init__(
        self,
        label: str,
        total: int,
        *,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._label = label
        self._total = max(total, 1)
        self._stream = stream or sys.stderr
        self._clock = clock
        self._bar = self._stream.isatty()
        self._done = 0
        self._started = self._shown_at = clock()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self._show("\n")

    def advance(self, steps: int = 1) -> None:
        self._done += steps
        every = _BAR_EVERY_SECONDS if self._bar else _LINE_EVERY_SECONDS
        if self._clock() - self._shown_at >= every:
            self._show("" if self._bar else "\n")

    def _show(self, end: str) -> None:
        self._shown_at = self._clock()
        share = min(self._done / self._total, 1.0)
        seconds = self._shown_at - self._started
        left = f"{seconds / share - seconds:.0f} s left" if 0 < share < 1 else f"{seconds:.1f} s"
        bar = f"[{'#' * int(share * _WIDTH):.<{_WIDTH}}] " if self._bar else ""
        start = "\r\033[K" if self._bar else ""
        self._stream.write(f"{start}{self._label} {bar}{share:4.0%}, {left}{end}")
        self._stream.flush()
