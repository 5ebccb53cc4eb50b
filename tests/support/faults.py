"""The rows of the fault matrix, and the count of the cases of one test.

E1  no NVML library or no driver at the start, and later there
E2  a GPU is lost, or must be reset, while it is watched
E3  any NVML function that is called returns any NVML error
E4  a call hangs for a minute
E5  answers that cannot be true
E6  the driver is loaded again: its counters start at nothing
E7  GPUs come, go and change places
E8  clients that stall
E9  hostile requests
E10 thousands of scrapes
E11 no file descriptors, and a log that cannot be written
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class FaultCases:
    """The cases of one test that has many: each is tried, whatever became of those before it."""

    def __init__(self) -> None:
        self.survived = 0
        self.failures: list[str] = []

    @contextmanager
    def case(self, *what: object) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self.failures.append(f"{what}: {type(error).__name__}: {error}")
        else:
            self.survived += 1

    def count(self, cases: int = 1) -> None:
        """For a test that ends at its first failure: so many cases were survived."""
        self.survived += cases

    def check(self) -> None:
        assert not self.failures, "\n".join(self.failures[:20])
