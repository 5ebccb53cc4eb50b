"""The format of a recording: NVML's answers as JSON, one entry where an answer changed.

    {"format": "agentaflow-recording", "version": 1, "masked": true, "seconds": 30.0,
     "gpus": [{"index": 0, "uuid": "GPU-…"}],
     "calls": [{"at": 0.0, "gpu": 0, "function": "nvmlDeviceGetClockInfo", "arguments": [1],
                "answer": 1980}, …]}

`gpu` is null for calls to the driver; `mig` is there for those to a MIG device, at that index of
the GPU; `arguments` of nvmlDeviceGetFieldValues is the field's id,
for a part of the GPU, such as a link, plus 65536 times the part; that of nvmlDeviceGetSamples is
its type alone, and its answers are the samples that came since the entry before.
An answer is a JSON value, an object with NVML's field names, or {"error": {...}}. It holds until a
later entry of the same call.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from agentaflow_exporter.driver import DriverError, DriverUnavailable, GpuLost
from agentaflow_exporter.errors import UserError

FORMAT = "agentaflow-recording"
VERSION = 1
FIELDS = "nvmlDeviceGetFieldValues"
SAMPLES = "nvmlDeviceGetSamples"

_ERRORS: Mapping[str, type[DriverError]] = {
    kind.__name__: kind for kind in (DriverError, DriverUnavailable, GpuLost)
}


class RecordingError(UserError):
    """A file that is no recording, or a machine that has nothing to record."""


def to_json(answer: Any) -> Any:
    """What pynvml answers, as JSON values."""
    if answer is None or isinstance(answer, bool | int | float | str):
        return answer
    if isinstance(answer, bytes):
        return answer.decode(errors="replace")
    if isinstance(answer, DriverError):
        kind = next(name for name, known in _ERRORS.items() if type(answer) is known)
        return {
            "error": {
                "kind": kind,
                "function": answer.function,
                "code": answer.code,
                "message": str(answer),
            }
        }
    if isinstance(answer, list | tuple):
        return [to_json(item) for item in answer]
    if isinstance(answer, ctypes.Structure):
        names = [field[0] for field in answer._fields_]
        return {name: to_json(getattr(answer, name)) for name in names}
    return {name: to_json(value) for name, value in vars(answer).items()}


def from_json(recorded: Any) -> Any:
    """The answer again; raises the error if it was one."""
    if isinstance(recorded, list):
        return [from_json(item) for item in recorded]
    if not isinstance(recorded, dict):
        return recorded
    error = recorded.get("error")
    if isinstance(error, dict):
        kind = _ERRORS.get(str(error.get("kind")), DriverError)
        raise kind(
            str(error.get("message")), function=str(error.get("function")), code=int(error["code"])
        )
    return SimpleNamespace(**{name: from_json(value) for name, value in recorded.items()})
