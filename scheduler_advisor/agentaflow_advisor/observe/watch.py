"""A view of all objects of one kind, kept up to date: list once, then watch, and list anew on 410.

Only what `convert` makes of an object is kept, page by page and event by event, so that thousands
of pods take little memory.
"""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import httpx2
import msgspec
from lightkube.config import client_adapter
from lightkube.config.kubeconfig import SingleConfig

T = TypeVar("T")
PAGE = 500
SERVER_SECONDS = 290
"""How long the API server keeps a watch open: then it is asked anew, from where it was."""
SILENT_SECONDS = 75.0
"""Bookmarks come about once a minute: a watch that is silent for longer is dead (half-open)."""
FIRST_BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS = 0.2, 30.0
GONE = 410


class _Meta(msgspec.Struct):
    uid: str = ""
    resourceVersion: str = ""  # noqa: N815 the API's name
    continue_: str = msgspec.field(name="continue", default="")


class _Head(msgspec.Struct):
    metadata: _Meta = msgspec.field(default_factory=_Meta)


class _Page(msgspec.Struct):
    items: list[msgspec.Raw] = msgspec.field(default_factory=list)
    metadata: _Meta = msgspec.field(default_factory=_Meta)


class _Event(msgspec.Struct):
    type: str
    object: msgspec.Raw


class _Status(msgspec.Struct):
    code: int = 0
    message: str = ""


class Expired(Exception):
    """The resourceVersion is too old (410): only a list tells what is there now."""


@dataclass(slots=True)
class Watch(Generic[T]):
    """`start()`, then `items()`; `ready` once the first list is in. `path` as /api/v1/pods."""

    config: SingleConfig
    path: str
    convert: Callable[[bytes], T | None]  # None: of no interest
    silent_seconds: float = SILENT_SECONDS
    relists: int = 0  # lists after the first
    events: int = 0
    trouble: str = ""  # why it does not follow at the moment
    following: bool = False
    ready: threading.Event = field(default_factory=threading.Event)
    _jitter: random.Random = field(default_factory=random.Random)
    _items: dict[str, T] = field(default_factory=dict)  # by uid
    _version: str = ""
    _heard_at: float = 0.0  # monotonic
    _pause_seconds: float = FIRST_BACKOFF_SECONDS  # before the next try, where this one fails
    _lists: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _answering: socket.socket | None = None  # of the watch that is under way

    def start(self) -> None:
        """Follow in a thread from now on."""
        self._thread = threading.Thread(target=self._run, name=f"watch {self.path}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; what was seen stays.

        The thread itself closes its socket: closed from here, TLS would go on reading and writing
        at its number, which the next file that is opened gets.
        """
        self._stop.set()
        if (answering := self._answering) is not None:
            with suppress(OSError):  # it has just ended by itself
                socket.socket.shutdown(answering, socket.SHUT_RDWR)
        if self._thread is not None:
            self._thread.join(2.0)

    def items(self) -> tuple[T, ...]:
        """As they were at the newest event."""
        with self._lock:
            return tuple(self._items.values())

    def age_seconds(self) -> float:
        """Since the API server last said anything; infinite before its first word."""
        return time.monotonic() - self._heard_at if self._heard_at else float("inf")

    # -- the thread -----------------------------------------------------------

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with self._connect() as http:
                    if not self._version:
                        self._list(http)
                    self._follow(http)
                self._stop.wait(FIRST_BACKOFF_SECONDS)  # what ends at once is not asked at once
            except Expired:
                self._version = ""
                self._stop.wait(FIRST_BACKOFF_SECONDS)
            except (httpx2.HTTPError, msgspec.MsgspecError, RuntimeError, OSError) as error:
                if not self._stop.is_set():
                    self.trouble = f"{type(error).__name__}: {error}"
                    self._stop.wait(self._pause_seconds * self._jitter.uniform(0.5, 1.0))
                    self._pause_seconds = min(2 * self._pause_seconds, LONGEST_BACKOFF_SECONDS)
            finally:
                self.following, self._answering = False, None

    def _connect(self) -> httpx2.Client:
        timeout = httpx2.Timeout(10.0, read=self.silent_seconds)
        return client_adapter.Client(self.config, client_adapter.ConnectionParams(timeout=timeout))

    def _list(self, http: httpx2.Client) -> None:
        """Page by page; what is not in the list is gone."""
        found: dict[str, T] = {}
        version = token = ""
        while True:
            page = self._page(http, token)
            for raw in page.items:
                uid = msgspec.json.decode(raw, type=_Head).metadata.uid
                if (item := self.convert(bytes(raw))) is not None:
                    found[uid] = item
            version, token = page.metadata.resourceVersion, page.metadata.continue_
            if not token:
                break
        with self._lock:
            self._items, self._version = found, version
        self._heard()
        self._lists += 1
        self.relists = self._lists - 1
        self.ready.set()

    def _page(self, http: httpx2.Client, token: str) -> _Page:
        asked: dict[str, Any] = {"limit": PAGE, **({"continue": token} if token else {})}
        answer = http.get(self.path, params=asked)
        if answer.status_code == GONE:
            raise Expired
        answer.raise_for_status()
        return msgspec.json.decode(answer.content, type=_Page)

    def _follow(self, http: httpx2.Client) -> None:
        """Until the API server ends it, which is no trouble."""
        asked = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": str(SERVER_SECONDS),
        }
        with http.stream("GET", self.path, params=asked) as answer:
            if answer.status_code == GONE:
                raise Expired
            answer.raise_for_status()
            self.following, self.trouble = True, ""
            self._answering = answer.extensions["network_stream"].get_extra_info("socket")
            lines = _lines(answer)
            while not self._stop.is_set() and (line := next(lines, None)):
                self._take(msgspec.json.decode(line, type=_Event))

    def _heard(self) -> None:
        self._heard_at, self._pause_seconds = time.monotonic(), FIRST_BACKOFF_SECONDS

    def _take(self, event: _Event) -> None:
        """One change. Old ones and doubles do no harm: nothing goes back behind what was seen."""
        if event.type == "ERROR":
            status = msgspec.json.decode(event.object, type=_Status)
            if status.code == GONE:
                raise Expired
            raise RuntimeError(f"the watch ended: {status.code} {status.message}")
        self._heard()
        head = msgspec.json.decode(event.object, type=_Head).metadata
        if _older(head.resourceVersion, self._version):
            return
        item = None
        if event.type in ("ADDED", "MODIFIED"):
            item = self.convert(bytes(event.object))
        with self._lock:
            if event.type != "BOOKMARK":
                self.events += 1
                if item is None:
                    self._items.pop(head.uid, None)
                else:
                    self._items[head.uid] = item
            self._version = head.resourceVersion or self._version


def _older(version: str, seen: str) -> bool:
    """Whether it comes before what was seen already, or is that; decimal ones are ordered
    (KEP-5504, all objects of a resource together), of others nothing is known.
    """
    if not (version.isdecimal() and seen.isdecimal()):
        return False
    return int(version) <= int(seen)


def _lines(answer: httpx2.Response) -> Iterator[bytes]:
    """Of a stream, each without its end; many at a time where many came."""
    rest = b""
    for chunk in answer.iter_bytes():
        *whole, rest = (rest + chunk).split(b"\n")
        yield from filter(None, whole)
