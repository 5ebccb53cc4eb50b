"""Memory rows that a GPU since Ampere has replaced, and how many spare ones it has left."""

from __future__ import annotations

from collections.abc import Iterator

from agentaflow_exporter import constants as nvml
from agentaflow_exporter import hardware_metrics as metrics
from agentaflow_exporter.collector import Collector, GpuReader, Reading

_FIELDS = {
    nvml.NVML_FI_DEV_REMAPPED_COR: (metrics.REMAPPED_ROWS, ("correctable",)),
    nvml.NVML_FI_DEV_REMAPPED_UNC: (metrics.REMAPPED_ROWS, ("uncorrectable",)),
    nvml.NVML_FI_DEV_REMAPPED_PENDING: (metrics.ROW_REMAP_PENDING, ()),
    nvml.NVML_FI_DEV_REMAPPED_FAILURE: (metrics.ROW_REMAP_FAILURE, ()),
}
_AVAILABILITIES = ("max", "high", "partial", "low", "none")


def _gpu(gpu: GpuReader) -> Iterator[Reading]:
    for field_id, (metric, labels) in _FIELDS.items():
        yield metric, labels, gpu.field(field_id)
    banks = gpu.read("nvmlDeviceGetRowRemapperHistogram")
    if banks is not None:
        for availability in _AVAILABILITIES:
            yield metrics.ROW_REMAP_BANKS, (availability,), getattr(banks, availability)


COLLECTOR = Collector("remapped_rows", "remapped memory rows", gpu=_gpu, fields=tuple(_FIELDS))
