"""nvmlDeviceGetFieldValues: many readings in one call, through an array that is used again."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Mapping
from typing import Any

import pynvml

from agentaflow_exporter.driver import Number
from agentaflow_exporter.nvml.errors import UNSUPPORTED, partly, refuse

NAME = "nvmlDeviceGetFieldValues"
# The end of nvmlFieldValue_t: type, code, value. pynvml's own access costs 15 times this.
_FIELD_VALUE = struct.Struct("=24xIiQ")
_SUCCESS = int(pynvml.NVML_SUCCESS)
_MASKS = {
    pynvml.NVML_VALUE_TYPE_UNSIGNED_INT: 2**32 - 1,
    pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG: 2**64 - 1,
    pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG: 2**64 - 1,
    pynvml.NVML_VALUE_TYPE_UNSIGNED_SHORT: 2**16 - 1,
}


class Fields:
    """Those of one GPU, for one thread at a time. Unsupported ones are asked for once."""

    def __init__(self) -> None:
        self._unsupported: set[int] = set()
        self._none_supported = False
        self._wanted: tuple[int, ...] = ()
        self._asked: tuple[int, ...] = ()
        self._array: Any = None

    def read(self, handle: Any, ids: tuple[int, ...]) -> Mapping[int, Number]:
        """Raises FieldsFailed where single fields failed, or another DriverError."""
        array = self._array_for(ids)
        if not self._asked or self._none_supported:
            return {}
        code = _call(handle, len(self._asked), array)
        if code in UNSUPPORTED:
            self._none_supported = True
            return {}
        if code != pynvml.NVML_SUCCESS:
            refuse(NAME, pynvml.NVMLError(code))
        return self._values(array)

    def _array_for(self, ids: tuple[int, ...]) -> Any:
        """The same array as long as the same ids are wanted and all of them are supported."""
        if ids != self._wanted or not self._unsupported.isdisjoint(self._asked):
            self._wanted = ids
            self._asked = tuple(i for i in ids if i not in self._unsupported)
            self._array = (pynvml.c_nvmlFieldValue_t * len(self._asked))()
            for row, field_id in zip(self._array, self._asked, strict=True):
                row.fieldId, row.scopeId = field_id & 0xFFFF, field_id >> 16
        return self._array

    def _values(self, array: Any) -> dict[int, Number]:
        values: dict[int, Number] = {}
        failed: dict[int, int] = {}
        rows = _FIELD_VALUE.iter_unpack(array)
        for field_id, (kind, code, raw) in zip(self._asked, rows, strict=True):
            if code == _SUCCESS:
                mask = _MASKS.get(kind)
                values[field_id] = decode(kind, raw) if mask is None else raw & mask
            elif code in UNSUPPORTED:
                self._unsupported.add(field_id)
            else:
                failed[field_id] = code
        told: dict[int, Number] = partly(NAME, values, failed)
        return told


def _call(handle: Any, count: int, array: Any) -> int:
    try:
        function = getattr(pynvml.nvmlLib, NAME)
    except AttributeError:
        return int(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND)
    return int(function(handle, ctypes.c_int(count), array))


def decode(kind: int, raw: int) -> Number:
    """A member of nvmlValue_t: the bytes of the union beyond the member are not defined."""
    match kind:
        case pynvml.NVML_VALUE_TYPE_DOUBLE:
            (value,) = struct.unpack("=d", raw.to_bytes(8, "little"))
            return float(value)
        case pynvml.NVML_VALUE_TYPE_SIGNED_INT:
            return (raw & 0xFFFFFFFF ^ 0x80000000) - 0x80000000
        case pynvml.NVML_VALUE_TYPE_SIGNED_LONG_LONG:
            return (raw ^ 1 << 63) - (1 << 63)
        case _:
            return raw & _MASKS.get(kind, raw)
