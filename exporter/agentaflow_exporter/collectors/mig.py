"""MIG: whether each GPU is cut into instances, into which, and how much of their memory is used."""

from __future__ import annotations

from collections.abc import Iterator

from agentaflow_exporter import constants as nvml
from agentaflow_exporter.collector import Collector, GpuReader, Reading
from agentaflow_exporter.instances import mig_devices, mig_mode
from agentaflow_exporter.metric import Metric, declare_gpu

_SINCE = "Ampere, R450"

MIG_MODE = declare_gpu(
    "mig",
    "mig_mode_enabled",
    "1 if the GPU is cut into instances: now (current), or after its next reset (pending).",
    "mode",
    source="nvmlDeviceGetMigMode",
    since=_SINCE,
    highest=1,
)
MIG_INFO = declare_gpu(
    *("mig", "mig_info", "A MIG device: a compute instance in its GPU instance."),
    *("gpu_instance", "compute_instance", "mig_uuid", "profile"),
    source="nvmlDeviceGetMigDeviceHandleByIndex, GpuInstanceId, ComputeInstanceId, Name",
    since=_SINCE,
)


def _memory(what: str, help_text: str) -> Metric:
    return declare_gpu(
        "mig",
        f"mig_memory_{what}_bytes",
        help_text,
        "gpu_instance",
        source="nvmlDeviceGetMemoryInfo, version 2, of the MIG device",
        since=_SINCE,
    )


MIG_MEMORY_TOTAL = _memory("total", "Memory of the GPU instance, which its devices share.")
MIG_MEMORY_USED = _memory("used", "Memory of the GPU instance allocated by processes.")
MIG_MEMORY_FREE = _memory("free", "Memory of the GPU instance not allocated.")


def _gpu(gpu: GpuReader) -> Iterator[Reading]:
    mode = mig_mode(gpu)
    if mode is None:
        return
    for label, value in zip(("current", "pending"), mode, strict=True):
        yield MIG_MODE, (label,), value
    for device in gpu.once(mig_devices):
        instance = str(device.gpu_instance)
        labels = (instance, str(device.compute_instance), device.uuid, device.profile)
        yield MIG_INFO, labels, 1
        memory = gpu.mig(device.position, "nvmlDeviceGetMemoryInfo", nvml.nvmlMemory_v2)
        if memory is not None:
            yield MIG_MEMORY_TOTAL, (instance,), memory.total
            yield MIG_MEMORY_USED, (instance,), memory.used
            yield MIG_MEMORY_FREE, (instance,), memory.free


COLLECTOR = Collector(
    "mig",
    "MIG mode, devices and their memory",
    (MIG_MODE, MIG_INFO, MIG_MEMORY_TOTAL, MIG_MEMORY_USED, MIG_MEMORY_FREE),
    gpu=_gpu,
)
