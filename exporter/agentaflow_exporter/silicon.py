"""The physics of a simulated GPU: power follows utilization, temperature power, counters both.

Time counts in seconds from BOOT, when all drivers were loaded, and so do the counters. Days begin
at midnight UTC, and floats of seconds keep their microseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import floor
from types import SimpleNamespace
from typing import Any

from agentaflow_exporter import constants as nvml
from agentaflow_exporter.boards import Board
from agentaflow_exporter.driver import Number
from agentaflow_exporter.signals import DAY_SECONDS, Noise, Signal, scatter
from agentaflow_exporter.stories import Behaviour

BOOT = 1_735_689_600.0  # the start of 2025, UTC
_GPU_IDLE, _SW_POWER_CAP, _SW_THERMAL_SLOWDOWN, _HW_THERMAL_SLOWDOWN = 0x1, 0x4, 0x20, 0x40
_PCIE_LANES = 16

Call = tuple[str, tuple[int, ...]]


@dataclass(slots=True)
class State:
    """What the sensors say at one moment."""

    time: float
    utilization: float
    watts: float
    celsius: float
    power_capped: bool
    too_hot: bool
    sm_mhz: int


class Silicon:
    """A board and what somebody does with it. Every answer is a function of the time alone."""

    def __init__(self, board: Board, behaviour: Behaviour, key: int, index: int, uuid: str) -> None:
        self._board = board
        self._behaviour = behaviour
        context_watts = board.context_watts if behaviour.processes else 0.0
        self._idle_watts = board.idle_watts * (1 + 0.1 * scatter(key, 1)) + context_watts
        busiest_watts = board.limit_watts * (0.88 + 0.06 * scatter(key, 2))
        self._watts_per_utilization = busiest_watts - self._idle_watts
        self._inlet_celsius = 23 + 5 * scatter(key, 3)
        self._celsius_per_watt = (36 + 6 * scatter(key, 4)) / board.limit_watts
        self._flutter_celsius = Noise(key ^ 5, 0.9, 61.0)
        self._phase = scatter(key, 5)  # of what is counted, so that boards do not count together
        self._state: State | None = None
        self._constants = _constants(board, behaviour, index, uuid)
        self._sensors: Mapping[Call, Callable[[State], Any]] = {
            ("nvmlDeviceGetUtilizationRates", ()): self._rates,
            ("nvmlDeviceGetPowerUsage", ()): lambda state: int(state.watts * 1000),
            ("nvmlDeviceGetTemperatureV", (nvml.NVML_TEMPERATURE_GPU,)): _celsius,
            ("nvmlDeviceGetTemperature", (nvml.NVML_TEMPERATURE_GPU,)): _celsius,
            ("nvmlDeviceGetClockInfo", (nvml.NVML_CLOCK_SM,)): _sm_mhz,
            ("nvmlDeviceGetClockInfo", (nvml.NVML_CLOCK_GRAPHICS,)): _sm_mhz,
            ("nvmlDeviceGetClockInfo", (nvml.NVML_CLOCK_VIDEO,)): self._video_mhz,
            ("nvmlDeviceGetCurrentClocksEventReasons", ()): _clock_event_reasons,
        }

    def read(self, function: str, arguments: tuple[int, ...], time: float) -> Any:
        """The answer of an NVML function; None where this board does not support it."""
        call = (function, arguments)
        sensor = self._sensors.get(call)
        return sensor(self._at(time)) if sensor else self._constants.get(call)

    def fields(self, time: float) -> dict[int, Number]:
        """Every field that this board supports: NVML_FI id → value."""
        behaviour = self._behaviour
        days = max(0.0, time) / DAY_SECONDS
        corrected = floor(behaviour.corrected_per_day * days + self._phase)
        uncorrected = floor(behaviour.uncorrected_per_day * days + self._phase)
        too_hot = _nanoseconds(behaviour.too_hot, time)
        fields: dict[int, Number] = {
            nvml.NVML_FI_DEV_ECC_CURRENT: 1,
            nvml.NVML_FI_DEV_ECC_PENDING: 1,
            nvml.NVML_FI_DEV_ECC_SBE_VOL_TOTAL: corrected,
            nvml.NVML_FI_DEV_ECC_DBE_VOL_TOTAL: uncorrected,
            nvml.NVML_FI_DEV_ECC_SBE_AGG_TOTAL: corrected + 2,  # before this driver was loaded
            nvml.NVML_FI_DEV_ECC_DBE_AGG_TOTAL: uncorrected,
            nvml.NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION: self._millijoules(time),
            nvml.NVML_FI_DEV_PCIE_REPLAY_COUNTER: floor(days / 30 + self._phase),
            nvml.NVML_FI_DEV_PERF_POLICY_POWER: _nanoseconds(behaviour.power_capped, time),
            nvml.NVML_FI_DEV_PERF_POLICY_SYNC_BOOST: 0,
            nvml.NVML_FI_DEV_CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN: too_hot,
            nvml.NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN: too_hot,
            nvml.NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN: 0,
        }
        if self._board.highest_memory_celsius is not None:
            fields[nvml.NVML_FI_DEV_MEMORY_TEMP] = round(self._at(time).celsius + 4)
        return fields

    def _at(self, time: float) -> State:
        """The sensors at `time`, computed once for all that is read at the same moment."""
        state = self._state
        if state is None or state.time != time:
            self._state = state = self._measure(time)
        return state

    def _measure(self, time: float) -> State:
        behaviour = self._behaviour
        utilization = behaviour.utilization.at(time)
        too_hot = behaviour.too_hot.at(time) > 0
        power_capped = behaviour.power_capped.at(time) > 0
        return State(
            time=time,
            utilization=utilization,
            watts=self._idle_watts + self._watts_per_utilization * utilization,
            celsius=self._temperature(time, too_hot),
            power_capped=power_capped,
            too_hot=too_hot,
            sm_mhz=self._clock(utilization, power_capped, too_hot),
        )

    def _temperature(self, time: float, too_hot: bool) -> float:
        """From the mean power of the last minute; a badly cooled board sits at its thresholds."""
        flutter = self._flutter_celsius.at(time)
        if self._behaviour.badly_cooled:
            return self._board.slowdown_celsius + (1.4 if too_hot else -2.6) + flutter
        watts = (self._joules(time) - self._joules(time - 60)) / 60
        return self._inlet_celsius + self._celsius_per_watt * watts + flutter

    def _clock(self, utilization: float, power_capped: bool, too_hot: bool) -> int:
        """Held down by heat, then by power; otherwise the higher the busier."""
        if utilization == 0:
            return self._board.idle_sm_mhz
        share = 0.6 if too_hot else 0.85 if power_capped else 0.9 + utilization / 10
        return int(self._board.sm_mhz * share / 15) * 15

    def _joules(self, time: float) -> float:
        """The integral of State.watts, from an arbitrary origin."""
        busy = self._behaviour.utilization.integral(time)
        return self._idle_watts * time + self._watts_per_utilization * busy

    def _millijoules(self, time: float) -> int:
        return int(1000 * (self._joules(max(0.0, time)) - self._joules(0.0)))

    def _rates(self, state: State) -> SimpleNamespace:
        percent = round(state.utilization * 100)
        return SimpleNamespace(
            gpu=percent, memory=round(percent * self._behaviour.memory_ratio / 2)
        )

    def _video_mhz(self, state: State) -> int:
        return int(self._board.video_mhz * state.sm_mhz / self._board.sm_mhz)


def _celsius(state: State) -> int:
    return round(state.celsius)


def _sm_mhz(state: State) -> int:
    return state.sm_mhz


def _clock_event_reasons(state: State) -> int:
    reasons = 0 if state.utilization else _GPU_IDLE
    reasons |= _SW_POWER_CAP if state.power_capped else 0
    return reasons | (_SW_THERMAL_SLOWDOWN | _HW_THERMAL_SLOWDOWN if state.too_hot else 0)


def _nanoseconds(indicator: Signal, time: float) -> int:
    """How long the indicator was on; in whole milliseconds, which float noise cannot turn back."""
    seconds = indicator.integral(max(0.0, time)) - indicator.integral(0.0)
    return round(seconds * 1000) * 1_000_000


def _constants(board: Board, behaviour: Behaviour, index: int, uuid: str) -> Mapping[Call, Any]:
    """What does not change while the driver is loaded and the same process runs."""
    used = int(behaviour.memory_ratio * board.memory_bytes)
    processes = [
        SimpleNamespace(pid=2000 + 10 * index + number, usedGpuMemory=used)
        for number in range(behaviour.processes)
    ]
    limit, lowest = int(board.limit_watts * 1000), int(board.lowest_limit_watts * 1000)
    plain = {
        "nvmlDeviceGetUUID": uuid,
        "nvmlDeviceGetName": board.name,
        "nvmlDeviceGetPciInfo": SimpleNamespace(busId=f"00000000:{0x18 + 0x11 * index:02X}:00.0"),
        "nvmlDeviceGetSerial": str(1_650_000_000_000 + int(uuid[-8:], 16)),
        "nvmlDeviceGetVbiosVersion": board.vbios_version,
        "nvmlDeviceGetArchitecture": board.architecture,
        "nvmlDeviceGetCudaComputeCapability": list(board.compute_capability),
        "nvmlDeviceGetMinorNumber": index,
        "nvmlDeviceGetEncoderUtilization": [0, 167_000],
        "nvmlDeviceGetDecoderUtilization": [0, 167_000],
        "nvmlDeviceGetEnforcedPowerLimit": limit,
        "nvmlDeviceGetPowerManagementLimit": limit,
        "nvmlDeviceGetPowerManagementDefaultLimit": limit,
        "nvmlDeviceGetPowerManagementLimitConstraints": [lowest, limit],
        "nvmlDeviceGetPerformanceState": 0 if processes else 8,
        "nvmlDeviceGetCurrPcieLinkGeneration": board.pcie_generation if processes else 1,
        "nvmlDeviceGetMaxPcieLinkGeneration": board.pcie_generation,
        "nvmlDeviceGetCurrPcieLinkWidth": _PCIE_LANES,
        "nvmlDeviceGetMaxPcieLinkWidth": _PCIE_LANES,
        "nvmlDeviceGetComputeRunningProcesses": processes,
        "nvmlDeviceGetGraphicsRunningProcesses": [],
    }
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
        **{(function, ()): answer for function, answer in plain.items()},
        **{("nvmlDeviceGetTemperatureThreshold", (i,)): t for i, t in thresholds.items()},
        **{("nvmlDeviceGetMaxClockInfo", (i,)): mhz for i, mhz in highest_mhz.items()},
        ("nvmlDeviceGetClockInfo", (nvml.NVML_CLOCK_MEM,)): board.memory_mhz,
        **_memory(board.memory_bytes, board.reserved_bytes, used),
    }


def _memory(total: int, reserved: int, used: int) -> Mapping[Call, SimpleNamespace]:
    """Version 1 of the answer counts what is reserved as used."""
    free = total - reserved - used
    function = "nvmlDeviceGetMemoryInfo"
    one = SimpleNamespace(total=total, used=used + reserved, free=free)
    two = SimpleNamespace(total=total, used=used, free=free, reserved=reserved)
    return {(function, ()): one, (function, (nvml.nvmlMemory_v2,)): two}
