"""A client of a Dask scheduler that leaves nothing behind where none answers (extra `scale`)."""

from __future__ import annotations

from typing import Any

from distributed import Client


class Connection(Client):  # type: ignore[misc]  # it has no types
    """Where its start fails, `Client` is closed when it is forgotten: 20 s, then a traceback."""

    def start(self, **options: Any) -> None:
        try:
            super().start(**options)
        except BaseException:
            self.status = "closed"
            raise
