"""Device ids of every form, and the GPU of this machine that each means.

Forms: NVIDIA/k8s-device-plugin internal/rm/devices.go (uuids, `::` and a replica's number);
GoogleCloudPlatform/container-engine-accelerators pkg/gpu/nvidia (nvidiaN, /giN, /vgpuN, after the
files in /dev); kubernetes-sigs/dra-driver-nvidia-gpu cmd/gpu-kubelet-plugin/{deviceinfo,mig,cdi}.go
(gpu-<minor>, since its pull request 428).
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentaflow_exporter.attribution.devices import (
    Inventory,
    Place,
    claimed_device,
    placement,
    plugin_device,
)
from tests.support.scraping import UUIDS

MIG = "MIG-c7384736-a75d-5afc-978f-d2f1294409fd"
# The driver found the GPUs in another order than the kernel: index 0 is /dev/nvidia1.
GPUS = [("0", UUIDS[0]), ("1", UUIDS[1]), ("2", UUIDS[2])]
MINORS = {UUIDS[0]: "1", UUIDS[1]: "0"}
INSTANCES = {MIG: (UUIDS[2], "7"), placement(UUIDS[1], 19, 4): (UUIDS[1], "9")}
INVENTORY = Inventory(GPUS, MINORS, INSTANCES)
CLAIM = "k8s.gpu.nvidia.com/claim=0d3c2b1a-5eed-4a6b-8c1d-0123456789ab-"


@pytest.mark.parametrize(
    ("device_id", "place"),
    [
        (UUIDS[1], Place("1", UUIDS[1])),
        (f"{UUIDS[1]}::3", Place("1", UUIDS[1])),
        (MIG, Place("2", UUIDS[2], "7")),
        (f"{MIG}::0", Place("2", UUIDS[2], "7")),
        (f"MIG-{UUIDS[0]}/5/0", Place("0", UUIDS[0], "5")),
        ("0", Place("0", UUIDS[0])),
        ("0::1", Place("0", UUIDS[0])),
        ("nvidia0", Place("1", UUIDS[1])),
        ("nvidia0/vgpu1", Place("1", UUIDS[1])),
        ("nvidia1/gi3", Place("0", UUIDS[0], "3")),
        ("nvidia1/gi3/vgpu0", Place("0", UUIDS[0], "3")),
        ("gpu-0", Place("1", UUIDS[1])),
        ("gpu-0-mig-19-4-1", Place("1", UUIDS[1], "9")),
        ("gpu-0-mig-1g10gb-19-4", Place("1", UUIDS[1], "9")),
        ("gpu-0-mig-1g10gb-me-19-4", Place("1", UUIDS[1], "9")),
    ],
)
def test_forms(device_id: str, place: Place) -> None:
    """Minor numbers are not indices, and an instance is found with its GPU."""
    assert INVENTORY.find(device_id) == place


@pytest.mark.parametrize(
    "device_id",
    [
        *("", "7", "nvidia2", "nvidia9", "gpu-9", "gpu-vfio-0", UUIDS[3], f"MIG-{UUIDS[3]}/5/0"),
        *("MIG-00000000-0000-0000-0000-000000000000", "gpu-1-mig-1g10gb-19-4", f"{UUIDS[0]}-1"),
        *("nvidia0/gi", "nvidia", "GPU-1", "0000:3b:00.0", "٣", "gpu-0-mig-19-4", f"{UUIDS[0]}::"),
    ],
)
def test_what_is_not_here(device_id: str) -> None:
    """A GPU or an instance that nobody knows, or whose minor number is unknown, is no place."""
    assert INVENTORY.find(device_id) is None


def test_one_index_of_two_gpus() -> None:
    """The index is that of the GPU that is up, which comes last; the lost one keeps its uuid."""
    inventory = Inventory([("0", UUIDS[0]), ("0", UUIDS[1])], {}, {})
    assert inventory.find("0") == Place("0", UUIDS[1])
    assert inventory.find(UUIDS[0]) == Place("0", UUIDS[0])


@pytest.mark.parametrize("resource", ["nvidia.com/gpu", "nvidia.com/gpu.shared", "nvidia.com/big"])
@pytest.mark.parametrize("device_id", [UUIDS[0], f"{UUIDS[0]}::1", MIG, "nvidia0/gi3", "0"])
def test_ids_of_gpus(resource: str, device_id: str) -> None:
    """Whatever the resource is called."""
    assert plugin_device(resource, device_id) == device_id


@pytest.mark.parametrize(
    ("resource", "device_id"),
    [
        ("rdma/hca", "0"),
        ("amd.com/gpu", "gpu-0"),
        ("amd.com/gpu", "0000:3b:00.0"),
        ("intel.com/i915", "card0-0"),
        ("nvidia.com/gpu", f"{UUIDS[0]}-3"),  # HAMi's: its scheduler, not the id, says which GPU
        ("squat.ai/fuse", "GPU-1"),
        ("smarter-devices/nvidia", ""),
    ],
)
def test_ids_of_others(resource: str, device_id: str) -> None:
    """A bare number, or what only looks like a GPU, is not one."""
    assert plugin_device(resource, device_id) == ""


def test_a_renamed_resource() -> None:
    """The id alone tells that it is a GPU."""
    assert plugin_device("example.com/a100", UUIDS[0]) == UUIDS[0]


@pytest.mark.parametrize(
    ("driver", "name", "cdi", "device"),
    [
        ("gpu.nvidia.com", "gpu-0", [], "gpu-0"),
        ("gpu.nvidia.com", "gpu-0-mig-1g10gb-19-4", [], "gpu-0-mig-1g10gb-19-4"),
        ("gpu.nvidia.com", "gpu-vfio-0", [], ""),
        ("gpu.amd.com", "gpu-0", [], ""),
        ("gpu.nvidia.com", "", ["k8s.gpu.nvidia.com/device=gpu-0"], ""),
        ("", "", ["k8s.gpu.nvidia.com/device=gpu-3"], "gpu-3"),
        ("", "", ["vendor.com/net=0", f"{CLAIM}gpu-3"], "gpu-3"),
        ("", "", [f"{CLAIM}gpu-0-mig-19-4-1"], "gpu-0-mig-19-4-1"),
        ("", "", ["k8s.compute-domain.nvidia.com/device=channel-0", "other.com/device=gpu-0"], ""),
        ("", "gpu-0", [], ""),
    ],
)
def test_claims(driver: str, name: str, cdi: list[str], device: str) -> None:
    """By the driver and its name of the device; by the CDI devices where the driver is not told."""
    assert claimed_device(driver, name, cdi) == device


@given(st.text(alphabet="GPUMIGnvidiagpumg-:/0123456789abcdef", max_size=60))
def test_no_id_is_too_strange(device_id: str) -> None:
    """Whatever an id looks like, it is found or not, and what is found is one of the GPUs."""
    place = INVENTORY.find(device_id)
    assert place is None or (place.gpu, place.uuid) in GPUS
