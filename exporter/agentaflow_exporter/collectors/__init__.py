"""All collectors, in the order in which they run: one file and one line each."""

from __future__ import annotations

from agentaflow_exporter.collector import Collector
from agentaflow_exporter.collectors import (
    bar1,
    busy,
    c2c,
    clocks,
    ecc,
    expected,
    fabric,
    fans,
    gpm,
    gpm_counters,
    info,
    memory,
    mig,
    mig_gpm,
    nvlink,
    pcie,
    pods,
    power,
    processes,
    recovery,
    remapped_rows,
    retired_pages,
    temperature,
    throttle,
    utilization,
)

COLLECTORS: tuple[Collector, ...] = (
    info.COLLECTOR,
    expected.COLLECTOR,
    mig.COLLECTOR,  # first of those that a change of the mode concerns
    utilization.COLLECTOR,
    busy.COLLECTOR,
    gpm.COLLECTOR,
    gpm_counters.COLLECTOR,
    mig_gpm.COLLECTOR,
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
    processes.COLLECTOR,
    pods.COLLECTOR,
)
NAMES: tuple[str, ...] = tuple(collector.name for collector in COLLECTORS)
