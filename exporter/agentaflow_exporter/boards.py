"""The GPU models of the simulation: what their data sheets and nvidia-smi say of them."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Board:
    """Clocks in MHz, as NVML has them."""

    name: str
    architecture: int  # NVML_DEVICE_ARCH_…
    compute_capability: tuple[int, int]
    memory_bytes: int
    reserved_bytes: int
    idle_watts: float
    context_watts: float  # more than idle, once a process has a context
    limit_watts: float
    lowest_limit_watts: float
    slowdown_celsius: int
    shutdown_celsius: int
    highest_celsius: int
    highest_memory_celsius: int | None
    sm_mhz: int
    idle_sm_mhz: int
    memory_mhz: int
    video_mhz: int
    pcie_generation: int
    vbios_version: str
    bar1_bytes: int
    memory_banks: int
    nvlinks: int = 0
    nvlink_bytes_per_second: float = 0.0  # of all links, in each direction
    in_fabric: bool = False
    has_mig: bool = False


H100 = Board(
    name="NVIDIA H100 80GB HBM3",
    architecture=9,
    compute_capability=(9, 0),
    memory_bytes=81559 * MIB,
    reserved_bytes=551 * MIB,
    idle_watts=70.0,
    context_watts=45.0,
    limit_watts=700.0,
    lowest_limit_watts=200.0,
    slowdown_celsius=89,
    shutdown_celsius=92,
    highest_celsius=87,
    highest_memory_celsius=95,
    sm_mhz=1980,
    idle_sm_mhz=345,
    memory_mhz=2619,
    video_mhz=1545,
    pcie_generation=5,
    vbios_version="96.00.74.00.01",
    bar1_bytes=131072 * MIB,
    memory_banks=2560,
    nvlinks=18,
    nvlink_bytes_per_second=450e9,
    in_fabric=True,
    has_mig=True,
)
A100 = Board(
    name="NVIDIA A100-SXM4-80GB",
    architecture=7,
    compute_capability=(8, 0),
    memory_bytes=81920 * MIB,
    reserved_bytes=693 * MIB,
    idle_watts=60.0,
    context_watts=20.0,
    limit_watts=400.0,
    lowest_limit_watts=100.0,
    slowdown_celsius=89,
    shutdown_celsius=92,
    highest_celsius=85,
    highest_memory_celsius=95,
    sm_mhz=1410,
    idle_sm_mhz=210,
    memory_mhz=1593,
    video_mhz=1290,
    pcie_generation=4,
    vbios_version="92.00.36.00.10",
    bar1_bytes=131072 * MIB,
    memory_banks=640,
    nvlinks=12,
    has_mig=True,
    nvlink_bytes_per_second=300e9,
)
L4 = Board(
    name="NVIDIA L4",
    architecture=8,
    compute_capability=(8, 9),
    memory_bytes=23034 * MIB,
    reserved_bytes=427 * MIB,
    idle_watts=16.0,
    context_watts=12.0,
    limit_watts=72.0,
    lowest_limit_watts=40.0,
    slowdown_celsius=95,
    shutdown_celsius=98,
    highest_celsius=88,
    highest_memory_celsius=None,
    sm_mhz=2040,
    idle_sm_mhz=210,
    memory_mhz=6251,
    video_mhz=1770,
    pcie_generation=4,
    vbios_version="95.04.47.00.01",
    bar1_bytes=32768 * MIB,
    memory_banks=96,
)
