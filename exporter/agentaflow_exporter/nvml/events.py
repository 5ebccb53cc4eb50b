"""Xid events: NVML tells them to whoever waits, each with the handle of its GPU."""

from __future__ import annotations

import ctypes
from typing import Any

import pynvml

from agentaflow_exporter.nvml.door import Door
from agentaflow_exporter.nvml.errors import UNSUPPORTED, refuse


class XidEvents:
    """One set of events at a time, made after `enter` and freed before `leave`.

    For one thread, apart from `register`: a GPU may hang in that, each in a thread of its own.
    What hangs keeps the driver from being shut down until it is over.
    """

    def __init__(self, door: Door) -> None:
        self.enter = door.enter
        self.leave = door.leave
        self.may_stay = door.may_stay
        self.rest = door.rest
        self._set: Any = None
        self._uuids: dict[int, str] = {}  # by the value of the handle

    def create(self) -> int:
        """A new set; how many GPUs there are to register, none where NVML has no events.

        Raises DriverError.
        """
        self._uuids = {}
        try:
            self._set = pynvml.nvmlEventSetCreate()
        except pynvml.NVMLError as error:
            if error.value in UNSUPPORTED:
                return 0
            refuse("nvmlEventSetCreate", error)
        try:
            return int(pynvml.nvmlDeviceGetCount())
        except pynvml.NVMLError as error:
            refuse("nvmlDeviceGetCount_v2", error)

    def register(self, index: int) -> str | None:
        """The GPU's uuid; None if it has no such events. Raises DriverError."""
        events, uuids = self._set, self._uuids
        try:
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            uuid = uuids[_value(handle)] = str(pynvml.nvmlDeviceGetUUID(handle))
            pynvml.nvmlDeviceRegisterEvents(handle, pynvml.nvmlEventTypeXidCriticalError, events)
        except pynvml.NVMLError as error:
            if error.value in UNSUPPORTED:
                return None
            refuse("nvmlDeviceRegisterEvents", error)
        return uuid

    def wait(self, milliseconds: int) -> tuple[str, int] | None:
        """The GPU's uuid and the Xid of the next event; None if there was none.

        Raises DriverError.
        """
        try:
            event = pynvml.nvmlEventSetWait_v2(self._set, milliseconds)
        except pynvml.NVMLError as error:
            if error.value == pynvml.NVML_ERROR_TIMEOUT:
                return None
            refuse("nvmlEventSetWait_v2", error)
        if event.eventType != pynvml.nvmlEventTypeXidCriticalError:
            return None
        uuid = self._uuids.get(_value(event.device))
        return (uuid, int(event.eventData)) if uuid else None

    def free(self) -> None:
        """The set, if there is one. An error means that it is gone already."""
        events, self._set = self._set, None
        if events is not None:
            try:
                pynvml.nvmlEventSetFree(events)
            except pynvml.NVMLError:
                return


def _value(handle: Any) -> int:
    return ctypes.cast(handle, ctypes.c_void_p).value or 0
