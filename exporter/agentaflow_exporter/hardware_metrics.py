"""The metrics of what few need and boards differ in: fans, BAR1, memory repair, links, fabric.

metrics.py takes them in; apart from it they would be too many for one page.
"""

from __future__ import annotations

from agentaflow_exporter.metric import Metric, declare_gpu

_COUNTER_BYTES = 2**63  # 900 GB/s pass what is believable of a memory in twenty minutes

FAN_SPEED = declare_gpu(
    "fans",
    "fan_speed_ratio",
    "Speed that the fan is set to, of its nominal highest; it may run a little faster.",
    "fan",
    source="nvmlDeviceGetFanSpeed_v2",
    highest=2,
)
FAN_RPM = declare_gpu(
    "fans",
    "fan_rpm",
    "Revolutions of the fan per minute.",
    "fan",
    source="nvmlDeviceGetFanSpeedRPM",
    highest=100_000,
)

_BAR1 = "nvmlDeviceGetBAR1MemoryInfo"
BAR1_TOTAL = declare_gpu(
    "bar1", "bar1_memory_total_bytes", "Window through which PCIe reaches memory.", source=_BAR1
)
BAR1_USED = declare_gpu(
    "bar1", "bar1_memory_used_bytes", "Part of the BAR1 window that is mapped.", source=_BAR1
)

RETIRED_PAGES = declare_gpu(
    "retired_pages",
    "retired_pages",
    "Memory pages taken out of use, by the errors that they had; GPUs before Ampere.",
    "cause",
    source="fields 29, 30, RETIRED_SBE, RETIRED_DBE",
    highest=1_000_000,
)
RETIRED_PAGES_PENDING = declare_gpu(
    "retired_pages",
    "retired_pages_pending",
    "1 if pages wait for a reboot to be taken out of use.",
    source="field 31, RETIRED_PENDING",
    highest=1,
)

REMAPPED_ROWS = declare_gpu(
    "remapped_rows",
    "remapped_rows",
    "Memory rows replaced by spare ones, by the errors that they had; GPUs since Ampere.",
    "type",
    source="fields 142, 143, REMAPPED_COR, REMAPPED_UNC",
    highest=1_000_000,
)
ROW_REMAP_PENDING = declare_gpu(
    "remapped_rows",
    "row_remap_pending",
    "1 if a row waits for a reset of the GPU to be replaced.",
    source="field 144, REMAPPED_PENDING",
    highest=1,
)
ROW_REMAP_FAILURE = declare_gpu(
    "remapped_rows",
    "row_remap_failure",
    "1 if a row could not be replaced: the board is due for return.",
    source="field 145, REMAPPED_FAILURE",
    highest=1,
)
ROW_REMAP_BANKS = declare_gpu(
    "remapped_rows",
    "row_remap_banks",
    "Memory banks by how many spare rows they have left, from max to none.",
    "availability",
    source="nvmlDeviceGetRowRemapperHistogram",
    highest=1_000_000,
)

RECOVERY_ACTION = declare_gpu(
    "recovery",
    "recovery_action",
    "What would bring the GPU back: 0 nothing, 1 GPU reset, 2 reboot, 3 drain its peers, "
    "4 drain and reset, 5 recover IMEX domain, 6 bus reset, 7 system reboot.",
    source="field 230, GET_GPU_RECOVERY_ACTION",
    highest=255,
)

NVLINK_TRANSMIT = declare_gpu(
    "nvlink",
    "nvlink_transmit_bytes_total",
    "Payload sent over all NVLinks.",
    source="field 138, NVLINK_THROUGHPUT_DATA_TX",
    highest=_COUNTER_BYTES,
)
NVLINK_RECEIVE = declare_gpu(
    "nvlink",
    "nvlink_receive_bytes_total",
    "Payload received over all NVLinks.",
    source="field 139, NVLINK_THROUGHPUT_DATA_RX",
    highest=_COUNTER_BYTES,
)
NVLINK_ERRORS = declare_gpu(
    "nvlink",
    "nvlink_errors_total",
    "NVLink errors of all links, by what they cost or where they were found.",
    "type",
    source="fields 38, 45, 52, 59, 160, NVLINK_…_ERROR_COUNT_TOTAL; since Hopper the sum of "
    "each link's fields 161, 162, 163, NVLINK_ERROR_DL_…",
)
NVLINK_LINKS = declare_gpu(
    "nvlink",
    "nvlink_links",
    "NVLinks of the GPU, up or down.",
    source="field 91, NVLINK_LINK_COUNT",
    highest=1024,
)
NVLINK_UP = declare_gpu(
    "nvlink",
    "nvlink_up",
    "1 if the link is active or asleep, 0 if it is down or carries no traffic.",
    "link",
    source="field 165, NVLINK_GET_STATE",
    highest=1,
)

C2C_LINKS = declare_gpu(
    "c2c",
    "c2c_links",
    "Links between the GPU and the CPU in its package, up or down.",
    source="field 170, C2C_LINK_COUNT",
    highest=1024,
)
C2C_UP = declare_gpu(
    "c2c",
    "c2c_up",
    "1 if the link between GPU and CPU is active.",
    "link",
    source="field 171, C2C_LINK_GET_STATUS",
    highest=1,
)

FABRIC_STATE = declare_gpu(
    "fabric",
    "fabric_state",
    "Registration with the NVLink fabric: 1 not started, 2 under way, 3 completed.",
    source="nvmlDeviceGetGpuFabricInfoV",
    highest=3,
)
FABRIC_ERROR = declare_gpu(
    "fabric",
    "fabric_error",
    "NVML's return code of the completed registration; 0 is success.",
    source="nvmlDeviceGetGpuFabricInfoV",
    highest=999,
)
FABRIC_HEALTH = declare_gpu(
    "fabric",
    "fabric_health",
    "1 if the check of the NVLink fabric finds nothing wrong, 0 if it does.",
    "check",
    source="nvmlDeviceGetGpuFabricInfoV, healthMask",
    highest=1,
)

ALL: tuple[Metric, ...] = tuple(v for v in list(globals().values()) if isinstance(v, Metric))
