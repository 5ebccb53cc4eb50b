"""Errors of the memory on the chip itself, and whether there were too many of them."""

from __future__ import annotations

from collections.abc import Iterator

from agentaflow_exporter.collector import Collector, GpuReader, Reading
from agentaflow_exporter.metric import declare_gpu

_SOURCE = "nvmlDeviceGetSramEccErrorStatus"
_SINCE = "Ampere, R535"

SRAM_ERRORS = declare_gpu(
    "sram",
    "sram_ecc_errors_total",
    "Errors of on-chip memory since the driver was loaded; uncorrected ones by what found them.",
    "type",
    source=_SOURCE,
    since=_SINCE,
)
SRAM_THRESHOLD_EXCEEDED = declare_gpu(
    "sram",
    "sram_ecc_threshold_exceeded",
    "1 if on-chip memory had so many uncorrected errors that the board should be replaced.",
    source=_SOURCE,
    since=_SINCE,
    highest=1,
)


def _gpu(gpu: GpuReader) -> Iterator[Reading]:
    status = gpu.read(_SOURCE)
    if status is not None:
        yield SRAM_ERRORS, ("corrected",), status.volatileCor
        yield SRAM_ERRORS, ("uncorrected_parity",), status.volatileUncParity
        yield SRAM_ERRORS, ("uncorrected_secded",), status.volatileUncSecDed
        yield SRAM_THRESHOLD_EXCEEDED, (), 1 if status.bThresholdExceeded else 0


COLLECTOR = Collector(
    "sram", "errors of on-chip memory", (SRAM_ERRORS, SRAM_THRESHOLD_EXCEEDED), gpu=_gpu
)
