"""pynvml's functions by name, and those that it leaves to its caller to make whole."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from functools import partial
from types import SimpleNamespace
from typing import Any

import pynvml

from agentaflow_exporter.nvml import processes


def function(name: str) -> Any:
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


def _instance(structure: Any, handle: Any, gpu_instance: int) -> SimpleNamespace:
    """Drivers that tell it to root alone are like those that lack it."""
    del structure  # pynvml fills it
    try:
        instance = pynvml.nvmlDeviceGetGpuInstanceById(handle, gpu_instance)
        info = pynvml.nvmlGpuInstanceGetInfo(instance)
    except pynvml.NVMLError as error:
        if error.value == pynvml.NVML_ERROR_NO_PERMISSION:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED) from error
        raise
    return SimpleNamespace(profileId=info.profileId, start=info.placement.start)


def _sram(structure: Any, handle: Any) -> Any:
    answer = structure()
    pynvml.nvmlDeviceGetSramEccErrorStatus(handle, ctypes.byref(answer))
    return answer


def _licence(structure: Any, handle: Any) -> SimpleNamespace:
    """Without licenseInfo, which is a text for people."""
    answer = structure()
    function = pynvml._nvmlGetFunctionPointer("nvmlDeviceGetGridLicensableFeatures_v4")
    pynvml._nvmlCheckReturn(function(handle, ctypes.byref(answer)))
    features = [
        SimpleNamespace(
            featureCode=feature.featureCode,
            featureEnabled=feature.featureEnabled,
            productName=_text(feature.productName),
            licenseExpiry=SimpleNamespace(
                **{name: getattr(feature.licenseExpiry, name) for name in _EXPIRY}
            ),
        )
        for feature in answer.gridLicensableFeatures[: answer.licensableFeaturesCount]
    ]
    return SimpleNamespace(isGridLicenseSupported=answer.isGridLicenseSupported, features=features)


_EXPIRY = ("year", "month", "day", "hour", "min", "sec", "status")


def _text(answer: bytes | str) -> str:
    return answer.decode(errors="replace") if isinstance(answer, bytes) else answer


_RUNNING = {
    f"nvmlDeviceGet{kind}RunningProcesses{version}": (
        f"c_nvmlProcessInfo{version or '_v3'}_t",
        partial(processes.running, f"nvmlDeviceGet{kind}RunningProcesses{version or '_v3'}"),
    )
    for kind in ("Compute", "Graphics", "MPSCompute")
    for version in ("", "_v2")
}
# Functions that fill a structure, which pynvml leaves to its caller, and the structure's name.
_FILLS: Mapping[str, tuple[str, Callable[..., Any]]] = {
    "nvmlDeviceGetFanSpeedRPM": ("c_nvmlFanSpeedInfo_t", _fan_rpm),
    "nvmlGpuInstanceGetInfo": ("c_nvmlGpuInstanceInfo_t", _instance),
    "nvmlDeviceGetSramEccErrorStatus": ("c_nvmlEccSramErrorStatus_v1_t", _sram),
    "nvmlDeviceGetGridLicensableFeatures": ("c_nvmlGridLicensableFeatures_v4_t", _licence),
    "nvmlDeviceGetGpuFabricInfoV": ("c_nvmlGpuFabricInfo_v2_t", _fabric),
    **_RUNNING,
    processes.UTILIZATION: ("c_nvmlProcessUtilizationSample_t", processes.utilization),
}
