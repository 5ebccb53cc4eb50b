"""Which GPU, and which MIG instance of it, a device id of the kubelet means.

GPU-<uuid>, MIG-<uuid>              NVIDIA's device plugin
GPU-<uuid>::3, MIG-<uuid>::0        the same, shared by time slicing or MPS
MIG-GPU-<uuid>/<gi>/<ci>            the same, with drivers before R470
nvidia0, nvidia0/gi3, …/vgpu1       GKE's device plugin; 0 is the minor number
gpu-0                               NVIDIA's DRA driver; 0 is the minor number
gpu-0-mig-1g10gb-19-4               the same: profile, id of the profile, first memory slice
gpu-0-mig-19-4-1                    the same, in earlier releases: id, first slice, slices
0                                   the index, where a resource of nvidia.com/ says so
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

DRA_DRIVER = "gpu.nvidia.com"
_RESOURCES = "nvidia.com/"

_UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_PLUGIN = re.compile(
    rf"(?:(?P<name>(?:GPU|MIG)-{_UUID})"
    rf"|MIG-(?P<parent>GPU-{_UUID})/(?P<old_instance>\d+)/\d+"
    r"|(?P<index>\d+))(?:::\d+)?"
    r"|nvidia(?P<minor>\d+)(?:/gi(?P<instance>\d+))?(?:/vgpu\d+)?",
    re.ASCII,
)
_DRA = re.compile(
    r"gpu-(?P<minor>\d+)"
    r"(?:-mig-(?:(?P<old>\d+-\d+)-\d+|[a-z0-9-]*[a-z][a-z0-9-]*?-(?P<new>\d+-\d+)))?",
    re.ASCII,
)
_CDI = re.compile(rf"k8s\.{re.escape(DRA_DRIVER)}/(?:device=|claim={_UUID}-)({_DRA.pattern})")


class Place(NamedTuple):
    """`gpu_instance` is empty for the whole GPU."""

    gpu: str  # its index
    uuid: str
    gpu_instance: str = ""


def plugin_device(resource: str, device_id: str) -> str:
    """The id if it is a GPU's, whatever the resource was renamed to; empty if it is not.

    A bare number could be anybody's, so that it counts for NVIDIA's resources alone.
    """
    found = _PLUGIN.fullmatch(device_id)
    if found is None or (found["index"] and not resource.startswith(_RESOURCES)):
        return ""
    return device_id


def claimed_device(driver: str, name: str, cdi_devices: Iterable[str]) -> str:
    """The name of a GPU that a claim allocated; empty if it is none.

    Kubelets before 1.31 tell only the CDI devices.
    """
    if driver:
        return name if driver == DRA_DRIVER and _DRA.fullmatch(name) else ""
    found = (_CDI.fullmatch(device) for device in cdi_devices)
    return next((match[1] for match in found if match), "")


class Inventory:
    """The GPUs of this machine, to be found by all that they are called."""

    def __init__(
        self,
        gpus: Iterable[tuple[str, str]],
        minors: Mapping[str, str],
        mig: Mapping[str, tuple[str, str]],
    ) -> None:
        """`gpus` are (index, uuid): of two with one index the later has it. `minors` are the minor
        numbers by uuid. `mig`: of a MIG device by its uuid, the uuid of its GPU and its GPU
        instance; by `placement` too, without which a claim's MIG device is not found.
        """
        self._places: dict[str, Place] = {}
        for index, uuid in gpus:
            place = Place(index, uuid)
            self._places[index] = self._places[uuid] = place
            if uuid in minors:
                self._places[f"nvidia{minors[uuid]}"] = place
        self._mig = mig

    def find(self, device_id: str) -> Place | None:
        """None for a GPU or an instance that is not here, and for what is no GPU."""
        place = self._places.get(device_id)
        if place is not None:
            return place
        if (found := _PLUGIN.fullmatch(device_id)) is not None:
            name = found["name"] or found["parent"] or found["index"] or f"nvidia{found['minor']}"
            instance = found["old_instance"] or found["instance"]
            return self._of_mig(name) if name.startswith("MIG-") else self._of(name, instance)
        if (found := _DRA.fullmatch(device_id)) is not None:
            place = self._of(f"nvidia{found['minor']}")
            slices = found["old"] or found["new"]
            return place and (self._of_mig(f"{place.uuid}/{slices}") if slices else place)
        return None

    def _of(self, name: str, instance: str | None = None) -> Place | None:
        place = self._places.get(name)
        return place and place._replace(gpu_instance=instance or "")

    def _of_mig(self, name: str) -> Place | None:
        if name not in self._mig:
            return None
        uuid, instance = self._mig[name]
        return self._of(uuid, instance)


def placement(gpu_uuid: str, profile_id: int, start: int) -> str:
    """What a MIG device is called by where it lies: nvmlGpuInstanceGetInfo tells both numbers."""
    return f"{gpu_uuid}/{profile_id}-{start}"
