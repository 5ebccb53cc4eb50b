"""Clocks and performance state of each GPU."""

from __future__ import annotations

from collections.abc import Iterator

from agentaflow_exporter import constants as nvml
from agentaflow_exporter.collector import Collector, GpuReader, Reading, scaled
from agentaflow_exporter.metric import declare_gpu

CLOCK = declare_gpu(
    "clocks", "clock_hertz", "Current clock.", "clock", source="nvmlDeviceGetClockInfo"
)
CLOCK_MAX = declare_gpu(
    "clocks", "clock_max_hertz", "Highest clock.", "clock", source="nvmlDeviceGetMaxClockInfo"
)
PERFORMANCE_STATE = declare_gpu(
    "clocks",
    "performance_state",
    "Performance state, from 0 (fastest) to 15 (slowest).",
    source="nvmlDeviceGetPerformanceState",
    highest=15,
)

_CLOCKS = {
    ("sm",): nvml.NVML_CLOCK_SM,
    ("memory",): nvml.NVML_CLOCK_MEM,
    ("graphics",): nvml.NVML_CLOCK_GRAPHICS,
    ("video",): nvml.NVML_CLOCK_VIDEO,
}
_MEGAHERTZ = 1_000_000


def _gpu(gpu: GpuReader) -> Iterator[Reading]:
    for labels, clock in _CLOCKS.items():
        yield CLOCK, labels, scaled(gpu.read("nvmlDeviceGetClockInfo", clock), by=_MEGAHERTZ)
        highest = gpu.constant("nvmlDeviceGetMaxClockInfo", clock)
        yield CLOCK_MAX, labels, scaled(highest, by=_MEGAHERTZ)
    yield PERFORMANCE_STATE, (), gpu.read("nvmlDeviceGetPerformanceState")


COLLECTOR = Collector(
    "clocks",
    "clocks and performance state",
    (
        CLOCK,
        CLOCK_MAX,
        PERFORMANCE_STATE,
    ),
    gpu=_gpu,
)
