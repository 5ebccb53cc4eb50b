"""What the API server may answer instead of yes; apply.py turns each into what follows from it.

ApiTrouble
├── Unanswered  timeout, reset, 429, 5xx, unparsable: it may have happened or not
├── OverBudget  an eviction was refused by a PodDisruptionBudget: it did not happen
├── Conflict    409: the object is not the one that was read
├── Unreadable  a read was refused: nothing can be told
│   └── Following  another process holds the lease: it is not ours to act
├── Rejected    a write was refused, and would be again
└── Unprotected an approval in the API that anybody could have written
"""

from __future__ import annotations


class ApiTrouble(Exception):
    """str() of it is one line with the server's own reason; `code` is its HTTP status, if any."""

    def __init__(self, reason: str, code: int | None = None) -> None:
        super().__init__(reason)
        self.code = code


class Unanswered(ApiTrouble):
    def __init__(
        self, reason: str, code: int | None = None, retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(reason, code)
        self.retry_after_seconds = retry_after_seconds


class OverBudget(ApiTrouble):
    """`retry_after_seconds`: when to ask again; None where that would be for nothing."""

    def __init__(self, reason: str, code: int, retry_after_seconds: float | None) -> None:
        super().__init__(reason, code)
        self.retry_after_seconds = retry_after_seconds


class Conflict(ApiTrouble):
    pass


class Unreadable(ApiTrouble):
    pass


class Following(Unreadable):
    pass


class Rejected(ApiTrouble):
    pass


class Unprotected(ApiTrouble):
    pass
