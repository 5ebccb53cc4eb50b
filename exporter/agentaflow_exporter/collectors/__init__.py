"""All collectors, in the order in which they run: one file and one line each."""

from __future__ import annotations

from agentaflow_exporter.collector import Collector
from agentaflow_exporter.collectors import (
    clocks,
    ecc,
    info,
    memory,
    pcie,
    pods,
    power,
    processes,
    temperature,
    throttle,
    utilization,
)

COLLECTORS: tuple[Collector, ...] = (
    info.COLLECTOR,
    utilization.COLLECTOR,
    memory.COLLECTOR,
    power.COLLECTOR,
    temperature.COLLECTOR,
    clocks.COLLECTOR,
    throttle.COLLECTOR,
    ecc.COLLECTOR,
    pcie.COLLECTOR,
    processes.COLLECTOR,
    pods.COLLECTOR,
)
NAMES: tuple[str, ...] = tuple(collector.name for collector in COLLECTORS)
