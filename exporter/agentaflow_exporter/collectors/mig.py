"""MIG: whether each GPU is cut into instances, into which, and how much of their memory is used."""

from __future__ import annotations

from collections.abc import Iterator

from agentaflow_exporter import constants as nvml
from agentaflow_exporter.collector import Collector, GpuReader, Reading
from agentaflow_exporter.instances import MigDevice, is_still, mig_devices, mig_mode
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


MIG_MULTIPROCESSORS = declare_gpu(
    *("mig", "mig_multiprocessors", "SMs of the MIG device."),
    *("gpu_instance", "compute_instance"),
    source="nvmlDeviceGetAttributes_v2, multiprocessorCount",
    since=_SINCE,
    highest=10_000,
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
        yield from _device(gpu, device)


def _device(gpu: GpuReader, device: MigDevice) -> Iterator[Reading]:
    """Drivers before R510 have only version 1 of the memory's answer."""
    labels = str(device.gpu_instance), str(device.compute_instance)
    yield MIG_INFO, (*labels, device.uuid, device.profile), 1
    memory = gpu.mig(device.position, "nvmlDeviceGetMemoryInfo", nvml.nvmlMemory_v2)
    if memory is None:
        memory = gpu.mig(device.position, "nvmlDeviceGetMemoryInfo")
    attributes = gpu.mig(device.position, "nvmlDeviceGetAttributes")
    if not is_still(gpu, device):
        return
    if attributes is not None:
        yield MIG_MULTIPROCESSORS, labels, attributes.multiprocessorCount
    if memory is not None:
        yield MIG_MEMORY_TOTAL, labels[:1], memory.total
        yield MIG_MEMORY_USED, labels[:1], memory.used
        yield MIG_MEMORY_FREE, labels[:1], memory.free


COLLECTOR = Collector(
    "mig",
    "MIG mode, devices, their SMs and memory",
    (MIG_MODE, MIG_INFO, MIG_MULTIPROCESSORS, MIG_MEMORY_TOTAL, MIG_MEMORY_USED, MIG_MEMORY_FREE),
    gpu=_gpu,
)
