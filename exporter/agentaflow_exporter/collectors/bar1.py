"""The window through which PCIe peers and the CPU reach the memory of each GPU."""

from __future__ import annotations

from collections.abc import Iterator

from agentaflow_exporter.collector import Collector, GpuReader, Reading
from agentaflow_exporter.metric import declare_gpu

_BAR1 = "nvmlDeviceGetBAR1MemoryInfo"
BAR1_TOTAL = declare_gpu(
    "bar1", "bar1_memory_total_bytes", "Window through which PCIe reaches memory.", source=_BAR1
)
BAR1_USED = declare_gpu(
    "bar1", "bar1_memory_used_bytes", "Part of the BAR1 window that is mapped.", source=_BAR1
)


def _gpu(gpu: GpuReader) -> Iterator[Reading]:
    memory = gpu.read("nvmlDeviceGetBAR1MemoryInfo")
    if memory is not None:
        yield BAR1_TOTAL, (), memory.bar1Total
        yield BAR1_USED, (), memory.bar1Used


COLLECTOR = Collector(
    "bar1",
    "BAR1 memory",
    (
        BAR1_TOTAL,
        BAR1_USED,
    ),
    gpu=_gpu,
)
