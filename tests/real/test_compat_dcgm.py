"""Queries of NVIDIA's own board (Grafana 12239), asked of a real Prometheus on our exporter."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentaflow_exporter.compat import NAMES
from agentaflow_exporter.compat.dcgm import FIELDS, style_of
from agentaflow_exporter.compat.translation import Source
from agentaflow_exporter.crew import InlineCrew
from agentaflow_exporter.scrape import Scraper
from agentaflow_exporter.settings import Settings
from agentaflow_exporter.simulate import FleetApp
from agentaflow_exporter.simulated import SimulatedFleet
from tests.support.web import serving
from tools.prometheus import PrometheusServer

NODES, GPUS_PER_NODE = 3, 2
BOARD = [
    "DCGM_FI_DEV_GPU_TEMP{{{where}}}",
    "avg(DCGM_FI_DEV_GPU_TEMP{{{where}}})",
    "DCGM_FI_DEV_POWER_USAGE{{{where}}}",
    "sum(DCGM_FI_DEV_POWER_USAGE{{{where}}})",
    "DCGM_FI_DEV_SM_CLOCK{{{where}}} * 1000000",
    "DCGM_FI_DEV_GPU_UTIL{{{where}}}",
    "DCGM_FI_DEV_FB_USED{{{where}}}",
    "DCGM_FI_DEV_MEM_COPY_UTIL{{{where}}}",
    "sum by (modelName, pod, namespace) (DCGM_FI_DEV_FB_USED{{{where}}})",
    "increase(DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{{{where}}}[1m]) / 1e6",
]


@pytest.fixture(scope="module", params=NAMES)
def names(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def prometheus(
    names: str, tmp_path_factory: pytest.TempPathFactory, prometheus_binary: Path
) -> Iterator[PrometheusServer]:
    """It has scraped each node of a simulated fleet twice, without our own names."""
    assert prometheus_binary
    fleet = FleetApp(
        SimulatedFleet(NODES, GPUS_PER_NODE, seed=7), Settings(compat=names, own_metrics=False)
    )
    folder = tmp_path_factory.mktemp(names)
    with (
        serving(fleet) as (host, port),
        PrometheusServer(folder, http_sd=f"http://{host}:{port}/sd") as server,
    ):
        seen = "count(count_over_time(DCGM_FI_DEV_SM_CLOCK[1m]) > 2)"
        server.wait_for(f"{seen} == {NODES * GPUS_PER_NODE}")
        yield server


def simulated_readings() -> set[Source]:
    """What the fleet's GPUs tell under our own names: no board of it has fans, or is cut."""
    fleet = SimulatedFleet(NODES, GPUS_PER_NODE, seed=7)
    found: set[Source] = set()
    for node in fleet.nodes:
        driver = fleet.driver(node)
        scraper = Scraper(driver, sources=driver.sources, crew=InlineCrew())
        for metric, samples in scraper.scrape():
            found |= {(metric, labels[2:]) for labels in samples}
    return found


def renamed(query: str, names: str) -> str:
    """The query as somebody who went to these names would write it."""
    style = style_of(names)
    by_old = {field.names[0]: field.names[style.name] for field in FIELDS}
    return re.sub(r"DCGM_\w+", lambda found: by_old[found[0]], query)


def host_label(names: str) -> str:
    return next(label for label in style_of(names).labels if label.lower() == "hostname")


@pytest.mark.parametrize("query", BOARD)
def test_the_boards_queries_have_answers(
    prometheus: PrometheusServer, names: str, query: str
) -> None:
    """For all nodes and for one, a series a GPU or one in all."""
    one_each = not query.startswith(("avg", "sum"))
    for chosen, nodes in ((".*", NODES), ("node-1", 1)):
        where = f'{host_label(names)}=~"{chosen}", gpu=~"0|1"'
        found = prometheus.query(renamed(query.format(where=where), names))
        assert found
        if one_each:
            assert len(found) == nodes * GPUS_PER_NODE


def test_the_boards_variables_have_values(prometheus: PrometheusServer, names: str) -> None:
    """label_values of the host and of gpu list the fleet."""
    match = renamed("DCGM_FI_DEV_GPU_TEMP", names)

    def values(label: str) -> set[str]:
        return set(prometheus.get(f"/api/v1/label/{label}/values", **{"match[]": match}))

    assert values(host_label(names)) == {f"node-{index}" for index in range(NODES)}
    assert values("gpu") == {str(index) for index in range(GPUS_PER_NODE)}


def test_every_field_is_there(prometheus: PrometheusServer, names: str) -> None:
    """Prometheus took each family that the simulated fleet can answer, and lost no scrape."""
    stored = set(prometheus.get("/api/v1/label/__name__/values"))
    told = simulated_readings()
    expected = {f.names[style_of(names).name] for f in FIELDS if told.issuperset(f.sources)}
    assert len(expected) > 70
    assert {name for name in stored if name.startswith("DCGM_")} == expected
    assert prometheus.query("min(min_over_time(up[1m]))")[0]["value"][1] == "1"
    assert not {name for name in stored if name.startswith("agentaflow_gpu_utilization")}
