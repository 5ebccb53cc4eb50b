"""The links between each GPU and the CPU in the same package, as in Grace Hopper."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from agentaflow_exporter import constants as nvml
from agentaflow_exporter.collector import Collector, GpuReader, Reading, sum_of_all
from agentaflow_exporter.driver import scoped
from agentaflow_exporter.metric import declare_gpu

C2C_LINKS = declare_gpu(
    "c2c",
    "c2c_links",
    "Links between the GPU and the CPU in its package, up or down.",
    source="field 170, C2C_LINK_COUNT",
    highest=1024,
    since="Hopper, R530",
)
C2C_UP = declare_gpu(
    "c2c",
    "c2c_up",
    "1 if the link between GPU and CPU is active.",
    "link",
    source="field 171, C2C_LINK_GET_STATUS",
    since="Hopper, R530",
    highest=1,
)

C2C_ERRORS = declare_gpu(
    "c2c",
    "c2c_errors_total",
    "Errors of all links between GPU and CPU.",
    "type",
    source="each link's fields 231, 232, 233, C2C_LINK_ERROR_…",
    since="Hopper, R575",
)

_MOST_LINKS = 16  # NVML names no limit; packages have up to ten
_STATES = tuple(scoped(nvml.NVML_FI_DEV_C2C_LINK_GET_STATUS, link) for link in range(_MOST_LINKS))

_ERRORS = {
    labels: tuple(scoped(field_id, link) for link in range(_MOST_LINKS))
    for labels, field_id in {
        ("interrupt",): nvml.NVML_FI_DEV_C2C_LINK_ERROR_INTR,
        ("replay",): nvml.NVML_FI_DEV_C2C_LINK_ERROR_REPLAY,
        ("replay_back_to_back",): nvml.NVML_FI_DEV_C2C_LINK_ERROR_REPLAY_B2B,
    }.items()
}


def _gpu(gpu: GpuReader) -> Iterator[Reading]:
    """Most GPUs have none: they count 0 links, or do not support the question."""
    links = int(gpu.field(nvml.NVML_FI_DEV_C2C_LINK_COUNT) or 0)
    if links:
        yield C2C_LINKS, (), links
    for labels, field_ids in _ERRORS.items():
        yield C2C_ERRORS, labels, sum_of_all([gpu.field(i) for i in field_ids[:links]])
    for link, field_id in enumerate(_STATES[:links]):
        yield C2C_UP, (str(link),), gpu.field(field_id)


COLLECTOR = Collector(
    "c2c",
    "links between GPU and CPU",
    (
        C2C_LINKS,
        C2C_UP,
        C2C_ERRORS,
    ),
    gpu=_gpu,
    fields=(nvml.NVML_FI_DEV_C2C_LINK_COUNT, *_STATES, *chain.from_iterable(_ERRORS.values())),
)
