"""What NVML's return codes mean to us."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

import pynvml

from agentaflow_exporter.driver import DriverError, DriverUnavailable, FieldsFailed, GpuLost

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
GONE = frozenset({pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_RESET_REQUIRED})
UNAVAILABLE = frozenset(
    {
        pynvml.NVML_ERROR_UNINITIALIZED,
        pynvml.NVML_ERROR_DRIVER_NOT_LOADED,
        pynvml.NVML_ERROR_LIBRARY_NOT_FOUND,
        pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH,
    }
)


def partly(name: str, values: Any, failed: Mapping[int, int]) -> Any:
    """What single answers of one call came to, if none failed. Raises FieldsFailed, or GpuLost
    where one of the codes says that there is no GPU any more.
    """
    for code in failed.values():
        if code in GONE:
            refuse(name, pynvml.NVMLError(code))
    if failed:
        code = next(iter(failed.values()))
        message = f"{name}: {pynvml.NVMLError(code)}"
        raise FieldsFailed(message, values, frozenset(failed), function=name, code=code)
    return values


def refuse(function: str, error: Any) -> NoReturn:
    code: int = error.value
    kind: type[DriverError] = DriverError
    if code in LOST:
        kind = GpuLost
    elif code in UNAVAILABLE:
        kind = DriverUnavailable
    raise kind(f"{function}: {error}", function=function, code=code) from error
