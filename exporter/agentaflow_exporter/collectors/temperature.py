"""Temperatures of each GPU and the thresholds at which it protects itself."""

from __future__ import annotations

from collections.abc import Iterator

from agentaflow_exporter import constants as nvml
from agentaflow_exporter.collector import Collector, GpuReader, Reading
from agentaflow_exporter.metric import declare_gpu

TEMPERATURE = declare_gpu(
    "temperature",
    "temperature_celsius",
    "Temperature of the sensor.",
    "sensor",
    source="nvmlDeviceGetTemperatureV; field 82, MEMORY_TEMP",
)
TEMPERATURE_THRESHOLD = declare_gpu(
    "temperature",
    "temperature_threshold_celsius",
    "Temperature at which the GPU slows down, shuts down or leaves its operating range.",
    "threshold",
    source="nvmlDeviceGetTemperatureThreshold",
)

TEMPERATURE_MARGIN = declare_gpu(
    "temperature",
    "temperature_margin_celsius",
    "Degrees up to the temperature at which the GPU slows down; below 0 beyond it.",
    source="nvmlDeviceGetMarginTemperature",
    since="Hopper, R570",
    lowest=-200,
)

_THRESHOLDS = {
    ("slowdown",): nvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN,
    ("shutdown",): nvml.NVML_TEMPERATURE_THRESHOLD_SHUTDOWN,
    ("gpu_max",): nvml.NVML_TEMPERATURE_THRESHOLD_GPU_MAX,
    ("memory_max",): nvml.NVML_TEMPERATURE_THRESHOLD_MEM_MAX,
}


def _gpu(gpu: GpuReader) -> Iterator[Reading]:
    """Drivers before R565 have only nvmlDeviceGetTemperature, which CUDA 14 removes."""
    celsius = gpu.read("nvmlDeviceGetTemperatureV", nvml.NVML_TEMPERATURE_GPU)
    if celsius is None:
        celsius = gpu.read("nvmlDeviceGetTemperature", nvml.NVML_TEMPERATURE_GPU)
    yield TEMPERATURE, ("gpu",), celsius
    yield TEMPERATURE, ("memory",), gpu.field(nvml.NVML_FI_DEV_MEMORY_TEMP)
    yield TEMPERATURE_MARGIN, (), gpu.read("nvmlDeviceGetMarginTemperature")
    for labels, threshold in _THRESHOLDS.items():
        value = gpu.constant("nvmlDeviceGetTemperatureThreshold", threshold)
        yield TEMPERATURE_THRESHOLD, labels, value


COLLECTOR = Collector(
    "temperature",
    "temperatures, thresholds and margin",
    (
        TEMPERATURE,
        TEMPERATURE_THRESHOLD,
        TEMPERATURE_MARGIN,
    ),
    gpu=_gpu,
    fields=(nvml.NVML_FI_DEV_MEMORY_TEMP,),
)
