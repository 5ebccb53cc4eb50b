"""Device memory of each GPU."""

from __future__ import annotations

from collections.abc import Iterator

from agentaflow_exporter.collector import Collector, GpuReader, Reading
from agentaflow_exporter.constants import nvmlMemory_v2
from agentaflow_exporter.metric import declare_gpu

_MEMORY = "nvmlDeviceGetMemoryInfo, version 2"
MEMORY_TOTAL = declare_gpu("memory", "memory_total_bytes", "Device memory.", source=_MEMORY)
MEMORY_USED = declare_gpu(
    "memory", "memory_used_bytes", "Device memory allocated by processes.", source=_MEMORY
)
MEMORY_FREE = declare_gpu(
    "memory", "memory_free_bytes", "Device memory not allocated.", source=_MEMORY
)
MEMORY_RESERVED = declare_gpu(
    "memory",
    "memory_reserved_bytes",
    "Device memory kept by driver and firmware.",
    source=_MEMORY,
    since="R510",
)


def _gpu(gpu: GpuReader) -> Iterator[Reading]:
    """Version 1 of the answer counts what is reserved as used; version 2 tells them apart."""
    memory = gpu.read("nvmlDeviceGetMemoryInfo", nvmlMemory_v2)
    if memory is not None:
        yield MEMORY_RESERVED, (), memory.reserved
    else:
        memory = gpu.read("nvmlDeviceGetMemoryInfo")
    if memory is not None:
        yield MEMORY_TOTAL, (), memory.total
        yield MEMORY_USED, (), memory.used
        yield MEMORY_FREE, (), memory.free


COLLECTOR = Collector(
    "memory",
    "device memory",
    (
        MEMORY_TOTAL,
        MEMORY_USED,
        MEMORY_FREE,
        MEMORY_RESERVED,
    ),
    gpu=_gpu,
)
