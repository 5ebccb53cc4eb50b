"""The drivers by the names that --backend knows; each is imported only where it is used."""

from __future__ import annotations

from pathlib import Path

from agentaflow_exporter.collector import Sources
from agentaflow_exporter.driver import Driver


def make_driver(backend: str) -> tuple[Driver, Sources]:
    """The driver, and what it is that else knows of its GPUs.

    Raises RecordingError if the file of `replay:FILE` cannot be used.
    """
    if backend == "nvml":
        from agentaflow_exporter.kernel import expected_gpus
        from agentaflow_exporter.nvml import NvmlDriver

        return NvmlDriver(), Sources(expected=expected_gpus)
    if backend == "simulated":
        from agentaflow_exporter.simulated import SimulatedFleet

        fleet = SimulatedFleet(nodes=1, gpus_per_node=8, seed=0)
        simulated = fleet.driver(fleet.nodes[0])
        return simulated, simulated.sources
    from agentaflow_exporter.replay import ReplayDriver

    return ReplayDriver.load(Path(backend.removeprefix("replay:"))), Sources()
