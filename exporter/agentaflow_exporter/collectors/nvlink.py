"""The NVLinks of each GPU: what went over them, what went wrong, which are up."""

from __future__ import annotations

from collections.abc import Iterator

from agentaflow_exporter import constants as nvml
from agentaflow_exporter import hardware_metrics as metrics
from agentaflow_exporter.collector import Collector, GpuReader, Reading, scaled
from agentaflow_exporter.driver import ALL_LINKS, scoped

_KIBIBYTES = {
    metrics.NVLINK_TRANSMIT: scoped(nvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX, ALL_LINKS),
    metrics.NVLINK_RECEIVE: scoped(nvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX, ALL_LINKS),
}
_ERRORS = {
    ("crc_flit",): nvml.NVML_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL,
    ("crc_data",): nvml.NVML_FI_DEV_NVLINK_CRC_DATA_ERROR_COUNT_TOTAL,
    ("replay",): nvml.NVML_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL,
    ("recovery",): nvml.NVML_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL,
    ("ecc_data",): nvml.NVML_FI_DEV_NVLINK_ECC_DATA_ERROR_COUNT_TOTAL,
}
_STATES = {
    (str(link),): scoped(nvml.NVML_FI_DEV_NVLINK_GET_STATE, link)
    for link in range(nvml.NVML_NVLINK_MAX_LINKS)
}
_UP = (nvml.NVML_NVLINK_STATE_ACTIVE, nvml.NVML_NVLINK_STATE_SLEEP)


def _gpu(gpu: GpuReader) -> Iterator[Reading]:
    """Links that a GPU does not have are unsupported scopes, which are asked for once."""
    for metric, field_id in _KIBIBYTES.items():
        yield metric, (), scaled(gpu.field(field_id), by=1024)
    for labels, field_id in _ERRORS.items():
        yield metrics.NVLINK_ERRORS, labels, gpu.field(field_id)
    links = gpu.field(nvml.NVML_FI_DEV_NVLINK_LINK_COUNT)
    yield metrics.NVLINK_LINKS, (), links
    for labels, field_id in _STATES.items():
        state = gpu.field(field_id)
        if state is not None and (links is None or int(labels[0]) < links):
            yield metrics.NVLINK_UP, labels, 1 if state in _UP else 0


COLLECTOR = Collector(
    "nvlink",
    "NVLink traffic, errors and state",
    gpu=_gpu,
    fields=(
        *_KIBIBYTES.values(),
        *_ERRORS.values(),
        nvml.NVML_FI_DEV_NVLINK_LINK_COUNT,
        *_STATES.values(),
    ),
)
