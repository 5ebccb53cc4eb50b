"""What the parts of each GPU did since the last scrape: GPU performance monitoring.

Where several Prometheus scrape, the time is that since any of them did.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from agentaflow_exporter import constants as nvml
from agentaflow_exporter.collector import Collector, GpuReader, Reading
from agentaflow_exporter.driver import WHOLE_GPU
from agentaflow_exporter.metric import Metric, declare_gpu

FUNCTION = "nvmlGpmMetricsGet"
_SINCE = "Hopper, R525"
_SINCE_C2C = "Hopper, R575"
_MOST_BYTES_PER_SECOND = 1e14
_MEBIBYTE = 1 << 20


def _ratio(name: str, help_text: str, metric: str, *labels: str) -> Metric:
    source = f"{FUNCTION}, {metric}"
    return declare_gpu("gpm", name, help_text, *labels, source=source, since=_SINCE)


def _rate(name: str, help_text: str, metric: str, since: str = _SINCE) -> Metric:
    return declare_gpu(
        "gpm",
        name,
        help_text,
        source=f"{FUNCTION}, {metric}",
        since=since,
        highest=_MOST_BYTES_PER_SECOND,
    )


GRAPHICS_ACTIVE = _ratio(
    "graphics_active_ratio", "Share of time in which the GPU computed or drew.", "GRAPHICS_UTIL"
)
SM_ACTIVE = _ratio("sm_active_ratio", "Share of the SMs' cycles with at least one warp.", "SM_UTIL")
SM_OCCUPANCY = _ratio(
    "sm_occupancy_ratio", "Warps resident, as share of the most possible.", "SM_OCCUPANCY"
)
DRAM_ACTIVE = _ratio("dram_active_ratio", "Share of the memory's bandwidth in use.", "DRAM_BW_UTIL")
PIPE_ACTIVE = _ratio(
    "pipe_active_ratio",
    "Share of the SMs' cycles in which the pipe worked; tensor is any of dmma, hmma, imma, dfma.",
    "…_TENSOR_UTIL, FP64_UTIL, FP32_UTIL, FP16_UTIL, INTEGER_UTIL",
    "pipe",
)
MEDIA_ACTIVE = _ratio(
    "media_engine_active_ratio",
    "Share of time in which the engine worked.",
    "NVDEC_…, NVJPG_…, NVOFA_…_UTIL",
    "engine",
)
PCIE_TRANSMIT = _rate("pcie_transmit_bytes_per_second", "Sent over PCIe.", "PCIE_TX_PER_SEC")
PCIE_RECEIVE = _rate("pcie_receive_bytes_per_second", "Received over PCIe.", "PCIE_RX_PER_SEC")
NVLINK_TRANSMIT = _rate(
    "nvlink_transmit_bytes_per_second", "Sent over all NVLinks.", "NVLINK_TOTAL_TX_PER_SEC"
)
NVLINK_RECEIVE = _rate(
    "nvlink_receive_bytes_per_second", "Received over all NVLinks.", "NVLINK_TOTAL_RX_PER_SEC"
)
C2C_TRANSMIT = _rate(
    "c2c_transmit_bytes_per_second",
    "Sent over all links to the CPU, with what is no payload.",
    "C2C_TOTAL_TX_PER_SEC",
    _SINCE_C2C,
)
C2C_RECEIVE = _rate(
    "c2c_receive_bytes_per_second",
    "Received over all links to the CPU, with what is no payload.",
    "C2C_TOTAL_RX_PER_SEC",
    _SINCE_C2C,
)
C2C_DATA_TRANSMIT = _rate(
    "c2c_data_transmit_bytes_per_second",
    "Payload sent over all links to the CPU.",
    "C2C_DATA_TX_PER_SEC",
    _SINCE_C2C,
)
C2C_DATA_RECEIVE = _rate(
    "c2c_data_receive_bytes_per_second",
    "Payload received over all links to the CPU.",
    "C2C_DATA_RX_PER_SEC",
    _SINCE_C2C,
)

# Metric, labels, and what makes base units of percent and MiB/s.
_READINGS: Mapping[int, tuple[Metric, tuple[str, ...], int, int]] = {
    nvml.NVML_GPM_METRIC_GRAPHICS_UTIL: (GRAPHICS_ACTIVE, (), 1, 100),
    nvml.NVML_GPM_METRIC_SM_UTIL: (SM_ACTIVE, (), 1, 100),
    nvml.NVML_GPM_METRIC_SM_OCCUPANCY: (SM_OCCUPANCY, (), 1, 100),
    nvml.NVML_GPM_METRIC_DRAM_BW_UTIL: (DRAM_ACTIVE, (), 1, 100),
    nvml.NVML_GPM_METRIC_ANY_TENSOR_UTIL: (PIPE_ACTIVE, ("tensor",), 1, 100),
    nvml.NVML_GPM_METRIC_DMMA_TENSOR_UTIL: (PIPE_ACTIVE, ("dmma",), 1, 100),
    nvml.NVML_GPM_METRIC_HMMA_TENSOR_UTIL: (PIPE_ACTIVE, ("hmma",), 1, 100),
    nvml.NVML_GPM_METRIC_IMMA_TENSOR_UTIL: (PIPE_ACTIVE, ("imma",), 1, 100),
    nvml.NVML_GPM_METRIC_DFMA_TENSOR_UTIL: (PIPE_ACTIVE, ("dfma",), 1, 100),
    nvml.NVML_GPM_METRIC_FP64_UTIL: (PIPE_ACTIVE, ("fp64",), 1, 100),
    nvml.NVML_GPM_METRIC_FP32_UTIL: (PIPE_ACTIVE, ("fp32",), 1, 100),
    nvml.NVML_GPM_METRIC_FP16_UTIL: (PIPE_ACTIVE, ("fp16",), 1, 100),
    nvml.NVML_GPM_METRIC_INTEGER_UTIL: (PIPE_ACTIVE, ("integer",), 1, 100),
    nvml.NVML_GPM_METRIC_PCIE_TX_PER_SEC: (PCIE_TRANSMIT, (), _MEBIBYTE, 1),
    nvml.NVML_GPM_METRIC_PCIE_RX_PER_SEC: (PCIE_RECEIVE, (), _MEBIBYTE, 1),
    nvml.NVML_GPM_METRIC_NVLINK_TOTAL_TX_PER_SEC: (NVLINK_TRANSMIT, (), _MEBIBYTE, 1),
    nvml.NVML_GPM_METRIC_NVLINK_TOTAL_RX_PER_SEC: (NVLINK_RECEIVE, (), _MEBIBYTE, 1),
    nvml.NVML_GPM_METRIC_C2C_TOTAL_TX_PER_SEC: (C2C_TRANSMIT, (), _MEBIBYTE, 1),
    nvml.NVML_GPM_METRIC_C2C_TOTAL_RX_PER_SEC: (C2C_RECEIVE, (), _MEBIBYTE, 1),
    nvml.NVML_GPM_METRIC_C2C_DATA_TX_PER_SEC: (C2C_DATA_TRANSMIT, (), _MEBIBYTE, 1),
    nvml.NVML_GPM_METRIC_C2C_DATA_RX_PER_SEC: (C2C_DATA_RECEIVE, (), _MEBIBYTE, 1),
    **{
        first + number: (MEDIA_ACTIVE, (f"{engine}{number}",), 1, 100)
        for engine, first, count in (
            ("nvdec", nvml.NVML_GPM_METRIC_NVDEC_0_UTIL, 8),
            ("nvjpg", nvml.NVML_GPM_METRIC_NVJPG_0_UTIL, 8),
            ("nvofa", nvml.NVML_GPM_METRIC_NVOFA_0_UTIL, 2),
        )
        for number in range(count)
    },
}
_COUNTERS = range(
    nvml.NVML_GPM_METRIC_SM_CYCLES_ELAPSED, nvml.NVML_GPM_METRIC_FP16_CYCLES_ACTIVE + 1
)
# Those of gpm_counters too, so that one call answers both.
REQUEST = (WHOLE_GPU, *_READINGS, *_COUNTERS)


def _gpu(gpu: GpuReader) -> Iterator[Reading]:
    """The first scrape only starts the measurement."""
    for metric_id, value in gpu.shared(FUNCTION, *REQUEST) or ():
        reading = _READINGS.get(metric_id)
        if reading is not None:
            metric, labels, by, per = reading
            yield metric, labels, value * by / per


COLLECTOR = Collector(
    "gpm",
    "how busy SMs, pipes, memory, links and media engines are",
    (
        GRAPHICS_ACTIVE,
        SM_ACTIVE,
        SM_OCCUPANCY,
        DRAM_ACTIVE,
        PIPE_ACTIVE,
        MEDIA_ACTIVE,
        PCIE_TRANSMIT,
        PCIE_RECEIVE,
        NVLINK_TRANSMIT,
        NVLINK_RECEIVE,
        C2C_TRANSMIT,
        C2C_RECEIVE,
        C2C_DATA_TRANSMIT,
        C2C_DATA_RECEIVE,
    ),
    gpu=_gpu,
)
