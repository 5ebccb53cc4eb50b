"""The simulated fleet in a real Prometheus: its past and its present are the same series."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from agentaflow_exporter.backfill import Plan, write
from agentaflow_exporter.simulate import FleetApp
from agentaflow_exporter.simulated import SimulatedFleet
from tests.support.web import serving
from tools.processes import eventually
from tools.prometheus import PrometheusServer


@pytest.mark.usefixtures("prometheus_binary", "promtool")
def test_backfilled_and_scraped_series_are_the_same(tmp_path: Path) -> None:
    """After promtool's blocks come live scrapes, and no series is there twice."""
    fleet = SimulatedFleet(nodes=2, gpus_per_node=4, seed=7)
    history = tmp_path / "history.om"
    write(Plan.make(2, 4, 7, end=time.time(), seconds=3 * 3600, step=60), history)
    with (
        serving(FleetApp(fleet)) as (host, port),
        PrometheusServer(
            tmp_path, http_sd=f"http://{host}:{port}/sd", blocks_from=history
        ) as prometheus,
    ):
        eventually(lambda: prometheus.query("count(up == 1) == 2"), 60, what="both nodes scraped")
        for query, expected in {
            "count(last_over_time(agentaflow_gpu_energy_joules_total[3h]))": 8,
            "count(resets(agentaflow_gpu_energy_joules_total[3h]) > 0) or vector(0)": 0,
            "min(count_over_time(agentaflow_gpu_up[3h])) > bool 170": 1,
            "count(count by (uuid) (agentaflow_gpu_up)) == bool 8": 1,
        }.items():
            (answer,) = prometheus.query(query)
            assert float(answer["value"][1]) == expected, query
        idle = prometheus.query(
            'max_over_time(agentaflow_gpu_utilization_ratio{engine="gpu"}[3h]) == 0'
            " and on (uuid) agentaflow_gpu_processes{type='compute'} > 0"
        )
        told = {s.uuid for s in fleet.stories() if s.name in ("idle_notebook", "forgotten_process")}
        assert {series["metric"]["uuid"] for series in idle} == told
