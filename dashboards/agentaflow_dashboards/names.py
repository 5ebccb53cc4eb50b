"""Under which names an exporter has the readings of a GPU, so that one board serves several."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from agentaflow_dashboards.promql import UNCORRECTED, grown, numbered

MIB = "1048576"


@dataclass(frozen=True, slots=True)
class Names:
    """An exporter's names. Calling one with a reading gives PromQL with one series for each GPU.

    All readings are in base units. `uid` begins the uids of the boards, `title` their titles.
    """

    uid: str
    title: str
    node: str
    uuid: str
    inventory: str  # a reading that every GPU has, by which GPUs are counted
    readings: Mapping[str, str]
    growing: Mapping[str, str]
    recorded: Mapping[str, str] = field(default_factory=dict)  # the counters that rules record
    reasons: Mapping[str, str] = field(default_factory=dict)  # each its own, else one by `reason`

    def __call__(self, reading: str, *matchers: str) -> str:
        return self.readings[reading].replace("CHOSEN", ",".join([*matchers, self.chosen]))

    def new(self, reading: str, *matchers: str) -> str:
        """Growth of a counter from point to point, for a line."""
        return self._grown(reading, "increase", "$__rate_interval", matchers)

    def increase(self, reading: str, *matchers: str) -> str:
        """Growth of a counter in the chosen range, for a value of now of one GPU or node."""
        return self._grown(reading, "increase", "$__range", matchers)

    def grown(self, reading: str) -> str:
        """The same for a whole fleet, of a sample each five minutes; some only where it grew."""
        if reading in self.recorded:
            return grown(self.recorded[reading])
        return self._grown(reading, "increase", "$__range:5m", ())

    def numbered(self, expr: str) -> str:
        """What `grown` gives, with the label gpu under our names too."""
        return numbered(expr) if self.ours else expr

    def counted(self, reading: str) -> str:
        """A series for each GPU that has the counter at all."""
        return self._grown(reading, "increase", "5m", ())

    @property
    def ours(self) -> bool:
        return self.node == "node"

    @property
    def chosen(self) -> str:
        return f'cluster=~"$cluster",{self.node}=~"$node"'

    @property
    def each_gpu(self) -> str:
        return f"by (cluster, {self.node}, gpu, {self.uuid})"

    @property
    def each_node(self) -> str:
        return f"by (cluster, {self.node})"

    @property
    def label_of_node(self) -> str:
        return f"{{{{{self.node}}}}}"

    def board(self, name: str) -> str:
        """The uid of the board of that name."""
        return f"{self.uid}-{name}"

    def _grown(self, reading: str, function: str, over: str, matchers: tuple[str, ...]) -> str:
        text = self.growing[reading].replace("CHOSEN", ",".join([*matchers, self.chosen]))
        return text.replace("GROWS", function).replace("OVER", over)


def _ours(metric: str, *matchers: str) -> str:
    return f"agentaflow_gpu_{metric}{{{','.join([*matchers, 'CHOSEN'])}}}"


def _grows(metric: str, *matchers: str) -> str:
    return f"GROWS({_ours(metric, *matchers)}[OVER])"


OURS = Names(
    uid="agentaflow",
    title="AgentaFlow",
    node="node",
    uuid="uuid",
    inventory="agentaflow_gpu_up",
    readings={
        "known": _ours("up"),
        "utilization": _ours("utilization_ratio", 'engine="gpu"'),
        "memory_used": _ours("memory_used_bytes"),
        "memory_total": _ours("memory_total_bytes"),
        "memory_ratio": f"({_ours('memory_used_bytes')} / {_ours('memory_total_bytes')})",
        "temperature": _ours("temperature_celsius", 'sensor="gpu"'),
        "memory_temperature": _ours("temperature_celsius", 'sensor="memory"'),
        "slowdown_temperature": _ours("temperature_threshold_celsius", 'threshold="slowdown"'),
        "power": _ours("power_watts"),
        "power_limit": _ours("power_limit_watts", 'limit="enforced"'),
        "sm_clock": _ours("clock_hertz", 'clock="sm"'),
        "sm_clock_max": _ours("clock_max_hertz", 'clock="sm"'),
        "performance_state": _ours("performance_state"),
        "last_xid": _ours("last_xid"),
        "sm_active": _ours("sm_active_ratio"),
        "sm_occupancy": _ours("sm_occupancy_ratio"),
        "tensor_active": _ours("pipe_active_ratio", 'pipe="tensor"'),
        "dram_active": _ours("dram_active_ratio"),
        "pcie_transmit": _ours("pcie_transmit_bytes_per_second"),
        "pcie_receive": _ours("pcie_receive_bytes_per_second"),
        "nvlink_transmit": _ours("nvlink_transmit_bytes_per_second"),
        "nvlink_receive": _ours("nvlink_receive_bytes_per_second"),
        "row_remap_pending": _ours("row_remap_pending"),
        "row_remap_failure": _ours("row_remap_failure"),
        "recovery_action": _ours("recovery_action"),
    },
    growing={
        "energy": _grows("energy_joules_total"),
        "uncorrected": _grows("ecc_errors_total", UNCORRECTED),
        "corrected": _grows("ecc_errors_total", 'type="corrected"'),
        "pcie_replays": _grows("pcie_replays_total"),
    },
    recorded={"energy": "energy_joules", "uncorrected": "ecc_uncorrected"},
)

_EACH = "by (cluster, Hostname, gpu, UUID)"


def _dcgm(metric: str, scale: str = "") -> str:
    """A GPU that several pods hold has a series for each: they are made one."""
    one = f"max {_EACH} (DCGM_FI_{metric}{{CHOSEN}})"
    return f"({one} {scale})" if scale else one


def _dcgm_grows(metric: str, scale: str = "") -> str:
    one = f"max {_EACH} (GROWS(DCGM_FI_{metric}{{CHOSEN}}[OVER]))"
    return f"({one} {scale})" if scale else one


def _bit(number: int) -> str:
    return f"(floor({_dcgm('DEV_CLOCK_THROTTLE_REASONS')} / {number}) % 2)"


_USED = _dcgm("DEV_FB_USED", f"* {MIB}")
_FREE = _dcgm("DEV_FB_FREE", f"* {MIB}")

DCGM = Names(
    uid="agentaflow-dcgm",
    title="AgentaFlow, DCGM names",
    node="Hostname",
    uuid="UUID",
    inventory="DCGM_FI_DEV_GPU_UTIL",
    readings={
        "known": _dcgm("DEV_GPU_UTIL", "* 0 + 1"),
        "utilization": _dcgm("DEV_GPU_UTIL", "/ 100"),
        "memory_used": _USED,
        "memory_total": f"({_USED} + {_FREE})",
        "memory_ratio": f"({_USED} / ({_USED} + {_FREE}))",
        "temperature": _dcgm("DEV_GPU_TEMP"),
        "memory_temperature": _dcgm("DEV_MEMORY_TEMP"),
        "slowdown_temperature": _dcgm("DEV_SLOWDOWN_TEMP"),
        "power": _dcgm("DEV_POWER_USAGE"),
        "power_limit": _dcgm("DEV_POWER_MGMT_LIMIT"),
        "sm_clock": _dcgm("DEV_SM_CLOCK", "* 1e6"),
        "sm_clock_max": _dcgm("DEV_MAX_SM_CLOCK", "* 1e6"),
        "performance_state": _dcgm("DEV_PSTATE"),
        "last_xid": _dcgm("DEV_XID_ERRORS"),
        "sm_active": _dcgm("PROF_SM_ACTIVE"),
        "sm_occupancy": _dcgm("PROF_SM_OCCUPANCY"),
        "tensor_active": _dcgm("PROF_PIPE_TENSOR_ACTIVE"),
        "dram_active": _dcgm("PROF_DRAM_ACTIVE"),
        "pcie_transmit": _dcgm("PROF_PCIE_TX_BYTES"),
        "pcie_receive": _dcgm("PROF_PCIE_RX_BYTES"),
        "nvlink_transmit": _dcgm("PROF_NVLINK_TX_BYTES"),
        "nvlink_receive": _dcgm("PROF_NVLINK_RX_BYTES"),
        "row_remap_pending": _dcgm("DEV_ROW_REMAP_PENDING"),
        "row_remap_failure": _dcgm("DEV_ROW_REMAP_FAILURE"),
    },
    growing={
        "energy": _dcgm_grows("DEV_TOTAL_ENERGY_CONSUMPTION", "/ 1000"),
        "uncorrected": _dcgm_grows("DEV_ECC_DBE_VOL_TOTAL"),
        "corrected": _dcgm_grows("DEV_ECC_SBE_VOL_TOTAL"),
        "pcie_replays": _dcgm_grows("DEV_PCIE_REPLAY_COUNTER"),
    },
    reasons={
        "sw_power_cap": _bit(4),
        "sw_thermal_slowdown": _bit(32),
        "hw_thermal_slowdown": _bit(64),
        "hw_power_brake_slowdown": _bit(128),
    },
)


SLOWED_DOWN = 'reason=~"sw_power_cap|.+_slowdown"'
COLOUR_OF_REASON = {
    "sw_power_cap": "blue",
    "sw_thermal_slowdown": "orange",
    "hw_thermal_slowdown": "red",
    "hw_slowdown": "dark-red",
    "hw_power_brake_slowdown": "purple",
}
"""A power limit is nobody's fault; all others are heat, power supply or the hardware."""


def slowed(names: Names) -> Mapping[str, str]:
    """Legend → PromQL: how many GPUs each reason slows down."""
    if names.reasons:
        return {
            reason: f"sum({expr.replace('CHOSEN', names.chosen)})"
            for reason, expr in names.reasons.items()
        }
    active = f"agentaflow_gpu_clock_event_active{{{SLOWED_DOWN},{names.chosen}}}"
    return {"{{reason}}": f"sum by (reason) ({active})"}


def slowdowns(names: Names) -> Mapping[str, str]:
    """Legend → PromQL: 1 while a GPU is slowed down by any reason but its power limit."""
    if names.reasons:
        hard = [text for reason, text in names.reasons.items() if reason != "sw_power_cap"]
        worst = " + ".join(hard).replace("CHOSEN", names.chosen)
        return {"GPU {{gpu}}": f"clamp_max({worst}, 1)"}
    chosen = f'{{reason=~".+_slowdown",{names.chosen}}}'
    return {"GPU {{gpu}}": f"max {names.each_gpu} (agentaflow_gpu_clock_event_active{chosen})"}
