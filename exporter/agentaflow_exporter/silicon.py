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
from agentaflow_exporter.activity import Activity
from agentaflow_exporter.boards import Board
from agentaflow_exporter.driver import ALL_LINKS, Number, scoped
from agentaflow_exporter.nameplate import Call, constants, links
from agentaflow_exporter.signals import DAY_SECONDS, Noise, Signal, scatter
from agentaflow_exporter.stories import Behaviour
from agentaflow_exporter.xids import BY_EVENTS, NEVER, Xid

BOOT = 1_735_689_600.0  # the start of 2025, UTC
_GPU_IDLE, _SW_POWER_CAP, _SW_THERMAL_SLOWDOWN, _HW_THERMAL_SLOWDOWN = 0x1, 0x4, 0x20, 0x40
_PCIE_ERRORS = range(
    nvml.NVML_FI_DEV_PCIE_COUNT_CORRECTABLE_ERRORS, nvml.NVML_FI_DEV_PCIE_COUNT_LANE_ERROR + 1
)
_ERRORS_PER_ROW = 250  # a bad row is hit many times before it is replaced
_NO_XIDS = {str(code): NEVER for code in BY_EVENTS}
_ECC_ERROR, _ROW_REMAPPED = "48", "63"


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
        self._links = links(board)
        self._constants = constants(board, behaviour, index, uuid)
        activity = Activity(board, behaviour)
        self._measurements: Mapping[str, Callable[[tuple[int, ...], float], Any]] = {
            "nvmlGpmMetricsGet": activity.metrics,
            "nvmlDeviceGetSamples": activity.samples,
        }
        self._sensors: Mapping[Call, Callable[[State], Any]] = {
            ("nvmlDeviceGetUtilizationRates", ()): self._rates,
            ("nvmlDeviceGetPowerUsage", ()): lambda state: int(state.watts * 1000),
            ("nvmlDeviceGetTemperatureV", (nvml.NVML_TEMPERATURE_GPU,)): _celsius,
            ("nvmlDeviceGetTemperature", (nvml.NVML_TEMPERATURE_GPU,)): _celsius,
            ("nvmlDeviceGetClockInfo", (nvml.NVML_CLOCK_SM,)): _sm_mhz,
            ("nvmlDeviceGetClockInfo", (nvml.NVML_CLOCK_GRAPHICS,)): _sm_mhz,
            ("nvmlDeviceGetClockInfo", (nvml.NVML_CLOCK_VIDEO,)): self._video_mhz,
            ("nvmlDeviceGetCurrentClocksEventReasons", ()): _clock_event_reasons,
            ("nvmlDeviceGetRowRemapperHistogram", ()): self._banks,
        }

    def read(self, function: str, arguments: tuple[int, ...], time: float) -> Any:
        """The answer of an NVML function; None where this board does not support it."""
        measurement = self._measurements.get(function)
        if measurement is not None:
            return measurement(arguments, time)
        if function == "nvmlDeviceGetProcessUtilization":
            return self._process_samples(arguments[0], time)
        call = (function, arguments)
        sensor = self._sensors.get(call)
        return sensor(self._at(time)) if sensor else self._constants.get(call)

    def fields(self, time: float) -> dict[int, Number]:
        """Every field that this board supports: NVML_FI id → value."""
        behaviour = self._behaviour
        days = max(0.0, time) / DAY_SECONDS
        corrected = floor(behaviour.corrected_per_day * days + self._phase)
        uncorrected = self._uncorrected(time)
        milliwatts = int(self._at(time).watts * 1000)
        too_hot = _nanoseconds(behaviour.too_hot, time)
        fields: dict[int, Number] = {
            nvml.NVML_FI_DEV_ECC_CURRENT: 1,
            nvml.NVML_FI_DEV_ECC_PENDING: 1,
            nvml.NVML_FI_DEV_ECC_SBE_VOL_TOTAL: corrected,
            nvml.NVML_FI_DEV_ECC_DBE_VOL_TOTAL: uncorrected,
            nvml.NVML_FI_DEV_ECC_SBE_AGG_TOTAL: corrected + 2,  # before this driver was loaded
            nvml.NVML_FI_DEV_ECC_DBE_AGG_TOTAL: uncorrected,
            nvml.NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION: self._millijoules(time),
            nvml.NVML_FI_DEV_REMAPPED_COR: 0,
            nvml.NVML_FI_DEV_REMAPPED_UNC: uncorrected // _ERRORS_PER_ROW,
            nvml.NVML_FI_DEV_REMAPPED_PENDING: 0,
            nvml.NVML_FI_DEV_REMAPPED_FAILURE: 0,
            nvml.NVML_FI_DEV_GET_GPU_RECOVERY_ACTION: 0,
            nvml.NVML_FI_DEV_POWER_AVERAGE: milliwatts,
            nvml.NVML_FI_DEV_POWER_INSTANT: milliwatts,
            nvml.NVML_FI_DEV_PCIE_REPLAY_COUNTER: floor(days / 30 + self._phase),
            **dict.fromkeys(_PCIE_ERRORS, 0),
            nvml.NVML_FI_DEV_PCIE_COUNT_CORRECTABLE_ERRORS: floor(days / 30 + self._phase),
            nvml.NVML_FI_DEV_PERF_POLICY_POWER: _nanoseconds(behaviour.power_capped, time),
            nvml.NVML_FI_DEV_PERF_POLICY_SYNC_BOOST: 0,
            nvml.NVML_FI_DEV_PERF_POLICY_THERMAL: too_hot,
            nvml.NVML_FI_DEV_CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN: too_hot,
            nvml.NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN: too_hot,
            nvml.NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN: 0,
        }
        if self._board.highest_memory_celsius is not None:
            fields[nvml.NVML_FI_DEV_MEMORY_TEMP] = round(self._at(time).celsius + 4)
        if self._board.nvlinks:
            kibibytes = self._nvlink_kibibytes(time)
            fields |= self._links
            fields[scoped(nvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX, ALL_LINKS)] = kibibytes
            fields[scoped(nvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX, ALL_LINKS)] = kibibytes
        return fields

    def _process_samples(self, last_seen: int, time: float) -> list[list[int]]:
        """The GPU's only process has all of its utilization; there is no sample while it idles."""
        percent = round(self._at(time).utilization * 100)
        microseconds = int((BOOT + time) * 1e6)
        if not percent or microseconds <= last_seen:
            return []
        processes = self._constants["nvmlDeviceGetComputeRunningProcesses", ()]
        return [[process.pid, microseconds, percent] for process in processes]

    def xids(self, time: float) -> Mapping[str, Xid]:
        """One for each uncorrected error and each row remapped since BOOT."""
        errors = self._uncorrected(time)
        if not errors:
            return _NO_XIDS
        rows = errors // _ERRORS_PER_ROW
        found = {**_NO_XIDS, _ECC_ERROR: Xid(errors, self._time_of_error(errors))}
        if rows:
            found[_ROW_REMAPPED] = Xid(rows, self._time_of_error(rows * _ERRORS_PER_ROW))
        return found

    def _time_of_error(self, number: int) -> float:
        days = (number - self._phase) / self._behaviour.uncorrected_per_day
        return BOOT + days * DAY_SECONDS

    def _uncorrected(self, time: float) -> int:
        days = max(0.0, time) / DAY_SECONDS
        return floor(self._behaviour.uncorrected_per_day * days + self._phase)

    def _nvlink_kibibytes(self, time: float) -> int:
        utilization = self._behaviour.utilization
        busy = utilization.integral(max(0.0, time)) - utilization.integral(0.0)
        per_second = self._board.nvlink_bytes_per_second * self._behaviour.nvlink_ratio / 1024
        return int(per_second * busy)

    def _banks(self, state: State) -> SimpleNamespace:
        """Each row that is remapped is in another bank, which has a spare one less for it."""
        high = min(self._uncorrected(state.time) // _ERRORS_PER_ROW, self._board.memory_banks)
        return SimpleNamespace(
            max=self._board.memory_banks - high, high=high, partial=0, low=0, none=0
        )

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
