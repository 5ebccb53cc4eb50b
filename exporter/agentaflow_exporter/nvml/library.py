"""The driver of this machine through pynvml."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import pynvml

from agentaflow_exporter.driver import DriverUnavailable
from agentaflow_exporter.nvml.door import Door
from agentaflow_exporter.nvml.errors import UNSUPPORTED, refuse
from agentaflow_exporter.nvml.functions import function as function_named
from agentaflow_exporter.nvml.gpu import NvmlGpu

_LEAVE_SECONDS = 1.0
_MOST_GPUS = 1024  # a driver that tells of more is not believed


class NvmlDriver:
    """The driver of this machine. `clock` (seconds) tells how far apart samples are."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.door = Door()
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
        self.door.open()

    def close(self) -> None:
        """As often as it was opened and no more: nvmlInit is counted, and others may use NVML.

        Not at all while somebody cannot leave it: the next close makes up for that.
        """
        if not self.door.close(_LEAVE_SECONDS):
            return
        for gpu in self._gpus.values():
            gpu.close()
        self._gpus = {}
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
            return function_named(function)(*arguments)
        except pynvml.NVMLError as error:
            if error.value in UNSUPPORTED:
                self._unsupported.add(function)
                return None
            refuse(function, error)

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
        if count > _MOST_GPUS:
            raise DriverUnavailable(f"nvmlDeviceGetCount_v2: {count} GPUs cannot be")
        for index in range(count):
            if index not in self._gpus:
                self._gpus[index] = NvmlGpu(index, self._clock)
        return [self._gpus[index] for index in range(count)]
