"""Whether each GPU is part of its NVLink fabric, and what is wrong with that."""

from __future__ import annotations

from collections.abc import Iterator

from agentaflow_exporter import constants as nvml
from agentaflow_exporter.collector import Collector, GpuReader, Reading
from agentaflow_exporter.metric import declare_gpu

FABRIC_STATE = declare_gpu(
    "fabric",
    "fabric_state",
    "Registration with the NVLink fabric: 1 not started, 2 under way, 3 completed.",
    source="nvmlDeviceGetGpuFabricInfoV",
    highest=3,
    since="Hopper, R535",
)
FABRIC_ERROR = declare_gpu(
    "fabric",
    "fabric_error",
    "NVML's return code of the completed registration; 0 is success.",
    source="nvmlDeviceGetGpuFabricInfoV",
    highest=999,
    since="Hopper, R535",
)
FABRIC_HEALTH = declare_gpu(
    "fabric",
    "fabric_health",
    "1 if the check of the NVLink fabric finds nothing wrong, 0 if it does.",
    "check",
    source="nvmlDeviceGetGpuFabricInfoV, healthMask",
    highest=1,
    since="Hopper, R550",
)

# Two bits each: 0 not supported, 1 something is wrong, 2 nothing is.
_TROUBLES = {
    ("bandwidth",): nvml.NVML_GPU_FABRIC_HEALTH_MASK_SHIFT_DEGRADED_BW,
    ("route_recovery",): nvml.NVML_GPU_FABRIC_HEALTH_MASK_SHIFT_ROUTE_RECOVERY,
    ("route",): nvml.NVML_GPU_FABRIC_HEALTH_MASK_SHIFT_ROUTE_UNHEALTHY,
    ("access_timeout_recovery",): nvml.NVML_GPU_FABRIC_HEALTH_MASK_SHIFT_ACCESS_TIMEOUT_RECOVERY,
}


def _gpu(gpu: GpuReader) -> Iterator[Reading]:
    fabric = gpu.read("nvmlDeviceGetGpuFabricInfoV")
    if fabric is None or fabric.state == nvml.NVML_GPU_FABRIC_STATE_NOT_SUPPORTED:
        return
    yield FABRIC_STATE, (), fabric.state
    if fabric.state == nvml.NVML_GPU_FABRIC_STATE_COMPLETED:
        yield FABRIC_ERROR, (), fabric.status
    for labels, shift in _TROUBLES.items():
        trouble = fabric.healthMask >> shift & 3
        if trouble in (1, 2):
            yield FABRIC_HEALTH, labels, 1 if trouble == 2 else 0
    # Four bits: 0 not supported, 1 nothing is wrong, and what is.
    shift = nvml.NVML_GPU_FABRIC_HEALTH_MASK_SHIFT_INCORRECT_CONFIGURATION
    if configuration := fabric.healthMask >> shift & 15:
        yield FABRIC_HEALTH, ("configuration",), 1 if configuration == 1 else 0


COLLECTOR = Collector(
    "fabric",
    "NVLink fabric state and health",
    (
        FABRIC_STATE,
        FABRIC_ERROR,
        FABRIC_HEALTH,
    ),
    gpu=_gpu,
)
