"""Memory rows that a GPU since Ampere has replaced, and how many spare ones it has left."""

from __future__ import annotations

from collections.abc import Iterator

from agentaflow_exporter import constants as nvml
from agentaflow_exporter.collector import Collector, GpuReader, Reading
from agentaflow_exporter.metric import declare_gpu

REMAPPED_ROWS = declare_gpu(
    "remapped_rows",
    "remapped_rows",
    "Memory rows replaced by spare ones, by the errors that they had; GPUs since Ampere.",
    "type",
    source="fields 142, 143, REMAPPED_COR, REMAPPED_UNC",
    highest=1_000_000,
    since="Ampere",
)
ROW_REMAP_PENDING = declare_gpu(
    "remapped_rows",
    "row_remap_pending",
    "1 if a row waits for a reset of the GPU to be replaced.",
    source="field 144, REMAPPED_PENDING",
    since="Ampere",
    highest=1,
)
ROW_REMAP_FAILURE = declare_gpu(
    "remapped_rows",
    "row_remap_failure",
    "1 if a row could not be replaced: the board is due for return.",
    source="field 145, REMAPPED_FAILURE",
    highest=1,
    since="Ampere",
)
ROW_REMAP_BANKS = declare_gpu(
    "remapped_rows",
    "row_remap_banks",
    "Memory banks by how many spare rows they have left, from max to none.",
    "availability",
    source="nvmlDeviceGetRowRemapperHistogram",
    since="Ampere",
    highest=1_000_000,
)

_FIELDS = {
    nvml.NVML_FI_DEV_REMAPPED_COR: (REMAPPED_ROWS, ("correctable",)),
    nvml.NVML_FI_DEV_REMAPPED_UNC: (REMAPPED_ROWS, ("uncorrectable",)),
    nvml.NVML_FI_DEV_REMAPPED_PENDING: (ROW_REMAP_PENDING, ()),
    nvml.NVML_FI_DEV_REMAPPED_FAILURE: (ROW_REMAP_FAILURE, ()),
}
_AVAILABILITIES = ("max", "high", "partial", "low", "none")


def _gpu(gpu: GpuReader) -> Iterator[Reading]:
    for field_id, (metric, labels) in _FIELDS.items():
        yield metric, labels, gpu.field(field_id)
    banks = gpu.read("nvmlDeviceGetRowRemapperHistogram")
    if banks is not None:
        for availability in _AVAILABILITIES:
            yield ROW_REMAP_BANKS, (availability,), getattr(banks, availability)


COLLECTOR = Collector(
    "remapped_rows",
    "remapped memory rows",
    (
        REMAPPED_ROWS,
        ROW_REMAP_PENDING,
        ROW_REMAP_FAILURE,
        ROW_REMAP_BANKS,
    ),
    gpu=_gpu,
    fields=tuple(_FIELDS),
)
