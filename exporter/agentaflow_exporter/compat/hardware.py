"""DCGM's fields of what boards differ in: fans, pages, links to the CPU, modes, policies."""

from __future__ import annotations

import operator
from collections.abc import Iterable

from agentaflow_exporter.collectors import (
    bar1,
    c2c,
    fans,
    mig,
    modes,
    nvlink,
    pcie,
    recovery,
    remapped_rows,
    retired_pages,
    sram,
    temperature,
    throttle,
    utilization,
    vgpu,
    xid,
)
from agentaflow_exporter.compat.fields import NO_FIELD, field, whole
from agentaflow_exporter.compat.translation import Field
from agentaflow_exporter.driver import Number
from agentaflow_exporter.metric import Metric


def _free(total: Number, used: Number) -> int:
    return int(total - used) >> 20


def _boards() -> Iterable[Field]:
    speed, margin = (fans.FAN_SPEED, ("0",)), (temperature.TEMPERATURE_MARGIN, ())
    yield field("FAN_SPEED", "Speed of the first fan", "%", speed, convert=whole(100))
    names = "GPU_TEMP_LIMIT GPU_TEMP_MARGIN_CELSIUS"
    yield field(names, "Degrees up to the slowdown temperature", "C", margin)
    total, used = (bar1.BAR1_TOTAL, ()), (bar1.BAR1_USED, ())
    yield field("BAR1_FREE", "BAR1 window free", "MiB", total, used, convert=_free)
    compute, persistence = (modes.COMPUTE_MODE, ()), (modes.PERSISTENCE_MODE, ())
    yield field("COMPUTE_MODE GPU_COMPUTE_MODE", "Compute mode", "", compute)
    yield field("PERSISTENCE_MODE GPU_PERSISTENCE_MODE", "Persistence mode", "", persistence)
    for names, label in (
        ("RETIRED_SBE PAGE_RETIRED_SBE_TOTAL", "single_bit_errors"),
        ("RETIRED_DBE PAGE_RETIRED_DBE_TOTAL", "double_bit_error"),
    ):
        pages = (retired_pages.RETIRED_PAGES, (label,))
        yield field(names, f"Memory pages retired for {label}", "", pages, kind="counter")
    pending = (retired_pages.RETIRED_PAGES_PENDING, ())
    names = "RETIRED_PENDING PAGE_RETIRED_PENDING"
    yield field(names, "A page waits to be retired", "", pending, kind="counter")
    current = (mig.MIG_MODE, ("current",))
    yield field("MIG_MODE", "Whether the GPU is cut into instances", "", current)


def _sram() -> Iterable[Field]:
    """DCGM counts what parity found and what SEC-DED found together."""
    corrected = (sram.SRAM_ERRORS, ("corrected",))
    parity, secded = ((sram.SRAM_ERRORS, (f"uncorrected_{code}",)) for code in ("parity", "secded"))
    meaning = "Errors of on-chip memory"
    yield field("ECC_SBE_VOL_SRM", f"{meaning}, corrected", "", corrected, kind="counter")
    yield field(
        *("ECC_DBE_VOL_SRM", f"{meaning}, uncorrected", "", parity, secded),
        convert=operator.add,
        kind="counter",
    )
    exceeded = (sram.SRAM_THRESHOLD_EXCEEDED, ())
    yield field("THRESHOLD_SRM SRAM_EXCEEDED", f"Too many {meaning.lower()}", "", exceeded)


def _policies() -> Iterable[Field]:
    events, policies = throttle.CLOCK_EVENT_SECONDS, throttle.POLICY_SECONDS
    for name, metric, label in (
        ("POWER_VIOLATION", events, "sw_power_cap"),
        ("SYNC_BOOST_VIOLATION", events, "sync_boost"),
        ("THERMAL_VIOLATION", policies, "thermal"),
        ("BOARD_LIMIT_VIOLATION", policies, "board_limit"),
        ("LOW_UTIL_VIOLATION", policies, "low_utilization"),
        ("RELIABILITY_VIOLATION", policies, "reliability"),
        ("CLOCKS_EVENT_REASON_SW_POWER_CAP_NS", events, "sw_power_cap"),
        ("CLOCKS_EVENT_REASON_SYNC_BOOST_NS", events, "sync_boost"),
        ("CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN_NS", events, "sw_thermal_slowdown"),
        ("CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN_NS", events, "hw_thermal_slowdown"),
        ("CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN_NS", events, "hw_power_brake_slowdown"),
    ):
        meaning = f"Time for which {label} held the clocks down"
        seconds = (metric, (label,))
        yield field(name, meaning, "ns", seconds, convert=whole(1e9), kind="counter")


# Counts of Blackwell's links: DCGM too adds up those of all links.
_BLACKWELL = (
    (
        "NVLINK_COUNT_RX_MALFORMED_PACKET_ERRORS NVLINK_RX_PACKET_MALFORMED_TOTAL",
        "malformed_packet",
    ),
    ("NVLINK_COUNT_RX_BUFFER_OVERRUN_ERRORS NVLINK_RX_PACKET_DROPPED_TOTAL", "buffer_overrun"),
    ("NVLINK_COUNT_RX_ERRORS NVLINK_RX_ERROR_TOTAL", "receive"),
    ("NVLINK_COUNT_RX_REMOTE_ERRORS NVLINK_RX_REMOTE_ERROR_TOTAL", "receive_remote"),
    ("NVLINK_COUNT_RX_GENERAL_ERRORS NVLINK_RX_GENERAL_ERROR_TOTAL", "receive_general"),
    ("NVLINK_COUNT_LOCAL_LINK_INTEGRITY_ERRORS NVLINK_INTEGRITY_ERROR_TOTAL", "link_integrity"),
    ("NVLINK_COUNT_TX_DISCARDS", "transmit_discard"),
    (
        "NVLINK_COUNT_LINK_RECOVERY_SUCCESSFUL_EVENTS NVLINK_RECOVERY_SUCCESSFUL_TOTAL",
        "recovery_successful",
    ),
    ("NVLINK_COUNT_LINK_RECOVERY_FAILED_EVENTS NVLINK_RECOVERY_FAILED_TOTAL", "recovery_failed"),
    ("NVLINK_COUNT_EFFECTIVE_ERRORS NVLINK_EFFECTIVE_ERROR_TOTAL", "effective"),
    ("NVLINK_COUNT_RX_SYMBOL_ERRORS NVLINK_RX_SYMBOL_ERROR_TOTAL", "symbol"),
)


def _links() -> Iterable[Field]:
    links = (c2c.C2C_LINKS, ())
    yield field("C2C_LINK_COUNT C2C_LINK_QUANTITY", "Links to the CPU", "", links)
    for names, label in (
        ("NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL NVLINK_CRC_FLIT_ERROR_TOTAL", "crc_flit"),
        ("NVLINK_CRC_DATA_ERROR_COUNT_TOTAL NVLINK_CRC_DATA_ERROR_TOTAL", "crc_data"),
        ("NVLINK_ECC_DATA_ERROR_COUNT_TOTAL NVLINK_ECC_ERROR_TOTAL", "ecc_data"),
        *_BLACKWELL,
    ):
        errors = (nvlink.NVLINK_ERRORS, (label,))
        yield field(names, f"NVLink errors, {label}", "", errors, kind="counter")
    for names, metric, way in (
        ("TX_PACKETS NVLINK_TX_PACKET_TOTAL", nvlink.NVLINK_TRANSMIT_PACKETS, "sent"),
        ("RX_PACKETS NVLINK_RX_PACKET_TOTAL", nvlink.NVLINK_RECEIVE_PACKETS, "received"),
    ):
        names = f"NVLINK_COUNT_{names}"
        yield field(names, f"Packets {way} over NVLinks", "", (metric, ()), kind="counter")


def _pcie() -> Iterable[Field]:
    for names, meaning, metric in (
        ("PCIE_LINK_GEN", "PCIe generation", pcie.PCIE_GENERATION),
        ("PCIE_MAX_LINK_GEN", "Highest PCIe generation", pcie.PCIE_GENERATION_MAX),
        ("PCIE_LINK_WIDTH", "PCIe lanes", pcie.PCIE_WIDTH),
        ("PCIE_MAX_LINK_WIDTH", "Most PCIe lanes", pcie.PCIE_WIDTH_MAX),
    ):
        yield field(names, meaning, "", (metric, ()))
    names = "PCIE_REPLAY_COUNTER PCIE_REPLAY_TOTAL"
    replays = (pcie.PCIE_REPLAYS, ())
    yield field(names, "PCIe packets sent again", "", replays, kind="counter")


def _repair() -> Iterable[Field]:
    """What becomes of bad memory: pages retired before Ampere, rows remapped since."""
    counts = (
        ("UNCORRECTABLE_REMAPPED_ROWS ROW_REMAP_UNCORRECTABLE_TOTAL", "uncorrectable"),
        ("CORRECTABLE_REMAPPED_ROWS ROW_REMAP_CORRECTABLE_TOTAL", "correctable"),
    )
    for names, label in counts:
        rows = (remapped_rows.REMAPPED_ROWS, (label,))
        yield field(names, f"Rows remapped for {label} errors", "", rows, kind="counter")
    pending, failure = (remapped_rows.ROW_REMAP_PENDING, ()), (remapped_rows.ROW_REMAP_FAILURE, ())
    yield field("ROW_REMAP_PENDING", "A row waits to be remapped", "", pending)
    yield field("ROW_REMAP_FAILURE ROW_REMAP_FAILED", "Remapping failed", "", failure)
    for label in ("max", "high", "partial", "low", "none"):
        names = f"BANKS_REMAP_ROWS_AVAIL_{label} BANK_REMAP_AVAIL_{label}".upper()
        banks = (remapped_rows.ROW_REMAP_BANKS, (label,))
        yield field(names, f"Banks with {label} spare rows left", "", banks)
    last = (xid.XID_LAST, ())
    yield field("XID_ERRORS XID_ERROR", "The last Xid error", "", last)
    names, action = "GET_GPU_RECOVERY_ACTION GPU_RECOVERY_ACTION", (recovery.RECOVERY_ACTION, ())
    yield field(names, "What would bring the GPU back", "", action)


def _nvlinks() -> Iterable[Field]:
    for names, label in (
        ("NVLINK_ERROR_DL_CRC NVLINK_CRC_ERROR_TOTAL", "crc"),
        ("NVLINK_REPLAY_ERROR_COUNT_TOTAL NVLINK_REPLAY_ERROR_TOTAL", "replay"),
        ("NVLINK_RECOVERY_ERROR_COUNT_TOTAL NVLINK_RECOVERY_ERROR_TOTAL", "recovery"),
    ):
        errors = (nvlink.NVLINK_ERRORS, (label,))
        yield field(names, f"NVLink errors, {label}", "", errors, kind="counter")
    names = "PCIE_COUNT_CORRECTABLE_ERRORS PCIE_CORRECTABLE_ERROR_TOTAL"
    correctable = (pcie.PCIE_ERRORS, ("correctable",))
    yield field(names, "PCIe errors, correctable", "", correctable, kind="counter")


FIELDS: tuple[Field, ...] = (
    *_pcie(),
    *_repair(),
    *_nvlinks(),
    *_boards(),
    *_sram(),
    *_policies(),
    *_links(),
)
WITHOUT: dict[tuple[Metric, tuple[str, ...]], str] = {
    (utilization.UTILIZATION, ("jpeg",)): NO_FIELD,
    (utilization.UTILIZATION, ("ofa",)): NO_FIELD,
    (mig.MIG_MODE, ("pending",)): NO_FIELD,
}
METRICS_WITHOUT: dict[Metric, str] = {
    c2c.C2C_ERRORS: "DCGM counts them by link",
    vgpu.VGPU_LICENSED: "DCGM's VGPU_LICENSE_STATUS is that of one feature",
    vgpu.VGPU_LICENSE_EXPIRY: NO_FIELD,
    mig.MIG_MULTIPROCESSORS: NO_FIELD,
    mig.MIG_INFO: "it becomes the labels GPU_I_ID and GPU_I_PROFILE",
}
