"""Identity of each GPU and of the driver, as info metrics to join on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from agentaflow_exporter.collector import Collector, GpuReader, NodeReader, Reading
from agentaflow_exporter.metric import GPU_PREFIX, declare, declare_gpu

GPU_INFO = declare_gpu(
    *("info", "info", "Identity of the GPU.", "name", "pci_bus_id", "serial", "vbios_version"),
    *("architecture", "compute_capability", "minor_number"),
    source="nvmlDeviceGetName, PciInfo, Serial, VbiosVersion, Architecture, …",
)
DRIVER_INFO = declare(
    GPU_PREFIX + "driver_info",
    "Versions of the driver, of NVML and of the newest CUDA that the driver supports.",
    *("driver_version", "nvml_version", "cuda_version"),
    source="nvmlSystemGetDriverVersion, NVMLVersion, CudaDriverVersion_v2",
    collector="info",
)

_ARCHITECTURES = {
    2: "kepler",
    3: "maxwell",
    4: "pascal",
    5: "volta",
    6: "turing",
    7: "ampere",
    8: "ada",
    9: "hopper",
    10: "blackwell",
    13: "rubin",
}


def _gpu(gpu: GpuReader) -> Iterator[Reading]:
    name = gpu.constant("nvmlDeviceGetName")
    if name is None:
        return
    pci = gpu.constant("nvmlDeviceGetPciInfo")
    capability = gpu.constant("nvmlDeviceGetCudaComputeCapability")
    yield (
        GPU_INFO,
        (
            _text(name),
            _text(pci and pci.busId),
            _text(gpu.constant("nvmlDeviceGetSerial")),
            _text(gpu.constant("nvmlDeviceGetVbiosVersion")),
            _ARCHITECTURES.get(gpu.constant("nvmlDeviceGetArchitecture"), ""),
            ".".join(map(str, capability or ())),
            _text(gpu.constant("nvmlDeviceGetMinorNumber")),
        ),
        1,
    )


def _node(node: NodeReader) -> Iterator[Reading]:
    cuda = node.read("nvmlSystemGetCudaDriverVersion_v2")
    yield (
        DRIVER_INFO,
        (
            _text(node.read("nvmlSystemGetDriverVersion")),
            _text(node.read("nvmlSystemGetNVMLVersion")),
            f"{cuda // 1000}.{cuda % 1000 // 10}" if cuda else "",
        ),
        1,
    )


def _text(answer: Any) -> str:
    if answer is None:
        return ""
    return answer.decode(errors="replace") if isinstance(answer, bytes) else str(answer)


COLLECTOR = Collector(
    "info",
    "name, bus id, serial, versions",
    (
        GPU_INFO,
        DRIVER_INFO,
    ),
    gpu=_gpu,
    node=_node,
)
