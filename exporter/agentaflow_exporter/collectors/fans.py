"""The fans of each GPU that has its own."""

from __future__ import annotations

from collections.abc import Iterator

from agentaflow_exporter.collector import Collector, GpuReader, Reading, scaled
from agentaflow_exporter.hardware_metrics import FAN_RPM, FAN_SPEED


def _gpu(gpu: GpuReader) -> Iterator[Reading]:
    """Boards for servers answer that they have none, or that they do not support the question."""
    for fan in range(min(gpu.constant("nvmlDeviceGetNumFans") or 0, 16)):
        labels = (str(fan),)
        yield FAN_SPEED, labels, scaled(gpu.read("nvmlDeviceGetFanSpeed_v2", fan), per=100)
        yield FAN_RPM, labels, gpu.read("nvmlDeviceGetFanSpeedRPM", fan)


COLLECTOR = Collector("fans", "fan speeds", gpu=_gpu)
