"""DCGM's fields of what boards differ in: fans, pages, links to the CPU, modes, policies."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

from agentaflow_exporter.collectors import (
    bar1,
    c2c,
    fans,
    mig,
    mig_gpm,
    modes,
    nvlink,
    retired_pages,
    sram,
    temperature,
    throttle,
    utilization,
    vgpu,
)
from agentaflow_exporter.compat.translation import Field, Source
from agentaflow_exporter.driver import Number
from agentaflow_exporter.metric import Metric

_PREFIX = "DCGM_FI_DEV_"
_NO_FIELD = "DCGM has no such field"


def _same(value: Number) -> Number:
    return value


def _percent(ratio: Number) -> int:
    return round(100 * ratio)


def _nanoseconds(seconds: Number) -> int:
    return round(seconds * 1e9)


def _free(total: Number, used: Number) -> int:
    return int(total - used) >> 20


def _field(
    names: str,
    meaning: str,
    unit: str,
    *sources: Source,
    convert: Callable[..., Number] = _same,
    kind: Literal["gauge", "counter"] = "gauge",
) -> Field:
    """`names`: without DCGM_FI_DEV_; the old one, and 4.6's if it is another."""
    old, _, new = names.partition(" ")
    return Field((_PREFIX + old, _PREFIX + (new or old)), kind, meaning, unit, convert, sources)


def _boards() -> Iterable[Field]:
    speed, margin = (fans.FAN_SPEED, ("0",)), (temperature.TEMPERATURE_MARGIN, ())
    yield _field("FAN_SPEED", "Speed of the first fan", "%", speed, convert=_percent)
    names = "GPU_TEMP_LIMIT GPU_TEMP_MARGIN_CELSIUS"
    yield _field(names, "Degrees up to the slowdown temperature", "C", margin)
    total, used = (bar1.BAR1_TOTAL, ()), (bar1.BAR1_USED, ())
    yield _field("BAR1_FREE", "BAR1 window free", "MiB", total, used, convert=_free)
    compute, persistence = (modes.COMPUTE_MODE, ()), (modes.PERSISTENCE_MODE, ())
    yield _field("COMPUTE_MODE GPU_COMPUTE_MODE", "Compute mode", "", compute)
    yield _field("PERSISTENCE_MODE GPU_PERSISTENCE_MODE", "Persistence mode", "", persistence)
    for names, label in (
        ("RETIRED_SBE PAGE_RETIRED_SBE_TOTAL", "single_bit_errors"),
        ("RETIRED_DBE PAGE_RETIRED_DBE_TOTAL", "double_bit_error"),
    ):
        pages = (retired_pages.RETIRED_PAGES, (label,))
        yield _field(names, f"Memory pages retired for {label}", "", pages, kind="counter")
    pending = (retired_pages.RETIRED_PAGES_PENDING, ())
    names = "RETIRED_PENDING PAGE_RETIRED_PENDING"
    yield _field(names, "A page waits to be retired", "", pending, kind="counter")


def _policies() -> Iterable[Field]:
    for name, label in (
        ("THERMAL", "thermal"),
        ("BOARD_LIMIT", "board_limit"),
        ("LOW_UTIL", "low_utilization"),
        ("RELIABILITY", "reliability"),
    ):
        yield _field(
            f"{name}_VIOLATION",
            f"Time for which the policy {label} held the clocks down",
            "ns",
            (throttle.POLICY_SECONDS, (label,)),
            convert=_nanoseconds,
            kind="counter",
        )


def _links() -> Iterable[Field]:
    links = (c2c.C2C_LINKS, ())
    yield _field("C2C_LINK_COUNT C2C_LINK_QUANTITY", "Links to the CPU", "", links)
    for names, label in (
        ("NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL NVLINK_CRC_FLIT_ERROR_TOTAL", "crc_flit"),
        ("NVLINK_CRC_DATA_ERROR_COUNT_TOTAL NVLINK_CRC_DATA_ERROR_TOTAL", "crc_data"),
        ("NVLINK_ECC_DATA_ERROR_COUNT_TOTAL NVLINK_ECC_ERROR_TOTAL", "ecc_data"),
    ):
        errors = (nvlink.NVLINK_ERRORS, (label,))
        yield _field(names, f"NVLink errors, {label}", "", errors, kind="counter")


FIELDS: tuple[Field, ...] = (*_boards(), *_policies(), *_links())
WITHOUT: dict[tuple[Metric, tuple[str, ...]], str] = {
    (utilization.UTILIZATION, ("jpeg",)): _NO_FIELD,
    (utilization.UTILIZATION, ("ofa",)): _NO_FIELD,
}
_INSTANCES = "a series of one MIG instance; DCGM's names are translated for whole GPUs only"
METRICS_WITHOUT: dict[Metric, str] = {
    c2c.C2C_ERRORS: "DCGM counts them by link",
    sram.SRAM_ERRORS: _NO_FIELD,
    sram.SRAM_THRESHOLD_EXCEEDED: _NO_FIELD,
    vgpu.VGPU_LICENSED: "DCGM's VGPU_LICENSE_STATUS is that of one feature",
    vgpu.VGPU_LICENSE_EXPIRY: _NO_FIELD,
    mig.MIG_MODE: "DCGM has the mode as a label of its own exporter's only",
    **dict.fromkeys(mig.COLLECTOR.metrics[1:], _INSTANCES),
    **dict.fromkeys(mig_gpm.COLLECTOR.metrics, _INSTANCES),
}
