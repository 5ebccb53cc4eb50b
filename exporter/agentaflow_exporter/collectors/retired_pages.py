"""Memory pages that a GPU before Ampere has taken out of use."""

from __future__ import annotations

from collections.abc import Iterator

from agentaflow_exporter import constants as nvml
from agentaflow_exporter.collector import Collector, GpuReader, Reading
from agentaflow_exporter.hardware_metrics import RETIRED_PAGES, RETIRED_PAGES_PENDING

_FIELDS = {
    nvml.NVML_FI_DEV_RETIRED_SBE: (RETIRED_PAGES, ("single_bit_errors",)),
    nvml.NVML_FI_DEV_RETIRED_DBE: (RETIRED_PAGES, ("double_bit_error",)),
    nvml.NVML_FI_DEV_RETIRED_PENDING: (RETIRED_PAGES_PENDING, ()),
}


def _gpu(gpu: GpuReader) -> Iterator[Reading]:
    for field_id, (metric, labels) in _FIELDS.items():
        yield metric, labels, gpu.field(field_id)


COLLECTOR = Collector("retired_pages", "retired memory pages", gpu=_gpu, fields=tuple(_FIELDS))
