"""What the driver says would bring each GPU back."""

from __future__ import annotations

from collections.abc import Iterator

from agentaflow_exporter.collector import Collector, GpuReader, Reading
from agentaflow_exporter.constants import NVML_FI_DEV_GET_GPU_RECOVERY_ACTION
from agentaflow_exporter.metric import declare_gpu

RECOVERY_ACTION = declare_gpu(
    "recovery",
    "recovery_action",
    "What would bring the GPU back: 0 nothing, 1 GPU reset, 2 reboot, 3 drain its peers, "
    "4 drain and reset, 5 recover IMEX domain, 6 bus reset, 7 system reboot.",
    source="field 230, GET_GPU_RECOVERY_ACTION",
    highest=255,
    since="R570",
)


def _gpu(gpu: GpuReader) -> Iterator[Reading]:
    yield RECOVERY_ACTION, (), gpu.field(NVML_FI_DEV_GET_GPU_RECOVERY_ACTION)


COLLECTOR = Collector(
    "recovery",
    "recovery action",
    (RECOVERY_ACTION,),
    gpu=_gpu,
    fields=(NVML_FI_DEV_GET_GPU_RECOVERY_ACTION,),
)
