"""Memory and SM time of each container on a GPU, the sum of its processes. Off unless asked for."""

from __future__ import annotations

from collections.abc import Iterator

from agentaflow_exporter.collector import Collector, GpuReader, Reading
from agentaflow_exporter.metric import declare_gpu
from agentaflow_exporter.usage import Usage, total, usages

_LABELS = ("namespace", "pod", "container")
CONTAINER_MEMORY = declare_gpu(
    "container_usage",
    "container_memory_bytes",
    "GPU memory of a container's processes.",
    *_LABELS,
    source="nvmlDeviceGet{Compute,Graphics,MPSCompute}RunningProcesses",
)
CONTAINER_SM = declare_gpu(
    "container_usage",
    "container_sm_ratio",
    "Share of the last sampling period in which a container's processes had work on the SMs, "
    "summed: at the same time, it may be above 1.",
    *_LABELS,
    source="nvmlDeviceGetProcessUtilization",
    since="Maxwell; not with MIG",
    highest=10_000,
)


def _gpu(gpu: GpuReader) -> Iterator[Reading]:
    """Processes outside containers, and in those without a name, are left out."""
    containers: dict[tuple[str, str, str], list[Usage]] = {}
    for usage in usages(gpu):
        process = gpu.sources.process(usage.pid)
        if process.container:
            key = process.namespace, process.pod, process.container
            containers.setdefault(key, []).append(usage)
    for labels, found in containers.items():
        busy = [usage.sm_ratio for usage in found if usage.sm_ratio is not None]
        yield CONTAINER_MEMORY, labels, total(usage.memory_bytes for usage in found)
        yield CONTAINER_SM, labels, total(busy)


COLLECTOR = Collector(
    "container_usage",
    "memory and SM time by container",
    (CONTAINER_MEMORY, CONTAINER_SM),
    gpu=_gpu,
    on=False,
)
