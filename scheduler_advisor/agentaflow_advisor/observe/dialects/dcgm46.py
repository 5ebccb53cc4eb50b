"""dcgm-exporter's metrics under the names that DCGM 4.6 gave to its fields."""

from __future__ import annotations

from agentaflow_advisor.observe.dialects.dcgm import dialect

NAMES = {
    "utilization": "DCGM_FI_DEV_GPU_UTIL_RATIO",  # in percent, whatever its name says
    "temperature": "DCGM_FI_DEV_GPU_TEMP_CELSIUS",
    "temperature_slowdown": "DCGM_FI_DEV_GPU_TEMP_SLOWDOWN_CELSIUS",
    "power": "DCGM_FI_DEV_BOARD_POWER_WATTS",
    "power_limit": "DCGM_FI_DEV_BOARD_POWER_LIMIT_ENFORCED_WATTS",
    "power_limit_default": "DCGM_FI_DEV_BOARD_POWER_LIMIT_DEFAULT_WATTS",
    "sm_active": "DCGM_FI_PROF_SM_UTIL_RATIO",
    "tensor_active": "DCGM_FI_PROF_TENSOR_UTIL_RATIO",
    "dram_active": "DCGM_FI_PROF_DRAM_UTIL_RATIO",
    "remapped_rows": "DCGM_FI_DEV_ROW_REMAP_UNCORRECTABLE_TOTAL",
    "row_remap_failure": "DCGM_FI_DEV_ROW_REMAP_FAILED",
    "retired_pending": "DCGM_FI_DEV_PAGE_RETIRED_PENDING",
    "pcie_replays": "DCGM_FI_DEV_PCIE_REPLAY_TOTAL",
    "recovery_action": "DCGM_FI_DEV_GPU_RECOVERY_ACTION",
    "xid": "DCGM_FI_DEV_XID_ERROR",
    "nvlink_errors": "DCGM_FI_DEV_NVLINK_(CRC|CRC_FLIT|CRC_DATA|REPLAY|RECOVERY)_ERROR_TOTAL",
}

DIALECT = dialect("dcgm-4.6", "dcgm-exporter (DCGM 4.6)", NAMES)
