"""NvmlCollector in a registry of prometheus_client."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from agentaflow_exporter import metrics
from agentaflow_exporter.client import NvmlCollector
from agentaflow_exporter.exposition import encode
from agentaflow_exporter.nvml import NvmlDriver
from agentaflow_exporter.scrape import Scraper
from tests.support.nvml_stub import NvmlStub


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("agentaflow_gpu_")
    }


def test_same_metrics_as_the_exporter(driver: NvmlDriver, stub: NvmlStub) -> None:
    """prometheus_client exports the same samples as the exporter's own encoder."""
    stub.script("time 7000")
    scraper = Scraper(driver)
    registry = CollectorRegistry()
    registry.register(NvmlCollector(scraper))
    theirs = samples(generate_latest(registry).decode())
    assert theirs == samples(encode(scraper.scrape(), openmetrics=False).decode())
    assert (metrics.GPU_DEVICES.name, ()) in theirs


def test_registering_does_not_wait(stub: NvmlStub) -> None:
    """A program can start without a driver, and leaves its own process metrics alone."""
    stub.script("- nvmlInitWithFlags error 9")
    registry = CollectorRegistry()
    registry.register(NvmlCollector())
    body = generate_latest(registry).decode()
    assert "agentaflow_exporter_driver_up 0.0\n" in body
    assert "process_" not in body
