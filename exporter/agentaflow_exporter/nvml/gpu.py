"""One GPU through pynvml. What it does not support is learnt from the first call."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import pynvml

from agentaflow_exporter.driver import DriverUnavailable, GpuLost, Number
from agentaflow_exporter.nvml.errors import UNAVAILABLE, UNSUPPORTED, refuse
from agentaflow_exporter.nvml.fields import Fields
from agentaflow_exporter.nvml.functions import function as function_named
from agentaflow_exporter.nvml.gpm import NAME as GPM
from agentaflow_exporter.nvml.gpm import Gpm
from agentaflow_exporter.nvml.samples import NAME as SAMPLES
from agentaflow_exporter.nvml.samples import Samples

_UUID = "nvmlDeviceGetUUID"
_MIG_MODE = "nvmlDeviceGetMigMode"
_MIG_HANDLE = "nvmlDeviceGetMigDeviceHandleByIndex"


class NvmlGpu:
    """A GPU of one nvmlInit."""

    def __init__(self, index: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.index = index
        self._uuid = ""
        self._handle: Any = None
        self._unsupported: set[tuple[str, tuple[int, ...]]] = set()
        self._mig_mode: list[int] | None = None
        self._fields = Fields()
        self._gpm = Gpm(clock)
        self._samples = Samples()
        # Functions that need more than their arguments: buffers, or what was answered before.
        self._stateful: Mapping[str, Callable[..., Any]] = {
            GPM: self._gpm.read,
            SAMPLES: self._samples.read,
        }
        self._lock = threading.Lock()

    @property
    def uuid(self) -> str:
        if not self._uuid:
            self._uuid = self.read(_UUID) or ""
        return self._uuid

    def read(self, function: str, *arguments: int) -> Any:
        stateful = self._stateful.get(function)
        if stateful is not None:
            with self._lock:
                return stateful(self._attached(), *arguments)
        key = (function, arguments)
        if key in self._unsupported:
            return None
        try:
            answer = function_named(function)(self._attached(), *arguments)
        except pynvml.NVMLError as error:
            if error.value in UNSUPPORTED:
                if function == _UUID and error.value == pynvml.NVML_ERROR_INVALID_ARGUMENT:
                    message = "the GPU's handle is void: NVML was initialised again"
                    raise GpuLost(message, function=function, code=error.value) from error
                self._unsupported.add(key)
                return None
            refuse(function, error)
        if function == _MIG_MODE and answer != self._mig_mode:
            self._cut_anew(answer)
        return answer

    def read_mig(self, device: int, function: str, *arguments: int) -> Any:
        """The handle is asked for each time: instances come and go while the driver is loaded, and
        the handle of one that went may be used again for another. For the same reason what one
        does not support, or that it is not found, is not remembered.
        """
        try:
            handle = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(self._attached(), device)
        except pynvml.NVMLError as error:
            if error.value in UNSUPPORTED or error.value == pynvml.NVML_ERROR_NOT_FOUND:
                return None
            refuse(_MIG_HANDLE, error)
        try:
            return function_named(function)(handle, *arguments)
        except pynvml.NVMLError as error:
            if error.value in UNSUPPORTED or error.value == pynvml.NVML_ERROR_NOT_FOUND:
                return None
            refuse(function, error)

    def fields(self, *ids: int) -> Mapping[int, Number]:
        handle = self._attached()
        with self._lock:
            return self._fields.read(handle, ids)

    def _cut_anew(self, mode: list[int]) -> None:
        """A GPU that is cut does not support what it does as a whole, and the other way round."""
        if self._mig_mode is not None:
            self._unsupported.clear()
            with self._lock:
                self._fields = Fields()
                self._samples.ask_again()
                self._gpm.ask_again()
        self._mig_mode = mode

    def close(self) -> None:
        """Before nvmlShutdown."""
        self._gpm.close()

    def _attached(self) -> Any:
        if self._handle is None:
            try:
                self._handle = pynvml.nvmlDeviceGetHandleByIndex(self.index)
            except pynvml.NVMLError as error:
                kind = DriverUnavailable if error.value in UNAVAILABLE else GpuLost
                name = "nvmlDeviceGetHandleByIndex_v2"
                raise kind(f"{name}: {error}", function=name, code=error.value) from error
        return self._handle
