"""What the driver says would bring each GPU back."""

from __future__ import annotations

from collections.abc import Iterator

from agentaflow_exporter.collector import Collector, GpuReader, Reading
from agentaflow_exporter.constants import NVML_FI_DEV_GET_GPU_RECOVERY_ACTION
from agentaflow_exporter.hardware_metrics import RECOVERY_ACTION


def _gpu(gpu: GpuReader) -> Iterator[Reading]:
    yield RECOVERY_ACTION, (), gpu.field(NVML_FI_DEV_GET_GPU_RECOVERY_ACTION)


COLLECTOR = Collector(
    "recovery", "recovery action", gpu=_gpu, fields=(NVML_FI_DEV_GET_GPU_RECOVERY_ACTION,)
)
