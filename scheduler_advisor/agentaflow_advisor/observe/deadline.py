"""A total deadline for an HTTP exchange: the timeouts of requests start anew with every byte."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection


class Watch:
    """One exchange under a deadline; `expired` tells why its connection broke."""

    def __init__(self) -> None:
        self.expired = False
        self.sock: socket.socket | None = None

    def cut(self) -> None:
        """Wake the reader. Only shutdown does: a close from another thread leaves recv asleep."""
        self.expired = True
        if self.sock:
            with contextlib.suppress(OSError):  # below TLS, which would negotiate
                socket.socket.shutdown(self.sock, socket.SHUT_RDWR)


_watching = threading.local()


@contextlib.contextmanager
def deadline(seconds: float) -> Iterator[Watch]:
    """Cut the connection that this thread's requests use once the seconds are over."""
    watch = _watching.watch = Watch()
    timer = threading.Timer(seconds, watch.cut)
    timer.daemon = True
    timer.start()
    try:
        yield watch
    finally:
        timer.cancel()
        _watching.watch = None


def _watched(connection: HTTPConnection) -> None:
    """Keep the socket itself: the connection forgets it where the answer ends with its close."""
    watch: Watch | None = getattr(_watching, "watch", None)
    if watch and isinstance(connection.sock, socket.socket):
        watch.sock = connection.sock


class _Plain(HTTPConnection):
    def request(self, *args: Any, **kwargs: Any) -> None:
        super().request(*args, **kwargs)
        _watched(self)


class _Tls(HTTPSConnection):
    def request(self, *args: Any, **kwargs: Any) -> None:
        super().request(*args, **kwargs)
        _watched(self)


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _Tls


_POOLS = {"http": _PlainPool, "https": _TlsPool}


class DeadlineAdapter(HTTPAdapter):
    """requests' adapter, with connections that `deadline` can cut, also those by way of a proxy."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        if not proxy.lower().startswith("socks"):
            manager.pool_classes_by_scheme = _POOLS
        return manager
