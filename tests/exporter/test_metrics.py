"""The declarations, and what is generated from them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from agentaflow_exporter import metrics
from agentaflow_exporter.collectors import COLLECTORS, NAMES
from agentaflow_exporter.collectors.expected import GPU_EXPECTED
from agentaflow_exporter.collectors.info import DRIVER_INFO
from agentaflow_exporter.collectors.xid import XID_LOG_OVERRUNS
from agentaflow_exporter.metric import Metric, documentation
from agentaflow_exporter.nvml import NvmlDriver
from agentaflow_exporter.scrape import Scraper
from tests.support.golden_metrics import golden_metrics
from tests.support.nvml_stub import NvmlStub
from tests.support.scraping import Seen

GOLDEN = Path("tests/exporter/golden/metrics.txt")
DOCUMENTATION = Path("docs/metrics.md")
UNITS = {"bytes", "celsius", "hertz", "joules", "ratio", "seconds", "watts"}


def test_golden_metrics(stub: NvmlStub) -> None:
    """/metrics of two GPUs at a standstill is the golden file, byte for byte."""
    del stub
    command = f"python -m tests.support.golden_metrics > {GOLDEN}"
    assert golden_metrics() == GOLDEN.read_text(), f"if the change is meant: {command}"


def test_golden_metrics_have_everything() -> None:
    """The golden file shows every metric but the build's, so that no change of one goes unseen."""
    shown = {
        sample.name
        for family in text_string_to_metric_families(GOLDEN.read_text())
        for sample in family.samples
    }
    declared = {metric.name for metric in metrics.ALL} - {metrics.BUILD_INFO.name}
    assert shown == declared


def test_documentation() -> None:
    """docs/metrics.md is what the declarations say."""
    command = f"python -m agentaflow_exporter.metrics > {DOCUMENTATION}"
    assert documentation(metrics.ALL) == DOCUMENTATION.read_text(), f"run: {command}"


@pytest.mark.parametrize("metric", metrics.ALL, ids=lambda metric: metric.name)
def test_declaration(metric: Metric) -> None:
    """Names keep Prometheus' conventions: one prefix, base units, _total on counters only."""
    assert re.fullmatch(r"(agentaflow_(gpu|exporter)|process)_[a-z0-9_]+", metric.name)
    assert (metric.kind == "counter") == metric.name.endswith("_total")
    assert metric.unit in UNITS | {""}
    assert metric.help.endswith(".")
    assert len(set(metric.labels)) == len(metric.labels)
    assert metric.collector in (*NAMES, "")
    assert metric.low < metric.high
    if metric.collector and metric not in (DRIVER_INFO, GPU_EXPECTED, XID_LOG_OVERRUNS):
        assert metric.labels[:2] == ("gpu", "uuid")


def test_metrics_are_their_collectors() -> None:
    """A collector declares its own metrics, under its name."""
    owners = {metric: c.name for c in COLLECTORS for metric in c.metrics}
    assert owners == {metric: metric.collector for metric in metrics.ALL if metric.collector}


def test_names_are_unique() -> None:
    """No metric is declared twice, and no counter's family has another metric's name."""
    names = [metric.name for metric in metrics.ALL]
    families = [metric.family for metric in metrics.ALL]
    assert len(set(names)) == len(names) == len(set(families))
    assert sum(metric.name.startswith("agentaflow_gpu_") for metric in metrics.ALL) >= 20


def test_one_file_per_collector() -> None:
    """A collector's file, flag and name are the same, and every file is registered."""
    folder = Path("exporter/agentaflow_exporter/collectors")
    files = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    assert files == set(NAMES)
    assert len(COLLECTORS) == len(NAMES)


def test_collectors_export_what_is_declared(driver: NvmlDriver) -> None:
    """With all of its labels, in the order of the declaration."""
    for metric, samples in Seen(Scraper(driver).scrape()).families.items():
        assert all(len(labels) == len(metric.labels) for labels in samples), metric.name
