"""The PCIe link of each GPU."""

from __future__ import annotations

from collections.abc import Iterator

from agentaflow_exporter import metrics
from agentaflow_exporter.collector import Collector, GpuReader, Reading
from agentaflow_exporter.constants import NVML_FI_DEV_PCIE_REPLAY_COUNTER


def _gpu(gpu: GpuReader) -> Iterator[Reading]:
    yield metrics.PCIE_GENERATION, (), gpu.read("nvmlDeviceGetCurrPcieLinkGeneration")
    yield metrics.PCIE_GENERATION_MAX, (), gpu.constant("nvmlDeviceGetMaxPcieLinkGeneration")
    yield metrics.PCIE_WIDTH, (), gpu.read("nvmlDeviceGetCurrPcieLinkWidth")
    yield metrics.PCIE_WIDTH_MAX, (), gpu.constant("nvmlDeviceGetMaxPcieLinkWidth")
    yield metrics.PCIE_REPLAYS, (), gpu.field(NVML_FI_DEV_PCIE_REPLAY_COUNTER)


COLLECTOR = Collector(
    "pcie", "PCIe link and replays", gpu=_gpu, fields=(NVML_FI_DEV_PCIE_REPLAY_COUNTER,)
)
