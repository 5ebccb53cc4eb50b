"""nvmlDeviceGetProcessUtilization, without pynvml's question about the size before each answer."""

from __future__ import annotations

import ctypes
import struct
from typing import Any

import pynvml

NAME = "nvmlDeviceGetProcessUtilization"
_SAMPLE = struct.Struct("=I4xQIIII")  # nvmlProcessUtilizationSample_t
_ROOM = 128  # samples; 4 KiB
_MOST_QUESTIONS = 4  # processes may start between the size and the answer


def utilization(structure: Any, handle: Any, last_seen: int) -> list[list[int]]:
    """[pid, microseconds, SM percent] of each sample after `last_seen`; none where all are idle."""
    del structure
    function = pynvml._nvmlGetFunctionPointer(NAME)
    room = _ROOM
    for _ in range(_MOST_QUESTIONS):
        count = ctypes.c_uint(room)
        samples = ctypes.create_string_buffer(room * _SAMPLE.size)
        code = function(handle, samples, ctypes.byref(count), ctypes.c_ulonglong(last_seen))
        if code != pynvml.NVML_ERROR_INSUFFICIENT_SIZE:
            break
        room = max(2 * room, count.value + _ROOM)
    if code == pynvml.NVML_ERROR_NOT_FOUND:
        return []
    pynvml._nvmlCheckReturn(code)
    rows = _SAMPLE.iter_unpack(samples.raw[: min(count.value, room) * _SAMPLE.size])
    return [[pid, time, sm] for pid, time, sm, *_ in rows]
