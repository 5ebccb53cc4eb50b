"""Why the clocks of each GPU are held down, now and in total."""

from __future__ import annotations

from collections.abc import Iterator

from agentaflow_exporter import constants as nvml
from agentaflow_exporter.collector import Collector, GpuReader, Reading, scaled
from agentaflow_exporter.metric import declare_gpu

CLOCK_EVENT = declare_gpu(
    "throttle",
    "clock_event_active",
    "1 while the reason holds the clocks below their highest.",
    "reason",
    source="nvmlDeviceGetCurrentClocksEventReasons",
    highest=1,
)
CLOCK_EVENT_SECONDS = declare_gpu(
    "throttle",
    "clock_event_seconds_total",
    "Time for which the reason has held the clocks down.",
    "reason",
    source="fields 74, 76, 269, 270, 271, CLOCKS_EVENT_REASON_…",
    since="R575 for the thermal and brake reasons",
)

POLICY_SECONDS = declare_gpu(
    "throttle",
    "performance_policy_seconds_total",
    "Time for which the policy held the clocks down; thermal is by any of the thermal reasons.",
    "policy",
    source="fields 75, 77, 78, 79, PERF_POLICY_…",
)

REASONS = {
    ("gpu_idle",): 0x1,
    ("applications_clocks_setting",): 0x2,
    ("sw_power_cap",): 0x4,
    ("hw_slowdown",): 0x8,
    ("sync_boost",): 0x10,
    ("sw_thermal_slowdown",): 0x20,
    ("hw_thermal_slowdown",): 0x40,
    ("hw_power_brake_slowdown",): 0x80,
    ("display_clock_setting",): 0x100,
}
_NANOSECONDS = {
    ("sw_power_cap",): nvml.NVML_FI_DEV_PERF_POLICY_POWER,
    ("sync_boost",): nvml.NVML_FI_DEV_PERF_POLICY_SYNC_BOOST,
    ("sw_thermal_slowdown",): nvml.NVML_FI_DEV_CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN,
    ("hw_thermal_slowdown",): nvml.NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN,
    ("hw_power_brake_slowdown",): nvml.NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN,
}

_POLICIES = {
    ("thermal",): nvml.NVML_FI_DEV_PERF_POLICY_THERMAL,
    ("board_limit",): nvml.NVML_FI_DEV_PERF_POLICY_BOARD_LIMIT,
    ("low_utilization",): nvml.NVML_FI_DEV_PERF_POLICY_LOW_UTILIZATION,
    ("reliability",): nvml.NVML_FI_DEV_PERF_POLICY_RELIABILITY,
}
_NANOSECOND = 1_000_000_000


def _gpu(gpu: GpuReader) -> Iterator[Reading]:
    """Drivers before R535 call the event reasons throttle reasons."""
    active = gpu.read("nvmlDeviceGetCurrentClocksEventReasons")
    if active is None:
        active = gpu.read("nvmlDeviceGetCurrentClocksThrottleReasons")
    if active is not None:
        for labels, bit in REASONS.items():
            yield CLOCK_EVENT, labels, 1 if active & bit else 0
    for labels, field_id in _NANOSECONDS.items():
        yield CLOCK_EVENT_SECONDS, labels, scaled(gpu.field(field_id), per=_NANOSECOND)
    for labels, field_id in _POLICIES.items():
        yield POLICY_SECONDS, labels, scaled(gpu.field(field_id), per=_NANOSECOND)


COLLECTOR = Collector(
    "throttle",
    "clock event reasons and performance policies",
    (
        CLOCK_EVENT,
        CLOCK_EVENT_SECONDS,
        POLICY_SECONDS,
    ),
    gpu=_gpu,
    fields=(*_NANOSECONDS.values(), *_POLICIES.values()),
)
