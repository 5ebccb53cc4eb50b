"""How many processes hold a context on each GPU."""

from __future__ import annotations

from collections.abc import Iterator

from agentaflow_exporter.collector import Collector, GpuReader, Reading
from agentaflow_exporter.metric import declare_gpu

PROCESSES = declare_gpu(
    "processes",
    "processes",
    "Processes with a context on the GPU.",
    "type",
    source="nvmlDeviceGetComputeRunningProcesses, nvmlDeviceGetGraphicsRunningProcesses",
    highest=1_000_000,
)


def _gpu(gpu: GpuReader) -> Iterator[Reading]:
    """Drivers before R510 answer only to version 2 of the functions."""
    for kind in ("Compute", "Graphics"):
        processes = gpu.read(f"nvmlDeviceGet{kind}RunningProcesses")
        if processes is None:
            processes = gpu.read(f"nvmlDeviceGet{kind}RunningProcesses_v2")
        if processes is not None:
            yield PROCESSES, (kind.lower(),), len(processes)


COLLECTOR = Collector("processes", "number of processes", (PROCESSES,), gpu=_gpu)
