"""DCGM's profiling fields, DCGM_FI_PROF_…: since Hopper DCGM reads them from GPM, as we do."""

from __future__ import annotations

from collections.abc import Iterable

from agentaflow_exporter.collectors import gpm, mig_gpm
from agentaflow_exporter.compat.fields import PROFILING, field
from agentaflow_exporter.compat.translation import Field, Source
from agentaflow_exporter.metric import Metric


def _field(
    names: str,
    meaning: str,
    unit: str,
    source: Source,
    of_instance: tuple[Source, ...] | None = None,
) -> Field:
    """Ratios as they are, traffic in whole bytes."""
    convert = None if unit == "0 to 1" else round
    return field(
        names, meaning, unit, source, convert=convert, of_instance=of_instance, prefix=PROFILING
    )


_PIPES_OF_INSTANCES = ("tensor", "fp64", "fp32", "fp16", "integer")


def _ratios() -> Iterable[Field]:
    for names, meaning, metric, part in (
        (
            "GR_ENGINE_ACTIVE GR_ENGINE_UTIL_RATIO",
            "Graphics engine active",
            gpm.GRAPHICS_ACTIVE,
            mig_gpm.MIG_GRAPHICS_ACTIVE,
        ),
        ("SM_ACTIVE SM_UTIL_RATIO", "SMs with a warp", gpm.SM_ACTIVE, mig_gpm.MIG_SM_ACTIVE),
        (
            "SM_OCCUPANCY SM_OCCUPANCY_RATIO",
            "Warps resident",
            gpm.SM_OCCUPANCY,
            mig_gpm.MIG_SM_OCCUPANCY,
        ),
        (
            "DRAM_ACTIVE DRAM_UTIL_RATIO",
            "Memory bandwidth in use",
            gpm.DRAM_ACTIVE,
            mig_gpm.MIG_DRAM_ACTIVE,
        ),
    ):
        yield _field(names, meaning, "0 to 1", (metric, ()), ((part, ()),))
    for names, pipe in (
        ("PIPE_TENSOR_ACTIVE TENSOR_UTIL_RATIO", "tensor"),
        ("PIPE_FP64_ACTIVE FP64_UTIL_RATIO", "fp64"),
        ("PIPE_FP32_ACTIVE FP32_UTIL_RATIO", "fp32"),
        ("PIPE_FP16_ACTIVE FP16_UTIL_RATIO", "fp16"),
        ("PIPE_TENSOR_IMMA_ACTIVE IMMA_UTIL_RATIO", "imma"),
        ("PIPE_TENSOR_HMMA_ACTIVE HMMA_UTIL_RATIO", "hmma"),
        ("PIPE_TENSOR_DFMA_ACTIVE DFMA_UTIL_RATIO", "dfma"),
        ("PIPE_INT_ACTIVE INT_UTIL_RATIO", "integer"),
    ):
        of_instance = ((mig_gpm.MIG_PIPE_ACTIVE, (pipe,)),) if pipe in _PIPES_OF_INSTANCES else ()
        active = gpm.PIPE_ACTIVE, (pipe,)
        yield _field(names, f"Pipe {pipe} active", "0 to 1", active, of_instance)
    for engine, count in (("nvdec", 8), ("nvjpg", 8), ("nvofa", 2)):
        for number in range(count):
            name, active = engine.upper(), (gpm.MEDIA_ACTIVE, (f"{engine}{number}",))
            names = f"{name}{number}_ACTIVE {name}_UTIL_{number}_RATIO"
            yield _field(names, f"{name} {number} active", "0 to 1", active, ())


def _traffic() -> Iterable[Field]:
    for name, meaning, metric in (
        ("PCIE_TX_BYTES", "Sent over PCIe", gpm.PCIE_TRANSMIT),
        ("PCIE_RX_BYTES", "Received over PCIe", gpm.PCIE_RECEIVE),
        ("NVLINK_TX_BYTES", "Sent over NVLinks", gpm.NVLINK_TRANSMIT),
        ("NVLINK_RX_BYTES", "Received over NVLinks", gpm.NVLINK_RECEIVE),
        ("C2C_TX_ALL_BYTES", "Sent to the CPU", gpm.C2C_TRANSMIT),
        ("C2C_RX_ALL_BYTES", "Received from the CPU", gpm.C2C_RECEIVE),
        ("C2C_TX_DATA_BYTES", "Payload sent to the CPU", gpm.C2C_DATA_TRANSMIT),
        ("C2C_RX_DATA_BYTES", "Payload received from the CPU", gpm.C2C_DATA_RECEIVE),
    ):
        yield _field(name, meaning, "B/s", (metric, ()))


FIELDS: tuple[Field, ...] = (*_ratios(), *_traffic())
WITHOUT: dict[tuple[Metric, tuple[str, ...]], str] = {
    (gpm.PIPE_ACTIVE, ("dmma",)): "DCGM has no such field",
}
