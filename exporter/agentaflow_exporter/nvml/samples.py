"""nvmlDeviceGetSamples: the rings of samples that the driver keeps, through a buffer of our own."""

from __future__ import annotations

import ctypes
import struct
from bisect import bisect_right
from collections.abc import Mapping
from math import inf
from typing import Any

import pynvml

from agentaflow_exporter.driver import Number
from agentaflow_exporter.nvml.errors import UNSUPPORTED, refuse

NAME = "nvmlDeviceGetSamples"
_BYTES = 16
# nvmlSample_t: a time, and a member of nvmlValue_t, beyond which the union's bytes are not defined.
_RECORDS: Mapping[int, struct.Struct] = {
    pynvml.NVML_VALUE_TYPE_DOUBLE: struct.Struct("=Qd"),
    pynvml.NVML_VALUE_TYPE_UNSIGNED_INT: struct.Struct("=QI4x"),
    pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG: struct.Struct("=QQ"),
    pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG: struct.Struct("=QQ"),
    pynvml.NVML_VALUE_TYPE_SIGNED_LONG_LONG: struct.Struct("=Qq"),
}
_TRIES = 3
_MOST_SAMPLES = 16_384  # 256 KiB; drivers keep about a hundred


class Samples:
    """The rings of one GPU, for one thread at a time."""

    def __init__(self) -> None:
        self._unsupported: set[int] = set()
        self._buffer: Any = None
        self._room = 0

    def read(
        self, handle: Any, sampling_type: int, last_seen: int
    ) -> list[tuple[int, Number]] | None:
        """(time in the driver's own microseconds, value) of those after `last_seen`, oldest first.

        Raises DriverError.
        """
        if sampling_type in self._unsupported:
            return None
        code, kind, count = self._ask(handle, sampling_type, last_seen)
        for _ in range(_TRIES):
            if code != pynvml.NVML_ERROR_INSUFFICIENT_SIZE and (code or self._room):
                break
            self._make_room(handle, sampling_type)
            code, kind, count = self._ask(handle, sampling_type, last_seen)
        if code == pynvml.NVML_ERROR_NOT_FOUND:
            return []
        if code in UNSUPPORTED:
            self._unsupported.add(sampling_type)
            return None
        if code != pynvml.NVML_SUCCESS:
            refuse(NAME, pynvml.NVMLError(code))
        return self._decoded(kind, count, last_seen)

    def ask_again(self) -> None:
        """For what was not supported so far."""
        self._unsupported.clear()

    def _ask(self, handle: Any, sampling_type: int, last_seen: int) -> tuple[int, int, int]:
        """NVML's code, the type of the values, and how many; without a buffer, how many may be."""
        kind, count = ctypes.c_uint(), ctypes.c_uint(self._room)
        try:
            function = getattr(pynvml.nvmlLib, NAME)
        except AttributeError:
            return pynvml.NVML_ERROR_FUNCTION_NOT_FOUND, 0, 0
        code = function(
            handle,
            ctypes.c_uint(sampling_type),
            ctypes.c_ulonglong(last_seen),
            ctypes.byref(kind),
            ctypes.byref(count),
            self._buffer,
        )
        return int(code), kind.value, count.value

    def _make_room(self, handle: Any, sampling_type: int) -> None:
        """For the whole ring and some more, as it may grow until it is read."""
        self._buffer, self._room = None, 0
        _, _, count = self._ask(handle, sampling_type, 0)
        self._room = min(count, _MOST_SAMPLES) + 16
        self._buffer = (ctypes.c_char * (self._room * _BYTES))()

    def _decoded(self, kind: int, count: int, last_seen: int) -> list[tuple[int, Number]]:
        record = _RECORDS.get(kind)
        if record is None:  # a type that no sample has had so far
            return []
        found: list[tuple[int, Number]] = []
        found += record.iter_unpack(memoryview(self._buffer)[: min(count, self._room) * _BYTES])
        found.sort()
        return found[bisect_right(found, (last_seen, inf)) :]
