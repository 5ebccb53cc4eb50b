"""Settings of each GPU that an administrator made: who may use it, and whether it stays awake."""

from __future__ import annotations

from collections.abc import Iterator

from agentaflow_exporter.collector import Collector, GpuReader, Reading
from agentaflow_exporter.metric import declare_gpu

PERSISTENCE_MODE = declare_gpu(
    "modes",
    "persistence_mode_enabled",
    "1 if the driver keeps the GPU initialised while nobody uses it.",
    source="nvmlDeviceGetPersistenceMode",
    highest=1,
)
COMPUTE_MODE = declare_gpu(
    "modes",
    "compute_mode",
    "0 shared by any processes, 2 prohibited to all, 3 one process at a time.",
    source="nvmlDeviceGetComputeMode",
    highest=3,
)


def _gpu(gpu: GpuReader) -> Iterator[Reading]:
    yield PERSISTENCE_MODE, (), gpu.read("nvmlDeviceGetPersistenceMode")
    yield COMPUTE_MODE, (), gpu.read("nvmlDeviceGetComputeMode")


COLLECTOR = Collector(
    "modes", "persistence and compute mode", (PERSISTENCE_MODE, COMPUTE_MODE), gpu=_gpu
)
