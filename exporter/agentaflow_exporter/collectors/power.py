"""Power, its limits, and energy of each GPU."""

from __future__ import annotations

from collections.abc import Iterator

from agentaflow_exporter.collector import Collector, GpuReader, Reading, scaled
from agentaflow_exporter.constants import (
    NVML_FI_DEV_POWER_AVERAGE,
    NVML_FI_DEV_POWER_INSTANT,
    NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION,
)
from agentaflow_exporter.metric import declare_gpu

POWER = declare_gpu(
    "power", "power_watts", "Power drawn by the board.", source="nvmlDeviceGetPowerUsage"
)
POWER_AVERAGE = declare_gpu(
    "power",
    "power_average_watts",
    "Power drawn by the board, on average over a second; power_watts is it too on most GPUs.",
    source="field 185, POWER_AVERAGE",
    since="R525",
)
POWER_INSTANT = declare_gpu(
    "power",
    "power_instant_watts",
    "Power drawn by the board at this moment.",
    source="field 186, POWER_INSTANT",
    since="R525",
)
POWER_LIMIT = declare_gpu(
    "power",
    "power_limit_watts",
    "Power limit: enforced (the lowest in force), requested, default, and the settable range.",
    "limit",
    source="nvmlDeviceGetEnforcedPowerLimit, PowerManagementLimit, …DefaultLimit, …Constraints",
)
ENERGY = declare_gpu(
    "power",
    "energy_joules_total",
    "Energy used since the driver was loaded.",
    source="field 83, TOTAL_ENERGY_CONSUMPTION",
)


def _gpu(gpu: GpuReader) -> Iterator[Reading]:
    """NVML answers in milliwatts and millijoules."""
    yield POWER, (), scaled(gpu.read("nvmlDeviceGetPowerUsage"), per=1000)
    yield POWER_AVERAGE, (), scaled(gpu.field(NVML_FI_DEV_POWER_AVERAGE), per=1000)
    yield POWER_INSTANT, (), scaled(gpu.field(NVML_FI_DEV_POWER_INSTANT), per=1000)
    yield ENERGY, (), scaled(gpu.field(NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION), per=1000)
    enforced = gpu.read("nvmlDeviceGetEnforcedPowerLimit")
    yield POWER_LIMIT, ("enforced",), scaled(enforced, per=1000)
    requested = gpu.read("nvmlDeviceGetPowerManagementLimit")
    yield POWER_LIMIT, ("requested",), scaled(requested, per=1000)
    default = gpu.constant("nvmlDeviceGetPowerManagementDefaultLimit")
    yield POWER_LIMIT, ("default",), scaled(default, per=1000)
    settable = gpu.constant("nvmlDeviceGetPowerManagementLimitConstraints")
    if settable is not None:
        yield POWER_LIMIT, ("min",), settable[0] / 1000
        yield POWER_LIMIT, ("max",), settable[1] / 1000


COLLECTOR = Collector(
    "power",
    "power, power limits, energy",
    (
        POWER,
        POWER_AVERAGE,
        POWER_INSTANT,
        POWER_LIMIT,
        ENERGY,
    ),
    gpu=_gpu,
    fields=(
        NVML_FI_DEV_POWER_AVERAGE,
        NVML_FI_DEV_POWER_INSTANT,
        NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION,
    ),
)
