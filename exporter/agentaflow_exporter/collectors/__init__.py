"""All collectors, in the order in which they run: one file and one line each."""

from __future__ import annotations

from agentaflow_exporter.collector import Collector
from agentaflow_exporter.collectors import (
    bar1,
    c2c,
    clocks,
    container_usage,
    ecc,
    expected,
    fabric,
    fans,
    info,
    memory,
    nvlink,
    pcie,
    pods,
    power,
    process_usage,
    processes,
    recovery,
    remapped_rows,
    retired_pages,
    temperature,
    throttle,
    utilization,
    xid,
)

COLLECTORS: tuple[Collector, ...] = (
    info.COLLECTOR,
    expected.COLLECTOR,
    utilization.COLLECTOR,
    memory.COLLECTOR,
    power.COLLECTOR,
    temperature.COLLECTOR,
    clocks.COLLECTOR,
    throttle.COLLECTOR,
    ecc.COLLECTOR,
    retired_pages.COLLECTOR,
    remapped_rows.COLLECTOR,
    recovery.COLLECTOR,
    fans.COLLECTOR,
    bar1.COLLECTOR,
    pcie.COLLECTOR,
    nvlink.COLLECTOR,
    c2c.COLLECTOR,
    fabric.COLLECTOR,
    xid.COLLECTOR,
    processes.COLLECTOR,
    process_usage.COLLECTOR,
    container_usage.COLLECTOR,
    pods.COLLECTOR,
)
NAMES: tuple[str, ...] = tuple(collector.name for collector in COLLECTORS)
