"""Memory errors that each GPU has corrected or could not correct."""

from __future__ import annotations

from collections.abc import Iterator

from agentaflow_exporter import constants as nvml
from agentaflow_exporter.collector import Collector, GpuReader, Reading
from agentaflow_exporter.metric import declare_gpu

ECC_MODE = declare_gpu(
    "ecc",
    "ecc_mode_enabled",
    "1 if ECC is on: now (current), or from the next reboot (pending).",
    "mode",
    source="fields 1, 2, ECC_CURRENT, ECC_PENDING",
    highest=1,
)
ECC_ERRORS = declare_gpu(
    "ecc",
    "ecc_errors_total",
    "Memory errors since the driver was loaded.",
    "type",
    source="fields 3, 4, ECC_SBE_VOL_TOTAL, ECC_DBE_VOL_TOTAL",
)
ECC_LIFETIME_ERRORS = declare_gpu(
    "ecc",
    "ecc_lifetime_errors_total",
    "Memory errors in the life of the board.",
    "type",
    source="fields 5, 6, ECC_SBE_AGG_TOTAL, ECC_DBE_AGG_TOTAL",
)

_FIELDS = {
    nvml.NVML_FI_DEV_ECC_CURRENT: (ECC_MODE, ("current",)),
    nvml.NVML_FI_DEV_ECC_PENDING: (ECC_MODE, ("pending",)),
    nvml.NVML_FI_DEV_ECC_SBE_VOL_TOTAL: (ECC_ERRORS, ("corrected",)),
    nvml.NVML_FI_DEV_ECC_DBE_VOL_TOTAL: (ECC_ERRORS, ("uncorrected",)),
    nvml.NVML_FI_DEV_ECC_SBE_AGG_TOTAL: (ECC_LIFETIME_ERRORS, ("corrected",)),
    nvml.NVML_FI_DEV_ECC_DBE_AGG_TOTAL: (ECC_LIFETIME_ERRORS, ("uncorrected",)),
}


def _gpu(gpu: GpuReader) -> Iterator[Reading]:
    for field_id, (metric, labels) in _FIELDS.items():
        yield metric, labels, gpu.field(field_id)


COLLECTOR = Collector(
    "ecc",
    "ECC mode and errors",
    (
        ECC_MODE,
        ECC_ERRORS,
        ECC_LIFETIME_ERRORS,
    ),
    gpu=_gpu,
    fields=tuple(_FIELDS),
)
