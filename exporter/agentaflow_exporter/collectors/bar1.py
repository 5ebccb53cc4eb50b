"""The window through which PCIe peers and the CPU reach the memory of each GPU."""

from __future__ import annotations

from collections.abc import Iterator

from agentaflow_exporter.collector import Collector, GpuReader, Reading
from agentaflow_exporter.hardware_metrics import BAR1_TOTAL, BAR1_USED


def _gpu(gpu: GpuReader) -> Iterator[Reading]:
    memory = gpu.read("nvmlDeviceGetBAR1MemoryInfo")
    if memory is not None:
        yield BAR1_TOTAL, (), memory.bar1Total
        yield BAR1_USED, (), memory.bar1Used


COLLECTOR = Collector("bar1", "BAR1 memory", gpu=_gpu)
