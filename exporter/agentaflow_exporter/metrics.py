"""Every metric that the exporter exports, declared once; docs, golden file and checks follow."""

from __future__ import annotations

from agentaflow_exporter import hardware_metrics
from agentaflow_exporter.metric import GPU_LABELS, GPU_PREFIX, Metric, declare, documentation
from agentaflow_exporter.metric import declare_gpu as _gpu

GPU = GPU_PREFIX
EXPORTER = "agentaflow_exporter_"

GPU_UP = declare(
    GPU + "up", "1 if the GPU answered in this scrape, 0 if it is lost or hangs.", *GPU_LABELS
)
GPU_DEVICES = declare(
    GPU + "devices", "GPUs that the driver enumerates.", source="nvmlDeviceGetCount_v2"
)
GPU_EXPECTED = declare(
    GPU + "expected_devices",
    "GPUs that the kernel driver knows of, or those on the PCI bus if it is not loaded; "
    "more than devices: one fell off the bus.",
    source="/proc/driver/nvidia/gpus; /sys/bus/pci/devices",
    collector="expected",
    highest=1024,
)

GPU_INFO = _gpu(
    *("info", "info", "Identity of the GPU.", "name", "pci_bus_id", "serial", "vbios_version"),
    *("architecture", "compute_capability", "minor_number"),
    source="nvmlDeviceGetName, PciInfo, Serial, VbiosVersion, Architecture, …",
)
DRIVER_INFO = declare(
    GPU + "driver_info",
    "Versions of the driver, of NVML and of the newest CUDA that the driver supports.",
    *("driver_version", "nvml_version", "cuda_version"),
    source="nvmlSystemGetDriverVersion, NVMLVersion, CudaDriverVersion_v2",
    collector="info",
)

UTILIZATION = _gpu(
    "utilization",
    "utilization_ratio",
    "Share of the driver's last sample period in which the engine was busy.",
    "engine",
    source="nvmlDeviceGetUtilizationRates, EncoderUtilization, DecoderUtilization",
)

_MEMORY = "nvmlDeviceGetMemoryInfo, version 2"
MEMORY_TOTAL = _gpu("memory", "memory_total_bytes", "Device memory.", source=_MEMORY)
MEMORY_USED = _gpu(
    "memory", "memory_used_bytes", "Device memory allocated by processes.", source=_MEMORY
)
MEMORY_FREE = _gpu("memory", "memory_free_bytes", "Device memory not allocated.", source=_MEMORY)
MEMORY_RESERVED = _gpu(
    "memory",
    "memory_reserved_bytes",
    "Device memory kept by driver and firmware.",
    source=_MEMORY,
)

POWER = _gpu("power", "power_watts", "Power drawn by the board.", source="nvmlDeviceGetPowerUsage")
POWER_AVERAGE = _gpu(
    "power",
    "power_average_watts",
    "Power drawn by the board, on average over a second; power_watts is it too on most GPUs.",
    source="field 185, POWER_AVERAGE",
)
POWER_INSTANT = _gpu(
    "power",
    "power_instant_watts",
    "Power drawn by the board at this moment.",
    source="field 186, POWER_INSTANT",
)
POWER_LIMIT = _gpu(
    "power",
    "power_limit_watts",
    "Power limit: enforced (the lowest in force), requested, default, and the settable range.",
    "limit",
    source="nvmlDeviceGetEnforcedPowerLimit, PowerManagementLimit, …DefaultLimit, …Constraints",
)
ENERGY = _gpu(
    "power",
    "energy_joules_total",
    "Energy used since the driver was loaded.",
    source="field 83, TOTAL_ENERGY_CONSUMPTION",
)

TEMPERATURE = _gpu(
    "temperature",
    "temperature_celsius",
    "Temperature of the sensor.",
    "sensor",
    source="nvmlDeviceGetTemperatureV; field 82, MEMORY_TEMP",
)
TEMPERATURE_THRESHOLD = _gpu(
    "temperature",
    "temperature_threshold_celsius",
    "Temperature at which the GPU slows down, shuts down or leaves its operating range.",
    "threshold",
    source="nvmlDeviceGetTemperatureThreshold",
)

CLOCK = _gpu("clocks", "clock_hertz", "Current clock.", "clock", source="nvmlDeviceGetClockInfo")
CLOCK_MAX = _gpu(
    "clocks", "clock_max_hertz", "Highest clock.", "clock", source="nvmlDeviceGetMaxClockInfo"
)
PERFORMANCE_STATE = _gpu(
    "clocks",
    "performance_state",
    "Performance state, from 0 (fastest) to 15 (slowest).",
    source="nvmlDeviceGetPerformanceState",
    highest=15,
)

CLOCK_EVENT = _gpu(
    "throttle",
    "clock_event_active",
    "1 while the reason holds the clocks below their highest.",
    "reason",
    source="nvmlDeviceGetCurrentClocksEventReasons",
    highest=1,
)
CLOCK_EVENT_SECONDS = _gpu(
    "throttle",
    "clock_event_seconds_total",
    "Time for which the reason has held the clocks down.",
    "reason",
    source="fields 74, 76, 269, 270, 271, CLOCKS_EVENT_REASON_…",
)

ECC_MODE = _gpu(
    "ecc",
    "ecc_mode_enabled",
    "1 if ECC is on: now (current), or from the next reboot (pending).",
    "mode",
    source="fields 1, 2, ECC_CURRENT, ECC_PENDING",
    highest=1,
)
ECC_ERRORS = _gpu(
    "ecc",
    "ecc_errors_total",
    "Memory errors since the driver was loaded.",
    "type",
    source="fields 3, 4, ECC_SBE_VOL_TOTAL, ECC_DBE_VOL_TOTAL",
)
ECC_LIFETIME_ERRORS = _gpu(
    "ecc",
    "ecc_lifetime_errors_total",
    "Memory errors in the life of the board.",
    "type",
    source="fields 5, 6, ECC_SBE_AGG_TOTAL, ECC_DBE_AGG_TOTAL",
)

PCIE_GENERATION = _gpu(
    "pcie",
    "pcie_link_generation",
    "PCIe generation at which the link runs now; links slow down when idle.",
    source="nvmlDeviceGetCurrPcieLinkGeneration",
    highest=16,
)
PCIE_GENERATION_MAX = _gpu(
    "pcie",
    "pcie_link_generation_max",
    "Highest PCIe generation of this GPU in this slot.",
    source="nvmlDeviceGetMaxPcieLinkGeneration",
    highest=16,
)
PCIE_WIDTH = _gpu(
    "pcie",
    "pcie_link_width",
    "PCIe lanes in use.",
    source="nvmlDeviceGetCurrPcieLinkWidth",
    highest=32,
)
PCIE_WIDTH_MAX = _gpu(
    "pcie",
    "pcie_link_width_max",
    "Most PCIe lanes of this GPU in this slot.",
    source="nvmlDeviceGetMaxPcieLinkWidth",
    highest=32,
)
PCIE_REPLAYS = _gpu(
    "pcie", "pcie_replays_total", "PCIe packets sent again.", source="field 94, PCIE_REPLAY_COUNTER"
)
PCIE_ERRORS = _gpu(
    "pcie",
    "pcie_errors_total",
    "PCIe errors, by what went wrong; correctable ones cost time only.",
    "type",
    source="fields 173 … 183, PCIE_COUNT_…",
)

PROCESSES = _gpu(
    "processes",
    "processes",
    "Processes with a context on the GPU.",
    "type",
    source="nvmlDeviceGetComputeRunningProcesses, nvmlDeviceGetGraphicsRunningProcesses",
    highest=1_000_000,
)

POD_INFO = _gpu(
    *("pods", "pod_info", "A container that holds the GPU; join it on uuid."),
    *("namespace", "pod", "container"),
    source="--attribution.pods-file",
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

_DECLARED = [v for v in (*globals().values(), *hardware_metrics.ALL) if isinstance(v, Metric)]
# The GPUs' metrics, then those about the exporter itself.
ALL: tuple[Metric, ...] = tuple(sorted(_DECLARED, key=lambda m: not m.name.startswith(GPU)))

if __name__ == "__main__":
    print(documentation(ALL), end="")
