"""Xid errors: the codes worth a 0 before they happen, and how often each came on each GPU.

The codes are NVIDIA's, from the Xid catalog (docs.nvidia.com/deploy/xid-errors).
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import NamedTuple

# What each says of the board is the advisor's table (analyze/xids.py), which need not be here.
BY_KERNEL_LOG = (13, 31, 43, 45, 109, 48, 62, 63, 64, 74, 79, 92, 94, 95, 119, 120, 140, 143)
# NVML has no event for 62 (NVIDIA/DCGM issue 235), so that its 0 would mean nothing.
BY_EVENTS = tuple(code for code in BY_KERNEL_LOG if code != 62)
OTHER = "other"
MOST_UNEXPECTED = 32  # codes of one GPU that are not expected; any further ones are OTHER


class Xid(NamedTuple):
    total: int
    last_seconds: float | None  # Unix time; None: never


class Xids(NamedTuple):
    """Since the exporter started, of the GPUs that are watched; others are not there."""

    gpus: Mapping[str, Mapping[str, Xid]]  # uuid → code → Xid
    last: Mapping[str, int]  # uuid → the last code; 0: none yet
    failure: str = ""  # why nothing is added to the counts at present
    overruns: int | None = None  # of the kernel's log, where that is the source


NEVER = Xid(0, None)


class Tally:
    """One thread counts while another asks. Never longer than the GPUs and their codes."""

    def __init__(self, expected: Iterable[int]) -> None:
        self._expected = {str(code): NEVER for code in expected}
        self._gpus: dict[str, dict[str, Xid]] = {}
        self._last: dict[str, int] = {}
        self._lock = threading.Lock()

    def watch(self, uuid: str) -> None:
        """From now on the GPU's counts are known, if only to be 0."""
        with self._lock:
            self._gpus.setdefault(uuid, dict(self._expected))
            self._last.setdefault(uuid, 0)

    def count(self, uuid: str, code: int, seconds: float) -> None:
        self.watch(uuid)
        with self._lock:
            codes = self._gpus[uuid]
            key = str(code)
            if key not in codes and len(codes) >= len(self._expected) + MOST_UNEXPECTED:
                key = OTHER
            codes[key] = Xid(codes.get(key, NEVER).total + 1, seconds)
            self._last[uuid] = code

    def xids(self, failure: str = "", overruns: int | None = None) -> Xids:
        with self._lock:
            gpus = {uuid: dict(codes) for uuid, codes in self._gpus.items()}
            return Xids(gpus, dict(self._last), failure, overruns)
