"""The MIG devices of a GPU: the parts that it was cut into, as NVML lists them now.

A part is a GPU instance, which has memory of its own, and in it a compute instance, which has SMs.
They come and go while the driver is loaded, so that they are listed anew in each scrape.
"""

from __future__ import annotations

from typing import NamedTuple

from agentaflow_exporter.collector import GpuReader

_MODE = "nvmlDeviceGetMigMode"
_UUID = "nvmlDeviceGetUUID"
_MOST = 64  # NVML tells 7 or 4, and each is asked for


class MigDevice(NamedTuple):
    """`position` is where NVML lists it now; the other fields say which it is."""

    position: int
    uuid: str
    gpu_instance: int
    compute_instance: int
    profile: str  # such as 1g.10gb


def mig_mode(gpu: GpuReader) -> tuple[int, int] | None:
    """Whether the GPU is cut now, and will be after its next reset; None where it cannot be."""
    mode = gpu.shared(_MODE)
    return None if mode is None else (mode[0], mode[1])


def mig_devices(gpu: GpuReader) -> tuple[MigDevice, ...]:
    """None of them where the GPU is whole. `GpuReader.once` asks for them once a scrape."""
    mode = mig_mode(gpu)
    if mode is None or not mode[0]:
        return ()
    most = min(gpu.constant("nvmlDeviceGetMaxMigDeviceCount") or 0, _MOST)
    found = (_device(gpu, position) for position in range(most))
    return tuple(device for device in found if device is not None)


def placements(gpu: GpuReader) -> tuple[tuple[int, int, int], ...]:
    """Of each GPU instance: its id, its profile's, and the first memory slice that it has."""
    instances = dict.fromkeys(device.gpu_instance for device in gpu.once(mig_devices))
    told = ((i, gpu.read("nvmlGpuInstanceGetInfo", i)) for i in instances)
    return tuple((i, info.profileId, info.start) for i, info in told if info is not None)


def is_still(gpu: GpuReader, device: MigDevice) -> bool:
    """To be asked after what was read at its position: another may have taken its place."""
    uuid: str | None = gpu.mig(device.position, _UUID)
    return uuid == device.uuid


def _device(gpu: GpuReader, position: int) -> MigDevice | None:
    """Only if it was the same one from the first question to the last."""
    uuid = gpu.mig(position, _UUID)
    if uuid is None:
        return None
    gpu_instance = gpu.mig(position, "nvmlDeviceGetGpuInstanceId")
    compute_instance = gpu.mig(position, "nvmlDeviceGetComputeInstanceId")
    name = gpu.mig(position, "nvmlDeviceGetName")
    if gpu_instance is None or compute_instance is None:
        return None
    device = MigDevice(position, uuid, gpu_instance, compute_instance, _profile(name or ""))
    return device if is_still(gpu, device) else None


def _profile(name: str) -> str:
    """NVIDIA H100 80GB HBM3 MIG 1g.10gb: since R470 the profile ends a MIG device's name."""
    _, mig, profile = name.rpartition(" MIG ")
    return profile if mig else ""
