"""The NVLinks of each GPU: what went over them, what went wrong, which are up."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from agentaflow_exporter import constants as nvml
from agentaflow_exporter.collector import Collector, GpuReader, Reading, scaled, sum_of_all
from agentaflow_exporter.driver import ALL_LINKS, scoped
from agentaflow_exporter.metric import Metric, declare_gpu

_COUNTER_BYTES = 2**63  # 900 GB/s pass what is believable of a memory in twenty minutes
NVLINK_TRANSMIT = declare_gpu(
    "nvlink",
    "nvlink_transmit_bytes_total",
    "Payload sent over all NVLinks.",
    source="field 138, NVLINK_THROUGHPUT_DATA_TX; or each link's field 202",
    highest=_COUNTER_BYTES,
    since="Ampere, R450",
)
NVLINK_RECEIVE = declare_gpu(
    "nvlink",
    "nvlink_receive_bytes_total",
    "Payload received over all NVLinks.",
    source="field 139, NVLINK_THROUGHPUT_DATA_RX; or each link's field 204",
    highest=_COUNTER_BYTES,
    since="Ampere, R450",
)


def _packets(way: str, help_text: str, field: str) -> Metric:
    return declare_gpu(
        "nvlink",
        f"nvlink_{way}_packets_total",
        help_text,
        source=f"each link's field {field}_PACKETS",
        highest=_COUNTER_BYTES,
        since="Blackwell, R560",
    )


NVLINK_TRANSMIT_PACKETS = _packets(
    "transmit", "Packets sent over all NVLinks.", "201, NVLINK_COUNT_XMIT"
)
NVLINK_RECEIVE_PACKETS = _packets(
    "receive", "Packets received over all NVLinks.", "203, NVLINK_COUNT_RCV"
)
NVLINK_ERRORS = declare_gpu(
    "nvlink",
    "nvlink_errors_total",
    "NVLink errors of all links, by what they cost or where they were found.",
    "type",
    source="fields 38, 45, 52, 59, 160, NVLINK_…_ERROR_COUNT_TOTAL; since Hopper the sum of "
    "each link's fields 161, 162, 163, NVLINK_ERROR_DL_…; Blackwell's 206 … 221",
)
NVLINK_LINKS = declare_gpu(
    "nvlink",
    "nvlink_links",
    "NVLinks of the GPU, up or down.",
    source="field 91, NVLINK_LINK_COUNT",
    highest=1024,
)
NVLINK_UP = declare_gpu(
    "nvlink",
    "nvlink_up",
    "1 if the link is active or asleep, 0 if it is down or carries no traffic.",
    "link",
    source="field 165, NVLINK_GET_STATE",
    highest=1,
    since="R525",
)
NVLINK_SPEED = declare_gpu(
    "nvlink",
    "nvlink_speed_bytes_per_second",
    "Speed that the link runs at, in each direction.",
    "link",
    source="field 164, NVLINK_GET_SPEED",
    since="R525",
    highest=1e14,
)

_KIBIBYTES = {
    NVLINK_TRANSMIT: scoped(nvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX, ALL_LINKS),
    NVLINK_RECEIVE: scoped(nvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX, ALL_LINKS),
}
_ERRORS = {
    ("crc_flit",): nvml.NVML_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL,
    ("crc_data",): nvml.NVML_FI_DEV_NVLINK_CRC_DATA_ERROR_COUNT_TOTAL,
    ("replay",): nvml.NVML_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL,
    ("recovery",): nvml.NVML_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL,
    ("ecc_data",): nvml.NVML_FI_DEV_NVLINK_ECC_DATA_ERROR_COUNT_TOTAL,
}
_LINKS = range(nvml.NVML_NVLINK_MAX_LINKS)
# Since Hopper errors are counted by link only; most kinds are Blackwell's.
_LINK_ERRORS = {
    labels: tuple(scoped(field_id, link) for link in _LINKS)
    for labels, field_id in {
        ("replay",): nvml.NVML_FI_DEV_NVLINK_ERROR_DL_REPLAY,
        ("recovery",): nvml.NVML_FI_DEV_NVLINK_ERROR_DL_RECOVERY,
        ("crc",): nvml.NVML_FI_DEV_NVLINK_ERROR_DL_CRC,
        ("malformed_packet",): nvml.NVML_FI_DEV_NVLINK_COUNT_MALFORMED_PACKET_ERRORS,
        ("buffer_overrun",): nvml.NVML_FI_DEV_NVLINK_COUNT_BUFFER_OVERRUN_ERRORS,
        ("receive",): nvml.NVML_FI_DEV_NVLINK_COUNT_RCV_ERRORS,
        ("receive_remote",): nvml.NVML_FI_DEV_NVLINK_COUNT_RCV_REMOTE_ERRORS,
        ("receive_general",): nvml.NVML_FI_DEV_NVLINK_COUNT_RCV_GENERAL_ERRORS,
        ("link_integrity",): nvml.NVML_FI_DEV_NVLINK_COUNT_LOCAL_LINK_INTEGRITY_ERRORS,
        ("transmit_discard",): nvml.NVML_FI_DEV_NVLINK_COUNT_XMIT_DISCARDS,
        ("recovery_successful",): nvml.NVML_FI_DEV_NVLINK_COUNT_LINK_RECOVERY_SUCCESSFUL_EVENTS,
        ("recovery_failed",): nvml.NVML_FI_DEV_NVLINK_COUNT_LINK_RECOVERY_FAILED_EVENTS,
        ("effective",): nvml.NVML_FI_DEV_NVLINK_COUNT_EFFECTIVE_ERRORS,
        ("symbol",): nvml.NVML_FI_DEV_NVLINK_COUNT_SYMBOL_ERRORS,
    }.items()
}
# Blackwell's links count bytes themselves, should the GPU not do it for all of them.
_LINK_BYTES = {
    NVLINK_TRANSMIT: tuple(scoped(nvml.NVML_FI_DEV_NVLINK_COUNT_XMIT_BYTES, i) for i in _LINKS),
    NVLINK_RECEIVE: tuple(scoped(nvml.NVML_FI_DEV_NVLINK_COUNT_RCV_BYTES, i) for i in _LINKS),
}
_LINK_PACKETS = {
    NVLINK_TRANSMIT_PACKETS: tuple(
        scoped(nvml.NVML_FI_DEV_NVLINK_COUNT_XMIT_PACKETS, i) for i in _LINKS
    ),
    NVLINK_RECEIVE_PACKETS: tuple(
        scoped(nvml.NVML_FI_DEV_NVLINK_COUNT_RCV_PACKETS, i) for i in _LINKS
    ),
}
_STATES = {(str(link),): scoped(nvml.NVML_FI_DEV_NVLINK_GET_STATE, link) for link in _LINKS}
_SPEEDS = {(str(link),): scoped(nvml.NVML_FI_DEV_NVLINK_GET_SPEED, link) for link in _LINKS}
_UP = (nvml.NVML_NVLINK_STATE_ACTIVE, nvml.NVML_NVLINK_STATE_SLEEP)


def _gpu(gpu: GpuReader) -> Iterator[Reading]:
    """Links that a GPU does not have are unsupported scopes, which are asked for once."""
    links = gpu.field(nvml.NVML_FI_DEV_NVLINK_LINK_COUNT)
    yield NVLINK_LINKS, (), links
    count = int(links or 0)
    for metric, field_id in _KIBIBYTES.items():
        total = scaled(gpu.field(field_id), by=1024)
        if total is None:
            total = sum_of_all([gpu.field(i) for i in _LINK_BYTES[metric][:count]])
        yield metric, (), total
    for metric, field_ids in _LINK_PACKETS.items():
        yield metric, (), sum_of_all([gpu.field(i) for i in field_ids[:count]])
    totals = {labels: gpu.field(field_id) for labels, field_id in _ERRORS.items()}
    for labels, value in totals.items():
        yield NVLINK_ERRORS, labels, value
    for labels, field_ids in _LINK_ERRORS.items():
        if totals.get(labels) is None:
            yield NVLINK_ERRORS, labels, sum_of_all([gpu.field(i) for i in field_ids[:count]])
    for labels, field_id in list(_STATES.items())[:count]:
        state = gpu.field(field_id)
        if state is not None:
            yield NVLINK_UP, labels, 1 if state in _UP else 0
    for labels, field_id in list(_SPEEDS.items())[:count]:
        yield NVLINK_SPEED, labels, scaled(gpu.field(field_id), by=1_000_000)


COLLECTOR = Collector(
    "nvlink",
    "NVLink traffic, errors and state",
    (
        NVLINK_TRANSMIT,
        NVLINK_RECEIVE,
        NVLINK_TRANSMIT_PACKETS,
        NVLINK_RECEIVE_PACKETS,
        NVLINK_ERRORS,
        NVLINK_LINKS,
        NVLINK_UP,
        NVLINK_SPEED,
    ),
    gpu=_gpu,
    fields=(
        *_KIBIBYTES.values(),
        *_ERRORS.values(),
        *chain.from_iterable(_LINK_ERRORS.values()),
        *chain.from_iterable(_LINK_BYTES.values()),
        *chain.from_iterable(_LINK_PACKETS.values()),
        nvml.NVML_FI_DEV_NVLINK_LINK_COUNT,
        *_STATES.values(),
        *_SPEEDS.values(),
    ),
)
