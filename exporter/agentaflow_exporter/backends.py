"""The drivers by the names that --backend knows; each is imported only where it is used."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from agentaflow_exporter.collector import Sources
from agentaflow_exporter.driver import Driver
from agentaflow_exporter.log import Log
from agentaflow_exporter.settings import Settings


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


def watch_xids(driver: Driver, sources: Sources, settings: Settings, log: Log) -> Sources:
    """The sources with the Xid errors from now on, of GPUs that are real.

    Raises SettingsError.
    """
    if settings.backend != "nvml" or "xid" not in settings.collectors:
        return sources
    if settings.xid_source == "kmsg":
        from agentaflow_exporter.kernellog import KernelLog

        kernel_log = KernelLog()
        return replace(sources, xids=kernel_log, locate=kernel_log.locate)
    from agentaflow_exporter.background.xid import XidWatcher
    from agentaflow_exporter.nvml import NvmlDriver, XidEvents

    if not isinstance(driver, NvmlDriver):
        return sources
    return replace(sources, xids=XidWatcher(XidEvents(driver.door), log))
