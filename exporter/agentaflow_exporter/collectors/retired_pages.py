"""Memory pages that a GPU before Ampere has taken out of use."""

from __future__ import annotations

from collections.abc import Iterator

from agentaflow_exporter import constants as nvml
from agentaflow_exporter.collector import Collector, GpuReader, Reading
from agentaflow_exporter.metric import declare_gpu

RETIRED_PAGES = declare_gpu(
    "retired_pages",
    "retired_pages",
    "Memory pages taken out of use, by the errors that they had; GPUs before Ampere.",
    "cause",
    source="fields 29, 30, RETIRED_SBE, RETIRED_DBE",
    highest=1_000_000,
)
RETIRED_PAGES_PENDING = declare_gpu(
    "retired_pages",
    "retired_pages_pending",
    "1 if pages wait for a reboot to be taken out of use.",
    source="field 31, RETIRED_PENDING",
    highest=1,
)

_FIELDS = {
    nvml.NVML_FI_DEV_RETIRED_SBE: (RETIRED_PAGES, ("single_bit_errors",)),
    nvml.NVML_FI_DEV_RETIRED_DBE: (RETIRED_PAGES, ("double_bit_error",)),
    nvml.NVML_FI_DEV_RETIRED_PENDING: (RETIRED_PAGES_PENDING, ()),
}


def _gpu(gpu: GpuReader) -> Iterator[Reading]:
    for field_id, (metric, labels) in _FIELDS.items():
        yield metric, labels, gpu.field(field_id)


COLLECTOR = Collector(
    "retired_pages",
    "retired memory pages",
    (
        RETIRED_PAGES,
        RETIRED_PAGES_PENDING,
    ),
    gpu=_gpu,
    fields=tuple(_FIELDS),
)
