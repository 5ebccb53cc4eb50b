"""The fans of each GPU that has its own."""

from __future__ import annotations

from collections.abc import Iterator

from agentaflow_exporter.collector import Collector, GpuReader, Reading, scaled
from agentaflow_exporter.metric import declare_gpu

FAN_SPEED = declare_gpu(
    "fans",
    "fan_speed_ratio",
    "Speed that the fan is set to, of its nominal highest; it may run a little faster.",
    "fan",
    source="nvmlDeviceGetFanSpeed_v2",
    highest=2,
)
FAN_RPM = declare_gpu(
    "fans",
    "fan_rpm",
    "Revolutions of the fan per minute.",
    "fan",
    source="nvmlDeviceGetFanSpeedRPM",
    highest=100_000,
    since="R565",
)


def _gpu(gpu: GpuReader) -> Iterator[Reading]:
    """Boards for servers answer that they have none, or that they do not support the question."""
    for fan in range(min(gpu.constant("nvmlDeviceGetNumFans") or 0, 16)):
        labels = (str(fan),)
        yield FAN_SPEED, labels, scaled(gpu.read("nvmlDeviceGetFanSpeed_v2", fan), per=100)
        yield FAN_RPM, labels, gpu.read("nvmlDeviceGetFanSpeedRPM", fan)


COLLECTOR = Collector(
    "fans",
    "fan speeds",
    (
        FAN_SPEED,
        FAN_RPM,
    ),
    gpu=_gpu,
)
