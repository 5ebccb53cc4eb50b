"""What a simulated board answers that does not change while the driver is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from agentaflow_exporter import constants as nvml
from agentaflow_exporter.boards import Board
from agentaflow_exporter.driver import Number, scoped
from agentaflow_exporter.stories import Behaviour

_HOPPER = 9
FIRST_PID = 2000  # of GPU 0; of the next ones it is the next
_PCIE_LANES = 16
_BAR1_USED_BYTES = 2 << 20
_FABRIC_HEALTHY = 0x1AA  # every check of healthMask says no

Call = tuple[str, tuple[int, ...]]


def constants(board: Board, behaviour: Behaviour, index: int, uuid: str) -> Mapping[Call, Any]:
    """What does not change while the driver is loaded and the same process runs."""
    used = int(behaviour.memory_ratio * board.memory_bytes)
    processes = [
        SimpleNamespace(pid=FIRST_PID + index + number, usedGpuMemory=used)
        for number in range(behaviour.processes)
    ]
    plain: dict[str, Any] = {
        "nvmlDeviceGetUUID": uuid,
        "nvmlDeviceGetName": board.name,
        "nvmlDeviceGetPciInfo": SimpleNamespace(busId=f"00000000:{0x18 + 0x11 * index:02X}:00.0"),
        "nvmlDeviceGetSerial": str(1_650_000_000_000 + int(uuid[-8:], 16)),
        "nvmlDeviceGetMinorNumber": index,
        "nvmlDeviceGetPerformanceState": 0 if processes else 8,
        "nvmlDeviceGetCurrPcieLinkGeneration": board.pcie_generation if processes else 1,
        "nvmlDeviceGetComputeRunningProcesses": processes,
        "nvmlDeviceGetGraphicsRunningProcesses": [],
        **_of_board(board),
    }
    return {
        **{(function, ()): answer for function, answer in plain.items()},
        **_ratings(board),
        **_memory(board.memory_bytes, board.reserved_bytes, used),
    }


def _of_board(board: Board) -> dict[str, Any]:
    """What all boards of a model answer to a question without arguments."""
    limit, lowest = int(board.limit_watts * 1000), int(board.lowest_limit_watts * 1000)
    plain: dict[str, Any] = {
        "nvmlDeviceGetVbiosVersion": board.vbios_version,
        "nvmlDeviceGetArchitecture": board.architecture,
        "nvmlDeviceGetCudaComputeCapability": list(board.compute_capability),
        "nvmlDeviceGetEncoderUtilization": [0, 167_000],
        "nvmlDeviceGetDecoderUtilization": [0, 167_000],
        "nvmlDeviceGetEnforcedPowerLimit": limit,
        "nvmlDeviceGetPowerManagementLimit": limit,
        "nvmlDeviceGetPowerManagementDefaultLimit": limit,
        "nvmlDeviceGetPowerManagementLimitConstraints": [lowest, limit],
        "nvmlDeviceGetMaxPcieLinkGeneration": board.pcie_generation,
        "nvmlDeviceGetCurrPcieLinkWidth": _PCIE_LANES,
        "nvmlDeviceGetMaxPcieLinkWidth": _PCIE_LANES,
        "nvmlDeviceGetBAR1MemoryInfo": SimpleNamespace(
            bar1Total=board.bar1_bytes,
            bar1Free=board.bar1_bytes - _BAR1_USED_BYTES,
            bar1Used=_BAR1_USED_BYTES,
        ),
        "nvmlDeviceGetNumFans": 0,
        "nvmlDeviceGetPersistenceMode": 1,
        "nvmlDeviceGetComputeMode": 0,
    }
    if board.has_mig:
        plain["nvmlDeviceGetMigMode"] = [0, 0]
    if board.in_fabric:
        plain["nvmlDeviceGetGpuFabricInfoV"] = SimpleNamespace(
            state=nvml.NVML_GPU_FABRIC_STATE_COMPLETED, status=0, healthMask=_FABRIC_HEALTHY
        )
    return plain


def _ratings(board: Board) -> dict[Call, Any]:
    """Thresholds in degrees and highest clocks in MHz."""
    thresholds = {
        nvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN: board.slowdown_celsius,
        nvml.NVML_TEMPERATURE_THRESHOLD_SHUTDOWN: board.shutdown_celsius,
        nvml.NVML_TEMPERATURE_THRESHOLD_GPU_MAX: board.highest_celsius,
        nvml.NVML_TEMPERATURE_THRESHOLD_MEM_MAX: board.highest_memory_celsius,
    }
    highest_mhz = {
        nvml.NVML_CLOCK_SM: board.sm_mhz,
        nvml.NVML_CLOCK_GRAPHICS: board.sm_mhz,
        nvml.NVML_CLOCK_MEM: board.memory_mhz,
        nvml.NVML_CLOCK_VIDEO: board.video_mhz,
    }
    return {
        **{("nvmlDeviceGetTemperatureThreshold", (i,)): t for i, t in thresholds.items()},
        **{("nvmlDeviceGetMaxClockInfo", (i,)): mhz for i, mhz in highest_mhz.items()},
        ("nvmlDeviceGetClockInfo", (nvml.NVML_CLOCK_MEM,)): board.memory_mhz,
    }


def links(board: Board) -> Mapping[int, Number]:
    """The fields of links that never change: all are up and without errors."""
    count = board.nvlinks
    totals = (
        nvml.NVML_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL,
        nvml.NVML_FI_DEV_NVLINK_CRC_DATA_ERROR_COUNT_TOTAL,
        nvml.NVML_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL,
        nvml.NVML_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL,
    )
    counters = (
        nvml.NVML_FI_DEV_NVLINK_ERROR_DL_REPLAY,
        nvml.NVML_FI_DEV_NVLINK_ERROR_DL_RECOVERY,
        nvml.NVML_FI_DEV_NVLINK_ERROR_DL_CRC,
    )
    by_link = [scoped(field_id, link) for field_id in counters for link in range(count)]
    states = (scoped(nvml.NVML_FI_DEV_NVLINK_GET_STATE, link) for link in range(count))
    speeds = (scoped(nvml.NVML_FI_DEV_NVLINK_GET_SPEED, link) for link in range(count))
    return {
        nvml.NVML_FI_DEV_NVLINK_LINK_COUNT: count,
        **dict.fromkeys(by_link if board.architecture >= _HOPPER else totals, 0),
        **dict.fromkeys(states, nvml.NVML_NVLINK_STATE_ACTIVE),
        **dict.fromkeys(speeds, round(board.nvlink_bytes_per_second / max(1, count) / 1e6)),
    }


def _memory(total: int, reserved: int, used: int) -> Mapping[Call, SimpleNamespace]:
    """Version 1 of the answer counts what is reserved as used."""
    free = total - reserved - used
    function = "nvmlDeviceGetMemoryInfo"
    one = SimpleNamespace(total=total, used=used + reserved, free=free)
    two = SimpleNamespace(total=total, used=used, free=free, reserved=reserved)
    return {(function, ()): one, (function, (nvml.nvmlMemory_v2,)): two}
