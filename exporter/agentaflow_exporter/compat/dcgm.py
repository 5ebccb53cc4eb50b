"""dcgm-exporter's names, labels, types and units: the old ones, and those of DCGM 4.6.

DCGM prints most readings as whole numbers, and so does this. That undoes the scaling by which our
own readings were made from NVML's, and cuts MiB as DCGM does.

`python -m agentaflow_exporter.compat.dcgm > docs/compat.md` writes the table for users.
"""

from __future__ import annotations

from collections.abc import Iterable

from agentaflow_exporter.collectors import (
    bar1,
    busy,
    c2c,
    clocks,
    container_usage,
    ecc,
    fabric,
    fans,
    gpm_counters,
    memory,
    mig,
    nvlink,
    pcie,
    power,
    process_usage,
    processes,
    temperature,
    throttle,
    utilization,
    xid,
)
from agentaflow_exporter.collectors.throttle import REASONS
from agentaflow_exporter.compat import NAMES, hardware, profiling
from agentaflow_exporter.compat.fields import NO_FIELD, field, mebibytes, whole
from agentaflow_exporter.compat.translation import Field, Style, described
from agentaflow_exporter.driver import Number
from agentaflow_exporter.metric import Metric

_LABELS = ("gpu", "UUID", "pci_bus_id", "device", "modelName", "Hostname", "DCGM_FI_DRIVER_VERSION")
_POD = ("container", "namespace", "pod")
_INSTANCE = ("GPU_I_PROFILE", "GPU_I_ID")


def style_of(name: str) -> Style:
    """4.6 renamed fields, and dcgm-exporter renamed the label Hostname with them."""
    labels: tuple[str, ...] = (*_LABELS, *_POD)
    if name == "dcgm-4.6":
        labels = tuple("hostname" if label == "Hostname" else label for label in labels)
    model = _LABELS.index("modelName") + 1
    return Style(NAMES.index(name), labels, (*labels[:model], *_INSTANCE, *labels[model:]))


def _used_share(used: Number, total: Number, reserved: Number) -> float:
    """As DCGM defines it: used / (total - reserved)."""
    return used / (total - reserved) if total > reserved else 0.0


def _bits(*active: Number) -> int:
    return sum(bit for bit, on in zip(REASONS.values(), active, strict=True) if on)


def _clocks() -> Iterable[Field]:
    for clock, label in (("SM", "sm"), ("MEM", "memory"), ("VIDEO", "video")):
        now, most = (clocks.CLOCK, (label,)), (clocks.CLOCK_MAX, (label,))
        yield field(f"{clock}_CLOCK", f"{clock} clock", "MHz", now, convert=whole(1e-06))
        yield field(
            f"MAX_{clock}_CLOCK", f"Highest {clock} clock", "MHz", most, convert=whole(1e-06)
        )
    reasons = tuple((throttle.CLOCK_EVENT, label) for label in REASONS)
    names = "CLOCK_THROTTLE_REASONS CLOCKS_EVENT_REASONS"
    yield field(names, "Bit mask of what holds the clocks down", "", *reasons, convert=_bits)
    yield field("PSTATE GPU_PSTATE", "Performance state", "", (clocks.PERFORMANCE_STATE, ()))


def _temperatures() -> Iterable[Field]:
    for names, meaning, metric, label in (
        ("GPU_TEMP GPU_TEMP_CELSIUS", "GPU temperature", temperature.TEMPERATURE, "gpu"),
        (
            "MEMORY_TEMP MEMORY_TEMP_CELSIUS",
            "Memory temperature",
            temperature.TEMPERATURE,
            "memory",
        ),
        (
            "SLOWDOWN_TEMP GPU_TEMP_SLOWDOWN_CELSIUS",
            "Slowdown temperature",
            temperature.TEMPERATURE_THRESHOLD,
            "slowdown",
        ),
        (
            "SHUTDOWN_TEMP GPU_TEMP_SHUTDOWN_CELSIUS",
            "Shutdown temperature",
            temperature.TEMPERATURE_THRESHOLD,
            "shutdown",
        ),
        (
            "GPU_MAX_OP_TEMP GPU_MAX_OP_TEMP_CELSIUS",
            "Highest operating temperature of the GPU",
            temperature.TEMPERATURE_THRESHOLD,
            "gpu_max",
        ),
        (
            "MEM_MAX_OP_TEMP MEMORY_MAX_OP_TEMP_CELSIUS",
            "Highest operating temperature of the memory",
            temperature.TEMPERATURE_THRESHOLD,
            "memory_max",
        ),
    ):
        yield field(names, meaning, "C", (metric, (label,)))


def _power() -> Iterable[Field]:
    yield field("POWER_USAGE BOARD_POWER_WATTS", "Power draw", "W", (power.POWER, ()))
    names, instant = "POWER_USAGE_INSTANT BOARD_POWER_RAW_WATTS", (power.POWER_INSTANT, ())
    yield field(names, "Power draw of the moment", "W", instant)
    yield field(
        "TOTAL_ENERGY_CONSUMPTION",
        "Energy since the driver was loaded",
        "mJ",
        (power.ENERGY, ()),
        convert=whole(1000),
        kind="counter",
    )
    for names, label in (
        ("ENFORCED_POWER_LIMIT BOARD_POWER_LIMIT_ENFORCED_WATTS", "enforced"),
        ("POWER_MGMT_LIMIT BOARD_POWER_LIMIT_REQUESTED_WATTS", "requested"),
        ("POWER_MGMT_LIMIT_DEF BOARD_POWER_LIMIT_DEFAULT_WATTS", "default"),
        ("POWER_MGMT_LIMIT_MIN BOARD_POWER_LIMIT_MIN_WATTS", "min"),
        ("POWER_MGMT_LIMIT_MAX BOARD_POWER_LIMIT_MAX_WATTS", "max"),
    ):
        yield field(names, f"Power limit, {label}", "W", (power.POWER_LIMIT, (label,)))


def _utilization() -> Iterable[Field]:
    """4.6 calls the first a ratio, but counts it in percent still."""
    for names, meaning, label in (
        ("GPU_UTIL GPU_UTIL_RATIO", "GPU utilization", "gpu"),
        ("MEM_COPY_UTIL", "Memory utilization", "memory"),
        ("ENC_UTIL", "Encoder utilization", "encoder"),
        ("DEC_UTIL", "Decoder utilization", "decoder"),
    ):
        yield field(names, meaning, "%", (utilization.UTILIZATION, (label,)), convert=whole(100))


def _memory() -> Iterable[Field]:
    total, used = (memory.MEMORY_TOTAL, ()), (memory.MEMORY_USED, ())
    reserved, free = (memory.MEMORY_RESERVED, ()), (memory.MEMORY_FREE, ())
    for name, meaning, of_gpu, part in (
        ("TOTAL", "", total, mig.MIG_MEMORY_TOTAL),
        ("FREE", " free", free, mig.MIG_MEMORY_FREE),
        ("USED", " used", used, mig.MIG_MEMORY_USED),
    ):
        yield field(
            f"FB_{name}",
            f"Framebuffer memory{meaning}",
            "MiB",
            of_gpu,
            convert=mebibytes,
            of_instance=((part, ()),),
        )
    meaning = "Framebuffer memory reserved"
    yield field("FB_RESERVED", meaning, "MiB", reserved, convert=mebibytes, of_instance=())
    bar1_total, bar1_used = (bar1.BAR1_TOTAL, ()), (bar1.BAR1_USED, ())
    yield field("BAR1_TOTAL", "BAR1 window", "MiB", bar1_total, convert=mebibytes)
    yield field("BAR1_USED", "BAR1 window used", "MiB", bar1_used, convert=mebibytes)
    names = "FB_USED_PERCENT FB_USED_RATIO"
    share = "Framebuffer memory used / (total - reserved)"
    yield field(names, share, "0 to 1", used, total, reserved, convert=_used_share, of_instance=())


def _errors() -> Iterable[Field]:
    for bits, label in (("SBE", "corrected"), ("DBE", "uncorrected")):
        for life, metric in (("VOL", ecc.ECC_ERRORS), ("AGG", ecc.ECC_LIFETIME_ERRORS)):
            meaning = f"Memory errors, {label}, {'in the life of the board' * (life == 'AGG')}"
            yield field(
                f"ECC_{bits}_{life}_TOTAL",
                meaning.removesuffix(", "),
                "",
                (metric, (label,)),
                kind="counter",
            )
    yield field("ECC_CURRENT ECC_MODE", "ECC mode", "", (ecc.ECC_MODE, ("current",)))
    pending = (ecc.ECC_MODE, ("pending",))
    yield field("ECC_PENDING", "ECC mode from the next reboot", "", pending)


FIELDS: tuple[Field, ...] = (
    *_clocks(),
    *_temperatures(),
    *_power(),
    *_utilization(),
    *_memory(),
    *_errors(),
    *hardware.FIELDS,
    *profiling.FIELDS,
)
# Of each collector's readings, those that DCGM has no field for, and why.
WITHOUT: dict[tuple[Metric, tuple[str, ...]], str] = {
    (clocks.CLOCK, ("graphics",)): NO_FIELD,
    (clocks.CLOCK_MAX, ("graphics",)): NO_FIELD,
    (processes.PROCESSES, ("compute",)): NO_FIELD,
    (processes.PROCESSES, ("graphics",)): NO_FIELD,
    **hardware.WITHOUT,
    **profiling.WITHOUT,
}
_BYTES = "DCGM's NVLINK_COUNT_…_BYTES are NVML's fields 202 and 204, which are other counts"
_FABRIC = "DCGM's FABRIC_MANAGER_STATUS joins state and error in a code of its own"
_WINDOW = "dcgm-exporter's DCGM_EXP_XID_ERRORS_COUNT counts within a window: take increase()"
METRICS_WITHOUT: dict[Metric, str] = {
    process_usage.PROCESS_MEMORY: NO_FIELD,
    process_usage.PROCESS_SM: NO_FIELD,
    process_usage.PROCESS_INFO: NO_FIELD,
    container_usage.CONTAINER_MEMORY: NO_FIELD,
    container_usage.CONTAINER_SM: NO_FIELD,
    xid.XID_ERRORS: _WINDOW,
    xid.XID_LAST_TIMESTAMP: NO_FIELD,
    power.POWER_AVERAGE: NO_FIELD,
    pcie.PCIE_ERRORS: f"{NO_FIELD}, but for correctable",
    fans.FAN_RPM: NO_FIELD,
    nvlink.NVLINK_TRANSMIT: _BYTES,
    nvlink.NVLINK_RECEIVE: _BYTES,
    nvlink.NVLINK_LINKS: NO_FIELD,
    nvlink.NVLINK_UP: "DCGM's NVLINK_GET_STATE is of links, whose series have other labels",
    c2c.C2C_UP: "DCGM's C2C_LINK_STATUS does not say which link it is of",
    nvlink.NVLINK_SPEED: NO_FIELD,
    fabric.FABRIC_STATE: _FABRIC,
    fabric.FABRIC_ERROR: _FABRIC,
    fabric.FABRIC_HEALTH: NO_FIELD,
    busy.BUSY: NO_FIELD,
    busy.OBSERVED: NO_FIELD,
    **hardware.METRICS_WITHOUT,
    **dict.fromkeys(gpm_counters.COLLECTOR.metrics, "DCGM has ratios and rates instead"),
}

_INTRODUCTION = """# Under dcgm-exporter's names

Generated: `python -m agentaflow_exporter.compat.dcgm > docs/compat.md`.

`--compat dcgm` adds the readings under the names that dcgm-exporter has had for years,
`--compat dcgm-4.6` under those of DCGM 4.6, so that its boards and rules work unchanged.
`--no-metrics.own` leaves the collectors' own metrics out; `agentaflow_gpu_up` stays.

- Labels are dcgm-exporter's: {labels}.
  With `dcgm-4.6` `Hostname` is `hostname`. Its value is the variable NODE_NAME, or else the
  machine's name.
- A GPU that several containers hold has one series for each of them, each with the
  whole GPU's reading: a sum over them counts it as often. Our own metrics do not.
- A GPU that is cut into MIG instances has a series for each of them, with the labels
  `GPU_I_PROFILE` and `GPU_I_ID`, and none as a whole. Memory and activity are the
  instance's; all else is the whole GPU's, so that a sum over them counts it as often. Other
  GPUs of that machine have these labels empty meanwhile, which Prometheus takes for absent.
- A reading that we do not have is absent; nothing is a blank value or a 0 instead.
- Types are dcgm-exporter's; names do not follow Prometheus' conventions, so that
  `promtool check metrics` complains. In OpenMetrics, which allows no counter without
  `_total`, those counters are of unknown type.
- `GPU_UTIL_RATIO` is in percent, as in DCGM 4.6, whatever its name says.
- A dcgm-exporter of 2026 with its default list of fields has the old names and the label
  `hostname`: take `dcgm`, and rename the label when scraping.
"""


def documentation() -> str:
    """The Markdown of docs/compat.md."""
    labels = " ".join(f"`{label}`" for label in (*_LABELS, *_POD))
    lines = [_INTRODUCTION.format(labels=labels), "| Ours | `dcgm` | `dcgm-4.6` | Type | Unit |"]
    lines.append("|---|---|---|---|---|")
    for row in FIELDS:
        old, new = (f"`{name}`" for name in row.names)
        source = f"`{described(row.sources)}`"
        if row.of_instance:
            source += f"; of an instance `{described(row.of_instance)}`"
        new = "the same" if new == old else new
        lines.append(f"| {source} | {old} | {new} | {row.kind} | {row.unit} |")
    lines += ["", "## Only under our own names", ""]
    lines += [f"- `{described([source])}`: {reason}" for source, reason in WITHOUT.items()]
    lines += [f"- `{metric.name}`: {reason}" for metric, reason in METRICS_WITHOUT.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(documentation(), end="")
