"""How many processes hold a context on each GPU."""

from __future__ import annotations

from collections.abc import Iterator

from agentaflow_exporter.collector import Collector, GpuReader, Reading
from agentaflow_exporter.metric import declare_gpu
from agentaflow_exporter.usage import running

PROCESSES = declare_gpu(
    "processes",
    "processes",
    "Processes with a context on the GPU.",
    "type",
    source="nvmlDeviceGetComputeRunningProcesses, nvmlDeviceGetGraphicsRunningProcesses",
    highest=1_000_000,
)


def _gpu(gpu: GpuReader) -> Iterator[Reading]:
    for kind in ("Compute", "Graphics"):
        processes = running(gpu, kind)
        if processes is not None:
            yield PROCESSES, (kind.lower(),), len(processes)


COLLECTOR = Collector("processes", "number of processes", (PROCESSES,), gpu=_gpu)
