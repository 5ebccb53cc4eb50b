"""Device memory of each GPU."""

from __future__ import annotations

from collections.abc import Iterator

from agentaflow_exporter import metrics
from agentaflow_exporter.collector import Collector, GpuReader, Reading
from agentaflow_exporter.constants import nvmlMemory_v2


def _gpu(gpu: GpuReader) -> Iterator[Reading]:
    """Version 1 of the answer counts what is reserved as used; version 2 tells them apart."""
    memory = gpu.read("nvmlDeviceGetMemoryInfo", nvmlMemory_v2)
    if memory is not None:
        yield metrics.MEMORY_RESERVED, (), memory.reserved
    else:
        memory = gpu.read("nvmlDeviceGetMemoryInfo")
    if memory is not None:
        yield metrics.MEMORY_TOTAL, (), memory.total
        yield metrics.MEMORY_USED, (), memory.used
        yield metrics.MEMORY_FREE, (), memory.free


COLLECTOR = Collector("memory", "device memory", gpu=_gpu)
