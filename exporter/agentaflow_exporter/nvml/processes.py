"""The processes of a GPU: without pynvml's question about the size before each answer, and without
allocating whatever size the driver tells.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pynvml

UTILIZATION = "nvmlDeviceGetProcessUtilization"
_SAMPLE = struct.Struct("=I4xQIIII")  # nvmlProcessUtilizationSample_t
_PROCESS = struct.Struct("=I4xQII")  # nvmlProcessInfo_t of versions 2 and 3
_ROOM = 128  # rows; 3 or 4 KiB
_MOST_ROWS = 32_768  # a driver that tells of more is not believed
_MOST_QUESTIONS = 4  # processes may start between the size and the answer


def utilization(structure: Any, handle: Any, last_seen: int) -> list[list[int]]:
    """[pid, microseconds, SM percent] of each sample after `last_seen`; none where all are idle."""
    del structure
    function = pynvml._nvmlGetFunctionPointer(UTILIZATION)
    since = ctypes.c_ulonglong(last_seen)
    code, rows = _rows(_SAMPLE, lambda room, count: function(handle, room, count, since))
    if code == pynvml.NVML_ERROR_NOT_FOUND:
        return []
    pynvml._nvmlCheckReturn(code)
    return [[pid, time, sm] for pid, time, sm, *_ in rows]


def running(symbol: str, structure: Any, handle: Any) -> list[SimpleNamespace]:
    """The processes of one kind, as pynvml calls their fields; memory that is not told is None."""
    del structure
    function = pynvml._nvmlGetFunctionPointer(symbol)
    code, rows = _rows(_PROCESS, lambda room, count: function(handle, count, room))
    pynvml._nvmlCheckReturn(code)
    untold = pynvml.NVML_VALUE_NOT_AVAILABLE_ulonglong.value
    return [
        SimpleNamespace(
            pid=pid,
            usedGpuMemory=None if memory == untold else memory,
            gpuInstanceId=gpu_instance,
            computeInstanceId=compute_instance,
        )
        for pid, memory, gpu_instance, compute_instance in rows
    ]


def _rows(
    record: struct.Struct, ask: Callable[[Any, Any], int]
) -> tuple[int, list[tuple[int, ...]]]:
    """NVML's code, and the rows of what `ask` wrote into a buffer that was large enough."""
    room = _ROOM
    for _ in range(_MOST_QUESTIONS):
        count = ctypes.c_uint(room)
        buffer = ctypes.create_string_buffer(room * record.size)
        code = ask(buffer, ctypes.byref(count))
        if code != pynvml.NVML_ERROR_INSUFFICIENT_SIZE or count.value > _MOST_ROWS:
            break
        room = max(2 * room, count.value + _ROOM)
    written = min(count.value, room) * record.size
    return code, list(record.iter_unpack(memoryview(buffer)[:written]))
