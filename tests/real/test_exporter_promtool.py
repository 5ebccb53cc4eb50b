"""The exporter's metrics as Prometheus' own tool sees them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from agentaflow_exporter import metrics
from agentaflow_exporter.backends import make_driver
from agentaflow_exporter.collectors import COLLECTORS, NAMES
from agentaflow_exporter.crew import InlineCrew
from agentaflow_exporter.exposition import encode, series
from agentaflow_exporter.metric import Family
from agentaflow_exporter.nvml import NvmlDriver
from agentaflow_exporter.scrape import Scraper
from agentaflow_exporter.settings import Settings
from tests.support.exporter_process import running
from tests.support.faults import FaultCases
from tests.support.nvml_stub import in_process_stub
from tests.support.scraping import Clock

ON = Settings(collectors=frozenset(NAMES))


def check_metrics(promtool: Path, text: bytes) -> None:
    ended = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")


def test_every_collector_on(promtool: Path, tmp_path: Path) -> None:
    """`promtool check metrics` has nothing to say of a simulated machine with every collector on,
    those that are off by default too.
    """
    flags = [f"--collector.{collector.name}" for collector in COLLECTORS]
    with running(tmp_path, "--backend=simulated", *flags) as exporter:
        body = exporter.get()
    for collector in COLLECTORS:
        assert f'collector_success{{collector="{collector.name}"}} 1\n'.encode() in body
    check_metrics(promtool, body)


@pytest.mark.parametrize("backend", ["simulated", "nvml"])
def test_every_metric_at_once(promtool: Path, backend: str) -> None:
    """So does every metric that is declared, present or not on these boards."""
    stub = in_process_stub()
    stub.script()
    driver, sources = make_driver(backend)
    scraper = Scraper(driver, ON, sources=sources, crew=InlineCrew())
    found = {family.metric: family for family in scraper.scrape()}
    scraper.close()
    families = [
        found.get(metric, Family(metric, {tuple("x" for _ in metric.labels): 1}))
        for metric in metrics.ALL
    ]
    check_metrics(promtool, encode(families, openmetrics=False))


def counters(scraper: Scraper) -> dict[str, float]:
    """The GPUs' counters of a scrape, by series."""
    return {
        series(metric.name, metric.labels, labels).strip(): value
        for metric, samples in scraper.scrape()
        for labels, value in samples.items()
        if metric.kind == "counter" and metric.collector
    }


@pytest.mark.fault("E6")
def test_rates_over_a_reload(promtool: Path, tmp_path: Path, fault_cases: FaultCases) -> None:
    """When the driver is loaded again its counters fall; no rate of any of them is negative."""
    stub = in_process_stub()
    clock = Clock()
    scraper = Scraper(NvmlDriver(), ON, clock=clock)
    scrapes = []
    for seconds in (900_000, 900_060, 900_120, 900_180, 30, 90, 150, 210):
        stub.script("gpus 2", f"time {seconds}")
        scrapes.append(counters(scraper))
        clock.now += 60
    scraper.close()
    stub.script()
    values = {name: [scrape[name] for scrape in scrapes] for name in scrapes[0]}
    reset = [name for name, of in values.items() if of[4] < of[3]]
    assert any("energy_joules_total" in name for name in reset)
    tests = {
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [
                    {"series": name, "values": " ".join(map(str, of))}
                    for name, of in values.items()
                ],
                "promql_expr_test": [
                    {"expr": f"{function}({name}[3m]) < 0", "eval_time": f"{minute}m"}
                    for name in reset
                    for function in ("rate", "irate", "increase")
                    for minute in range(3, 8)
                ]
                + [
                    {
                        "expr": f"resets({name}[10m])",
                        "eval_time": "7m",
                        "exp_samples": [
                            {"labels": name[name.index("{") :], "value": 1},
                        ],
                    }
                    for name in reset
                ],
            }
        ],
    }
    path = tmp_path / "reload.yaml"
    path.write_text(yaml.safe_dump(tests))
    ended = subprocess.run([promtool, "test", "rules", path], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    fault_cases.count(len(reset) * 16)
