"""The PCIe link of each GPU and its errors."""

from __future__ import annotations

from collections.abc import Iterator

from agentaflow_exporter import constants as nvml
from agentaflow_exporter import metrics
from agentaflow_exporter.collector import Collector, GpuReader, Reading

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
    yield metrics.PCIE_GENERATION, (), gpu.read("nvmlDeviceGetCurrPcieLinkGeneration")
    yield metrics.PCIE_GENERATION_MAX, (), gpu.constant("nvmlDeviceGetMaxPcieLinkGeneration")
    yield metrics.PCIE_WIDTH, (), gpu.read("nvmlDeviceGetCurrPcieLinkWidth")
    yield metrics.PCIE_WIDTH_MAX, (), gpu.constant("nvmlDeviceGetMaxPcieLinkWidth")
    yield metrics.PCIE_REPLAYS, (), gpu.field(nvml.NVML_FI_DEV_PCIE_REPLAY_COUNTER)
    for labels, field_id in _ERRORS.items():
        yield metrics.PCIE_ERRORS, labels, gpu.field(field_id)


COLLECTOR = Collector(
    "pcie",
    "PCIe link, replays and errors",
    gpu=_gpu,
    fields=(nvml.NVML_FI_DEV_PCIE_REPLAY_COUNTER, *_ERRORS.values()),
)
