"""The links between each GPU and the CPU in the same package, as in Grace Hopper."""

from __future__ import annotations

from collections.abc import Iterator

from agentaflow_exporter import constants as nvml
from agentaflow_exporter.collector import Collector, GpuReader, Reading
from agentaflow_exporter.driver import scoped
from agentaflow_exporter.hardware_metrics import C2C_LINKS, C2C_UP

_MOST_LINKS = 16  # NVML names no limit; packages have up to ten
_STATES = tuple(scoped(nvml.NVML_FI_DEV_C2C_LINK_GET_STATUS, link) for link in range(_MOST_LINKS))


def _gpu(gpu: GpuReader) -> Iterator[Reading]:
    """Most GPUs have none: they count 0 links, or do not support the question."""
    links = int(gpu.field(nvml.NVML_FI_DEV_C2C_LINK_COUNT) or 0)
    if links:
        yield C2C_LINKS, (), links
    for link, field_id in enumerate(_STATES[:links]):
        yield C2C_UP, (str(link),), gpu.field(field_id)


COLLECTOR = Collector(
    "c2c",
    "links between GPU and CPU",
    gpu=_gpu,
    fields=(nvml.NVML_FI_DEV_C2C_LINK_COUNT, *_STATES),
)
