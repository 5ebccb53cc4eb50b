"""Memory and SM time of each process on a GPU, and whose it is. Off unless it is asked for."""

from __future__ import annotations

from collections.abc import Iterator

from agentaflow_exporter.collector import Collector, GpuReader, Reading
from agentaflow_exporter.metric import declare_gpu
from agentaflow_exporter.usage import total, usages

MOST_PROCESSES = 64
_OTHER = ("other",)
_ROWS = f"; beyond the {MOST_PROCESSES} with the most memory, their sum as pid `other`."
PROCESS_MEMORY = declare_gpu(
    "process_usage",
    "process_memory_bytes",
    f"GPU memory of a process{_ROWS}",
    "pid",
    source="nvmlDeviceGet{Compute,Graphics,MPSCompute}RunningProcesses",
)
PROCESS_SM = declare_gpu(
    "process_usage",
    "process_sm_ratio",
    f"Share of the last sampling period in which a process had work on the SMs{_ROWS}",
    "pid",
    source="nvmlDeviceGetProcessUtilization",
    since="Maxwell; not with MIG",
    highest=100,
)
PROCESS_INFO = declare_gpu(
    "process_usage",
    "process_info",
    "Whose a process is; join it on uuid and pid.",
    *("pid", "name", "namespace", "pod", "container", "unit", "slurm_job"),
    source="/proc/PID/stat, /proc/PID/cgroup, /var/log/containers",
)


def _gpu(gpu: GpuReader) -> Iterator[Reading]:
    found = usages(gpu)
    for usage in found[:MOST_PROCESSES]:
        pid = str(usage.pid)
        yield PROCESS_MEMORY, (pid,), usage.memory_bytes
        yield PROCESS_SM, (pid,), usage.sm_ratio
        yield PROCESS_INFO, (pid, *gpu.sources.process(usage.pid)), 1
    if rest := found[MOST_PROCESSES:]:
        busy = [usage.sm_ratio for usage in rest if usage.sm_ratio is not None]
        yield PROCESS_MEMORY, _OTHER, total(usage.memory_bytes for usage in rest)
        yield PROCESS_SM, _OTHER, total(busy)


COLLECTOR = Collector(
    "process_usage",
    "memory and SM time by process",
    (PROCESS_MEMORY, PROCESS_SM, PROCESS_INFO),
    gpu=_gpu,
    on=False,
)
