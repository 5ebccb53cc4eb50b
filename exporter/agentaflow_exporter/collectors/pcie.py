"""The PCIe link of each GPU and its errors."""

from __future__ import annotations

from collections.abc import Iterator

from agentaflow_exporter import constants as nvml
from agentaflow_exporter.collector import Collector, GpuReader, Reading
from agentaflow_exporter.metric import declare_gpu

PCIE_GENERATION = declare_gpu(
    "pcie",
    "pcie_link_generation",
    "PCIe generation at which the link runs now; links slow down when idle.",
    source="nvmlDeviceGetCurrPcieLinkGeneration",
    highest=16,
)
PCIE_GENERATION_MAX = declare_gpu(
    "pcie",
    "pcie_link_generation_max",
    "Highest PCIe generation of this GPU in this slot.",
    source="nvmlDeviceGetMaxPcieLinkGeneration",
    highest=16,
)
PCIE_WIDTH = declare_gpu(
    "pcie",
    "pcie_link_width",
    "PCIe lanes in use.",
    source="nvmlDeviceGetCurrPcieLinkWidth",
    highest=32,
)
PCIE_WIDTH_MAX = declare_gpu(
    "pcie",
    "pcie_link_width_max",
    "Most PCIe lanes of this GPU in this slot.",
    source="nvmlDeviceGetMaxPcieLinkWidth",
    highest=32,
)
PCIE_REPLAYS = declare_gpu(
    "pcie", "pcie_replays_total", "PCIe packets sent again.", source="field 94, PCIE_REPLAY_COUNTER"
)
PCIE_ERRORS = declare_gpu(
    "pcie",
    "pcie_errors_total",
    "PCIe errors, by what went wrong; correctable ones cost time only.",
    "type",
    source="fields 173 … 183, PCIE_COUNT_…",
    since="R525",
)

_ERRORS = {
    ("correctable",): nvml.NVML_FI_DEV_PCIE_COUNT_CORRECTABLE_ERRORS,
    ("non_fatal",): nvml.NVML_FI_DEV_PCIE_COUNT_NON_FATAL_ERROR,
    ("fatal",): nvml.NVML_FI_DEV_PCIE_COUNT_FATAL_ERROR,
    ("unsupported_request",): nvml.NVML_FI_DEV_PCIE_COUNT_UNSUPPORTED_REQ,
    ("naks_received",): nvml.NVML_FI_DEV_PCIE_COUNT_NAKS_RECEIVED,
    ("naks_sent",): nvml.NVML_FI_DEV_PCIE_COUNT_NAKS_SENT,
    ("receiver",): nvml.NVML_FI_DEV_PCIE_COUNT_RECEIVER_ERROR,
    ("bad_tlp",): nvml.NVML_FI_DEV_PCIE_COUNT_BAD_TLP,
    ("bad_dllp",): nvml.NVML_FI_DEV_PCIE_COUNT_BAD_DLLP,
    ("lcrc",): nvml.NVML_FI_DEV_PCIE_COUNT_LCRC_ERROR,
    ("lane",): nvml.NVML_FI_DEV_PCIE_COUNT_LANE_ERROR,
}


def _gpu(gpu: GpuReader) -> Iterator[Reading]:
    yield PCIE_GENERATION, (), gpu.read("nvmlDeviceGetCurrPcieLinkGeneration")
    yield PCIE_GENERATION_MAX, (), gpu.constant("nvmlDeviceGetMaxPcieLinkGeneration")
    yield PCIE_WIDTH, (), gpu.read("nvmlDeviceGetCurrPcieLinkWidth")
    yield PCIE_WIDTH_MAX, (), gpu.constant("nvmlDeviceGetMaxPcieLinkWidth")
    yield PCIE_REPLAYS, (), gpu.field(nvml.NVML_FI_DEV_PCIE_REPLAY_COUNTER)
    for labels, field_id in _ERRORS.items():
        yield PCIE_ERRORS, labels, gpu.field(field_id)


COLLECTOR = Collector(
    "pcie",
    "PCIe link, replays and errors",
    (
        PCIE_GENERATION,
        PCIE_GENERATION_MAX,
        PCIE_WIDTH,
        PCIE_WIDTH_MAX,
        PCIE_REPLAYS,
        PCIE_ERRORS,
    ),
    gpu=_gpu,
    fields=(nvml.NVML_FI_DEV_PCIE_REPLAY_COUNTER, *_ERRORS.values()),
)
