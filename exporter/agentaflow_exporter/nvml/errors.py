"""What NVML's return codes mean to us."""

from __future__ import annotations

from typing import Any, NoReturn

import pynvml

from agentaflow_exporter.driver import DriverError, DriverUnavailable, GpuLost

UNSUPPORTED = frozenset(
    {
        pynvml.NVML_ERROR_NOT_SUPPORTED,
        pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
        pynvml.NVML_ERROR_INVALID_ARGUMENT,
        pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH,
    }
)
LOST = frozenset(
    {
        pynvml.NVML_ERROR_GPU_IS_LOST,
        pynvml.NVML_ERROR_RESET_REQUIRED,
        pynvml.NVML_ERROR_UNKNOWN,
    }
)
UNAVAILABLE = frozenset(
    {
        pynvml.NVML_ERROR_UNINITIALIZED,
        pynvml.NVML_ERROR_DRIVER_NOT_LOADED,
        pynvml.NVML_ERROR_LIBRARY_NOT_FOUND,
        pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH,
    }
)


def refuse(function: str, error: Any) -> NoReturn:
    code: int = error.value
    kind: type[DriverError] = DriverError
    if code in LOST:
        kind = GpuLost
    elif code in UNAVAILABLE:
        kind = DriverUnavailable
    raise kind(f"{function}: {error}", function=function, code=code) from error
