"""Every metric that the exporter exports: each collector's, declared in its file, and those here.

Docs, golden file and checks follow from the declarations.
"""

from __future__ import annotations

from agentaflow_exporter.collectors import COLLECTORS
from agentaflow_exporter.metric import GPU_LABELS, GPU_PREFIX, Metric, declare, documentation

GPU = GPU_PREFIX
EXPORTER = "agentaflow_exporter_"

GPU_UP = declare(
    GPU + "up", "1 if the GPU answered in this scrape, 0 if it is lost or hangs.", *GPU_LABELS
)
GPU_DEVICES = declare(
    GPU + "devices", "GPUs that the driver enumerates.", source="nvmlDeviceGetCount_v2"
)

BUILD_INFO = declare(
    EXPORTER + "build_info", "Version of the exporter.", "version", "python_version"
)
DRIVER_UP = declare(EXPORTER + "driver_up", "1 if the driver answered in this scrape.")
SCRAPE_DURATION = declare(EXPORTER + "scrape_duration_seconds", "How long this scrape took.")
COLLECTOR_SUCCESS = declare(
    EXPORTER + "collector_success",
    "1 if the collector had no error on any GPU in this scrape.",
    "collector",
)
COLLECTOR_DURATION = declare(
    EXPORTER + "collector_duration_seconds",
    "Time that the collector took in this scrape, summed over the GPUs.",
    "collector",
)
NVML_ERRORS = declare(
    EXPORTER + "nvml_errors_total",
    "NVML calls that failed, by return code; what a GPU does not support is no error.",
    *("gpu", "function", "code"),
)
GPU_TIMEOUTS = declare(
    EXPORTER + "gpu_timeouts_total",
    "Scrapes in which the GPU did not answer in time.",
    *GPU_LABELS,
)
DROPPED_READINGS = declare(
    EXPORTER + "dropped_readings_total",
    "Readings that were not exported because they lay outside the metric's range.",
    "metric",
)

PROCESS_CPU = declare("process_cpu_seconds_total", "CPU time of the exporter, user and system.")
PROCESS_RESIDENT = declare("process_resident_memory_bytes", "Resident memory of the exporter.")
PROCESS_VIRTUAL = declare("process_virtual_memory_bytes", "Virtual memory of the exporter.")
PROCESS_FDS = declare("process_open_fds", "Open file descriptors of the exporter.")
PROCESS_THREADS = declare("process_threads", "Threads of the exporter.")
PROCESS_START = declare("process_start_time_seconds", "Unix time at which the exporter started.")

_OWN = [v for v in globals().values() if isinstance(v, Metric)]
_DECLARED = (*_OWN, *(m for collector in COLLECTORS for m in collector.metrics))
# The GPUs' metrics, then those about the exporter itself.
ALL: tuple[Metric, ...] = tuple(sorted(_DECLARED, key=lambda m: not m.name.startswith(GPU)))

if __name__ == "__main__":
    print(documentation(ALL), end="")
