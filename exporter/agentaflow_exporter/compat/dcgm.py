"""dcgm-exporter's names, labels, types and units: the old ones, and those of DCGM 4.6.

DCGM prints most readings as whole numbers, and so does this. That undoes the scaling by which our
own readings were made from NVML's, and cuts MiB as DCGM does.

`python -m agentaflow_exporter.compat.dcgm > docs/compat.md` writes the table for users.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

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
    recovery,
    remapped_rows,
    temperature,
    throttle,
    utilization,
    xid,
)
from agentaflow_exporter.collectors.throttle import REASONS
from agentaflow_exporter.compat import NAMES, hardware, profiling
from agentaflow_exporter.compat.translation import Field, Source, Style, described
from agentaflow_exporter.driver import Number
from agentaflow_exporter.metric import Metric

_PREFIX = "DCGM_FI_DEV_"
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


def _same(value: Number) -> Number:
    return value


def _whole(factor: float) -> Callable[[Number], int]:
    return lambda value: round(value * factor)


def _mebibytes(value: Number) -> int:
    return int(value) >> 20


def _used_share(used: Number, total: Number, reserved: Number) -> float:
    """As DCGM defines it: used / (total - reserved)."""
    return used / (total - reserved) if total > reserved else 0.0


def _bits(*active: Number) -> int:
    return sum(bit for bit, on in zip(REASONS.values(), active, strict=True) if on)


def _field(
    names: str,
    meaning: str,
    unit: str,
    convert: Callable[..., Number],
    *sources: Source,
    kind: Literal["gauge", "counter"] = "gauge",
    of_instance: tuple[Source, ...] | None = None,
) -> Field:
    """`names`: without DCGM_FI_DEV_; the old one, and 4.6's if it is another."""
    old, _, new = names.partition(" ")
    both = _PREFIX + old, _PREFIX + (new or old)
    return Field(both, kind, meaning, unit, convert, sources, of_instance)


def _clocks() -> Iterable[Field]:
    for clock, label in (("SM", "sm"), ("MEM", "memory"), ("VIDEO", "video")):
        now, most = (clocks.CLOCK, (label,)), (clocks.CLOCK_MAX, (label,))
        yield _field(f"{clock}_CLOCK", f"{clock} clock", "MHz", _whole(1e-6), now)
        yield _field(f"MAX_{clock}_CLOCK", f"Highest {clock} clock", "MHz", _whole(1e-6), most)
    reasons = tuple((throttle.CLOCK_EVENT, label) for label in REASONS)
    names = "CLOCK_THROTTLE_REASONS CLOCKS_EVENT_REASONS"
    yield _field(names, "Bit mask of what holds the clocks down", "", _bits, *reasons)
    yield _field(
        "PSTATE GPU_PSTATE", "Performance state", "", _same, (clocks.PERFORMANCE_STATE, ())
    )


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
        yield _field(names, meaning, "C", _same, (metric, (label,)))


def _power() -> Iterable[Field]:
    yield _field("POWER_USAGE BOARD_POWER_WATTS", "Power draw", "W", _same, (power.POWER, ()))
    names, instant = "POWER_USAGE_INSTANT BOARD_POWER_RAW_WATTS", (power.POWER_INSTANT, ())
    yield _field(names, "Power draw of the moment", "W", _same, instant)
    yield _field(
        "TOTAL_ENERGY_CONSUMPTION",
        "Energy since the driver was loaded",
        "mJ",
        _whole(1000),
        (power.ENERGY, ()),
        kind="counter",
    )
    for names, label in (
        ("ENFORCED_POWER_LIMIT BOARD_POWER_LIMIT_ENFORCED_WATTS", "enforced"),
        ("POWER_MGMT_LIMIT BOARD_POWER_LIMIT_REQUESTED_WATTS", "requested"),
        ("POWER_MGMT_LIMIT_DEF BOARD_POWER_LIMIT_DEFAULT_WATTS", "default"),
        ("POWER_MGMT_LIMIT_MIN BOARD_POWER_LIMIT_MIN_WATTS", "min"),
        ("POWER_MGMT_LIMIT_MAX BOARD_POWER_LIMIT_MAX_WATTS", "max"),
    ):
        yield _field(names, f"Power limit, {label}", "W", _same, (power.POWER_LIMIT, (label,)))


def _utilization() -> Iterable[Field]:
    """4.6 calls the first a ratio, but counts it in percent still."""
    for names, meaning, label in (
        ("GPU_UTIL GPU_UTIL_RATIO", "GPU utilization", "gpu"),
        ("MEM_COPY_UTIL", "Memory utilization", "memory"),
        ("ENC_UTIL", "Encoder utilization", "encoder"),
        ("DEC_UTIL", "Decoder utilization", "decoder"),
    ):
        yield _field(names, meaning, "%", _whole(100), (utilization.UTILIZATION, (label,)))


def _memory() -> Iterable[Field]:
    total, used = (memory.MEMORY_TOTAL, ()), (memory.MEMORY_USED, ())
    reserved, free = (memory.MEMORY_RESERVED, ()), (memory.MEMORY_FREE, ())
    for name, meaning, whole, part in (
        ("TOTAL", "", total, mig.MIG_MEMORY_TOTAL),
        ("FREE", " free", free, mig.MIG_MEMORY_FREE),
        ("USED", " used", used, mig.MIG_MEMORY_USED),
    ):
        yield _field(
            f"FB_{name}",
            f"Framebuffer memory{meaning}",
            "MiB",
            _mebibytes,
            whole,
            of_instance=((part, ()),),
        )
    meaning = "Framebuffer memory reserved"
    yield _field("FB_RESERVED", meaning, "MiB", _mebibytes, reserved, of_instance=())
    bar1_total, bar1_used = (bar1.BAR1_TOTAL, ()), (bar1.BAR1_USED, ())
    yield _field("BAR1_TOTAL", "BAR1 window", "MiB", _mebibytes, bar1_total)
    yield _field("BAR1_USED", "BAR1 window used", "MiB", _mebibytes, bar1_used)
    names = "FB_USED_PERCENT FB_USED_RATIO"
    share = "Framebuffer memory used / (total - reserved)"
    yield _field(names, share, "0 to 1", _used_share, used, total, reserved, of_instance=())


def _errors() -> Iterable[Field]:
    for bits, label in (("SBE", "corrected"), ("DBE", "uncorrected")):
        for life, metric in (("VOL", ecc.ECC_ERRORS), ("AGG", ecc.ECC_LIFETIME_ERRORS)):
            meaning = f"Memory errors, {label}, {'in the life of the board' * (life == 'AGG')}"
            yield _field(
                f"ECC_{bits}_{life}_TOTAL",
                meaning.removesuffix(", "),
                "",
                _same,
                (metric, (label,)),
                kind="counter",
            )
    yield _field("ECC_CURRENT ECC_MODE", "ECC mode", "", _same, (ecc.ECC_MODE, ("current",)))
    pending = (ecc.ECC_MODE, ("pending",))
    yield _field("ECC_PENDING", "ECC mode from the next reboot", "", _same, pending)


def _pcie() -> Iterable[Field]:
    for names, meaning, metric in (
        ("PCIE_LINK_GEN", "PCIe generation", pcie.PCIE_GENERATION),
        ("PCIE_MAX_LINK_GEN", "Highest PCIe generation", pcie.PCIE_GENERATION_MAX),
        ("PCIE_LINK_WIDTH", "PCIe lanes", pcie.PCIE_WIDTH),
        ("PCIE_MAX_LINK_WIDTH", "Most PCIe lanes", pcie.PCIE_WIDTH_MAX),
    ):
        yield _field(names, meaning, "", _same, (metric, ()))
    names = "PCIE_REPLAY_COUNTER PCIE_REPLAY_TOTAL"
    replays = (pcie.PCIE_REPLAYS, ())
    yield _field(names, "PCIe packets sent again", "", _same, replays, kind="counter")


def _repair() -> Iterable[Field]:
    """What becomes of bad memory: pages retired before Ampere, rows remapped since."""
    counts = (
        ("UNCORRECTABLE_REMAPPED_ROWS ROW_REMAP_UNCORRECTABLE_TOTAL", "uncorrectable"),
        ("CORRECTABLE_REMAPPED_ROWS ROW_REMAP_CORRECTABLE_TOTAL", "correctable"),
    )
    for names, label in counts:
        rows = (remapped_rows.REMAPPED_ROWS, (label,))
        yield _field(names, f"Rows remapped for {label} errors", "", _same, rows, kind="counter")
    pending, failure = (remapped_rows.ROW_REMAP_PENDING, ()), (remapped_rows.ROW_REMAP_FAILURE, ())
    yield _field("ROW_REMAP_PENDING", "A row waits to be remapped", "", _same, pending)
    yield _field("ROW_REMAP_FAILURE ROW_REMAP_FAILED", "Remapping failed", "", _same, failure)
    for label in ("max", "high", "partial", "low", "none"):
        names = f"BANKS_REMAP_ROWS_AVAIL_{label} BANK_REMAP_AVAIL_{label}".upper()
        banks = (remapped_rows.ROW_REMAP_BANKS, (label,))
        yield _field(names, f"Banks with {label} spare rows left", "", _same, banks)
    last = (xid.XID_LAST, ())
    yield _field("XID_ERRORS XID_ERROR", "The last Xid error", "", _same, last)
    names, action = "GET_GPU_RECOVERY_ACTION GPU_RECOVERY_ACTION", (recovery.RECOVERY_ACTION, ())
    yield _field(names, "What would bring the GPU back", "", _same, action)


def _links() -> Iterable[Field]:
    for names, label in (
        ("NVLINK_ERROR_DL_CRC NVLINK_CRC_ERROR_TOTAL", "crc"),
        ("NVLINK_REPLAY_ERROR_COUNT_TOTAL NVLINK_REPLAY_ERROR_TOTAL", "replay"),
        ("NVLINK_RECOVERY_ERROR_COUNT_TOTAL NVLINK_RECOVERY_ERROR_TOTAL", "recovery"),
    ):
        errors = (nvlink.NVLINK_ERRORS, (label,))
        yield _field(names, f"NVLink errors, {label}", "", _same, errors, kind="counter")
    names = "PCIE_COUNT_CORRECTABLE_ERRORS PCIE_CORRECTABLE_ERROR_TOTAL"
    correctable = (pcie.PCIE_ERRORS, ("correctable",))
    yield _field(names, "PCIe errors, correctable", "", _same, correctable, kind="counter")


FIELDS: tuple[Field, ...] = (
    *_clocks(),
    *_temperatures(),
    *_power(),
    *_utilization(),
    *_memory(),
    *_errors(),
    *_pcie(),
    *_repair(),
    *_links(),
    *hardware.FIELDS,
    *profiling.FIELDS,
)
# Of each collector's readings, those that DCGM has no field for, and why.
_NO_FIELD = "DCGM has no such field"
WITHOUT: dict[tuple[Metric, tuple[str, ...]], str] = {
    (clocks.CLOCK, ("graphics",)): _NO_FIELD,
    (clocks.CLOCK_MAX, ("graphics",)): _NO_FIELD,
    (processes.PROCESSES, ("compute",)): _NO_FIELD,
    (processes.PROCESSES, ("graphics",)): _NO_FIELD,
    **hardware.WITHOUT,
    **profiling.WITHOUT,
}
_BYTES = "DCGM's NVLINK_COUNT_…_BYTES are NVML's fields 202 and 204, which are other counts"
_FABRIC = "DCGM's FABRIC_MANAGER_STATUS joins state and error in a code of its own"
_WINDOW = "dcgm-exporter's DCGM_EXP_XID_ERRORS_COUNT counts within a window: take increase()"
METRICS_WITHOUT: dict[Metric, str] = {
    process_usage.PROCESS_MEMORY: _NO_FIELD,
    process_usage.PROCESS_SM: _NO_FIELD,
    process_usage.PROCESS_INFO: _NO_FIELD,
    container_usage.CONTAINER_MEMORY: _NO_FIELD,
    container_usage.CONTAINER_SM: _NO_FIELD,
    xid.XID_ERRORS: _WINDOW,
    xid.XID_LAST_TIMESTAMP: _NO_FIELD,
    power.POWER_AVERAGE: _NO_FIELD,
    pcie.PCIE_ERRORS: f"{_NO_FIELD}, but for correctable",
    fans.FAN_RPM: _NO_FIELD,
    nvlink.NVLINK_TRANSMIT: _BYTES,
    nvlink.NVLINK_RECEIVE: _BYTES,
    nvlink.NVLINK_LINKS: _NO_FIELD,
    nvlink.NVLINK_UP: "DCGM's NVLINK_GET_STATE is of links, whose series have other labels",
    c2c.C2C_UP: "DCGM's C2C_LINK_STATUS does not say which link it is of",
    nvlink.NVLINK_SPEED: _NO_FIELD,
    fabric.FABRIC_STATE: _FABRIC,
    fabric.FABRIC_ERROR: _FABRIC,
    fabric.FABRIC_HEALTH: _NO_FIELD,
    busy.BUSY: _NO_FIELD,
    busy.OBSERVED: _NO_FIELD,
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
    for field in FIELDS:
        old, new = (f"`{name}`" for name in field.names)
        source = f"`{described(field.sources)}`"
        if field.of_instance:
            source += f"; of an instance `{described(field.of_instance)}`"
        new = "the same" if new == old else new
        lines.append(f"| {source} | {old} | {new} | {field.kind} | {field.unit} |")
    lines += ["", "## Only under our own names", ""]
    lines += [f"- `{described([source])}`: {reason}" for source, reason in WITHOUT.items()]
    lines += [f"- `{metric.name}`: {reason}" for metric, reason in METRICS_WITHOUT.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(documentation(), end="")
