"""NVML itself, through pynvml; no other module imports it.

What a GPU does not support is learnt from the first call and never asked again. ctypes drops the
GIL during a call, so that a call that hangs holds up only its own thread.
"""

from __future__ import annotations

import ctypes
import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any, NoReturn

import pynvml

from agentaflow_exporter.driver import (
    DriverError,
    DriverUnavailable,
    FieldsFailed,
    GpuLost,
    Number,
)

_UNSUPPORTED = frozenset(
    {
        pynvml.NVML_ERROR_NOT_SUPPORTED,
        pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
        pynvml.NVML_ERROR_INVALID_ARGUMENT,
        pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH,
    }
)
_LOST = frozenset(
    {
        pynvml.NVML_ERROR_GPU_IS_LOST,
        pynvml.NVML_ERROR_RESET_REQUIRED,
        pynvml.NVML_ERROR_UNKNOWN,
    }
)
_UNAVAILABLE = frozenset(
    {
        pynvml.NVML_ERROR_UNINITIALIZED,
        pynvml.NVML_ERROR_DRIVER_NOT_LOADED,
        pynvml.NVML_ERROR_LIBRARY_NOT_FOUND,
        pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH,
    }
)
_FIELDS = "nvmlDeviceGetFieldValues"
_UUID = "nvmlDeviceGetUUID"
_FIELD_VALUE = struct.Struct(
    "=IIqqIiQ"
)  # nvmlFieldValue_t: pynvml's own access costs 15 times this


class NvmlDriver:
    """The driver of this machine."""

    def __init__(self) -> None:
        self._unsupported: set[str] = set()
        self._gpus: dict[int, NvmlGpu] = {}
        self._opened = 0

    def open(self) -> None:
        """GPUs answered after this are new ones: handles of an earlier nvmlInit are void."""
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            raise DriverUnavailable(
                f"nvmlInit: {error}", function="nvmlInitWithFlags", code=error.value
            ) from error
        self._opened += 1
        self._unsupported = set()
        self._gpus = {}

    def close(self) -> None:
        """As often as it was opened and no more: nvmlInit is counted, and others may use NVML."""
        while self._opened:
            self._opened -= 1
            try:
                pynvml.nvmlShutdown()
            except pynvml.NVMLError:
                continue  # somebody else shut it down

    def read(self, function: str, *arguments: int) -> Any:
        if function in self._unsupported:
            return None
        try:
            return _function(function)(*arguments)
        except pynvml.NVMLError as error:
            if error.value in _UNSUPPORTED:
                self._unsupported.add(function)
                return None
            _refuse(function, error)

    def gpus(self) -> Sequence[NvmlGpu]:
        """One call. A GPU's handle is taken by its first read, so that one that hangs in it does
        not hold up the others.
        """
        try:
            count = pynvml.nvmlDeviceGetCount()
        except pynvml.NVMLError as error:
            raise DriverUnavailable(
                f"nvmlDeviceGetCount_v2: {error}",
                function="nvmlDeviceGetCount_v2",
                code=error.value,
            ) from error
        for index in range(count):
            if index not in self._gpus:
                self._gpus[index] = NvmlGpu(index)
        return [self._gpus[index] for index in range(count)]


class NvmlGpu:
    """A GPU of one nvmlInit."""

    def __init__(self, index: int) -> None:
        self.index = index
        self._uuid = ""
        self._handle: Any = None
        self._unsupported: set[tuple[str, tuple[int, ...]]] = set()
        self._unsupported_fields: set[int] = set()
        self._asked: tuple[int, ...] = ()
        self._array: Any = None
        self._lock = threading.Lock()

    @property
    def uuid(self) -> str:
        if not self._uuid:
            self._uuid = self.read(_UUID) or ""
        return self._uuid

    def read(self, function: str, *arguments: int) -> Any:
        key = (function, arguments)
        if key in self._unsupported:
            return None
        try:
            return _function(function)(self._attached(), *arguments)
        except pynvml.NVMLError as error:
            if error.value in _UNSUPPORTED:
                if function == _UUID and error.value == pynvml.NVML_ERROR_INVALID_ARGUMENT:
                    message = "the GPU's handle is void: NVML was initialised again"
                    raise GpuLost(message, function=function, code=error.value) from error
                self._unsupported.add(key)
                return None
            _refuse(function, error)

    def fields(self, *ids: int) -> Mapping[int, Number]:
        handle = self._attached()
        with self._lock:
            wanted = tuple(i for i in ids if i not in self._unsupported_fields)
            if not wanted or (_FIELDS, ()) in self._unsupported:
                return {}
            array = self._array_for(wanted)
            code = self._call_fields(handle, len(wanted), array)
            if code in _UNSUPPORTED:
                self._unsupported.add((_FIELDS, ()))
                return {}
            if code != pynvml.NVML_SUCCESS:
                _refuse(_FIELDS, pynvml.NVMLError(code))
            return self._values(array)

    def _attached(self) -> Any:
        if self._handle is None:
            try:
                self._handle = pynvml.nvmlDeviceGetHandleByIndex(self.index)
            except pynvml.NVMLError as error:
                kind = DriverUnavailable if error.value in _UNAVAILABLE else GpuLost
                name = "nvmlDeviceGetHandleByIndex_v2"
                raise kind(f"{name}: {error}", function=name, code=error.value) from error
        return self._handle

    def _array_for(self, ids: tuple[int, ...]) -> Any:
        """The same array as long as the same ids are asked for."""
        if ids != self._asked:
            self._array = (pynvml.c_nvmlFieldValue_t * len(ids))()
            for row, field_id in zip(self._array, ids, strict=True):
                row.fieldId, row.scopeId = field_id & 0xFFFF, field_id >> 16
            self._asked = ids
        return self._array

    @staticmethod
    def _call_fields(handle: Any, count: int, array: Any) -> int:
        try:
            function = getattr(pynvml.nvmlLib, _FIELDS)
        except AttributeError:
            return int(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND)
        return int(function(handle, ctypes.c_int(count), array))

    def _values(self, array: Any) -> dict[int, Number]:
        values: dict[int, Number] = {}
        failed: dict[int, int] = {}
        rows = _FIELD_VALUE.iter_unpack(array)
        for field_id, (_, _, _, _, kind, code, raw) in zip(self._asked, rows, strict=True):
            if code == pynvml.NVML_SUCCESS:
                values[field_id] = decode(kind, raw)
            elif code in _UNSUPPORTED:
                self._unsupported_fields.add(field_id)
            elif code in (pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_RESET_REQUIRED):
                _refuse(_FIELDS, pynvml.NVMLError(code))
            else:
                failed[field_id] = code
        if failed:
            code = next(iter(failed.values()))
            message = f"{_FIELDS}: {pynvml.NVMLError(code)}"
            raise FieldsFailed(message, values, frozenset(failed), code=code)
        return values


def _function(name: str) -> Any:
    """The function of pynvml; one that this pynvml does not have yet is like one the driver lacks.

    pynvml gives some functions a name without the version suffix that the library has.
    """
    try:
        if name in _FILLS:
            structure, fill = _FILLS[name]
            return partial(fill, getattr(pynvml, structure))
        return getattr(pynvml, name)
    except AttributeError:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND) from None


def _fan_rpm(structure: Any, handle: Any, fan: int) -> int:
    """pynvml's own asks for the first fan only."""
    answer = structure(pynvml.nvmlFanSpeedInfo_v1, fan)
    function = pynvml._nvmlGetFunctionPointer("nvmlDeviceGetFanSpeedRPM")
    pynvml._nvmlCheckReturn(function(handle, ctypes.byref(answer)))
    return int(answer.speed)


def _fabric(structure: Any, handle: Any) -> SimpleNamespace:
    """Version 2, which every driver has that tells health. Without the cluster's UUID: it names
    the site.
    """
    answer = structure()
    pynvml.nvmlDeviceGetGpuFabricInfoV(handle, ctypes.byref(answer))
    return SimpleNamespace(state=answer.state, status=answer.status, healthMask=answer.healthMask)


# Functions that fill a structure, which pynvml leaves to its caller, and the structure's name.
_FILLS: Mapping[str, tuple[str, Callable[..., Any]]] = {
    "nvmlDeviceGetFanSpeedRPM": ("c_nvmlFanSpeedInfo_t", _fan_rpm),
    "nvmlDeviceGetGpuFabricInfoV": ("c_nvmlGpuFabricInfo_v2_t", _fabric),
}


def _refuse(function: str, error: Any) -> NoReturn:
    code: int = error.value
    kind: type[DriverError] = DriverError
    if code in _LOST:
        kind = GpuLost
    elif code in _UNAVAILABLE:
        kind = DriverUnavailable
    raise kind(f"{function}: {error}", function=function, code=code) from error


def decode(kind: int, raw: int) -> Number:
    """A member of nvmlValue_t: the bytes of the union beyond the member are not defined."""
    match kind:
        case pynvml.NVML_VALUE_TYPE_DOUBLE:
            (value,) = struct.unpack("=d", raw.to_bytes(8, "little"))
            return float(value)
        case pynvml.NVML_VALUE_TYPE_UNSIGNED_INT:
            return raw & 0xFFFFFFFF
        case pynvml.NVML_VALUE_TYPE_SIGNED_INT:
            return (raw & 0xFFFFFFFF ^ 0x80000000) - 0x80000000
        case pynvml.NVML_VALUE_TYPE_SIGNED_LONG_LONG:
            return (raw ^ 1 << 63) - (1 << 63)
        case pynvml.NVML_VALUE_TYPE_UNSIGNED_SHORT:
            return raw & 0xFFFF
        case _:
            return raw
