"""A client of a Dask scheduler that leaves nothing behind where none answers (extra `scale`)."""

from __future__ import annotations

import asyncio
from typing import Any

from distributed import Client

CONNECT_SECONDS = 10
START_SECONDS = 12  # with the handshake and the versions


class Connection(Client):  # type: ignore[misc]  # it has no types
    """Where its start fails, `Client` is closed when it is forgotten: 20 s, then a traceback."""

    def __init__(self, address: str) -> None:
        super().__init__(address, timeout=CONNECT_SECONDS, set_as_default=False)

    def start(self, **options: Any) -> None:
        try:
            super().start(**options)
        except BaseException:
            self.status = "closed"
            raise

    async def _start(self, *args: Any, **options: Any) -> Client:
        """`Client`'s timeout ends with the connection: for a handshake it waits without end."""
        try:
            return await asyncio.wait_for(super()._start(*args, **options), START_SECONDS)
        except TimeoutError as error:
            raise TimeoutError(f"no handshake of Dask within {START_SECONDS} s") from error
