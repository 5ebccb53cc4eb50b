"""The same metrics inside another program's prometheus_client registry; only this needs it.

from prometheus_client import REGISTRY
from agentaflow_exporter.client import NvmlCollector
REGISTRY.register(NvmlCollector())
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric as ClientMetric
from prometheus_client.registry import Collector

from agentaflow_exporter.collector import Sources
from agentaflow_exporter.kernel import expected_gpus
from agentaflow_exporter.nvml import NvmlDriver
from agentaflow_exporter.scrape import Scraper


class NvmlCollector(Collector):
    """`process_…` is left out: prometheus_client has it already."""

    def __init__(self, scraper: Scraper | None = None) -> None:
        self._scraper = scraper or Scraper(NvmlDriver(), sources=Sources(expected=expected_gpus))

    def describe(self) -> list[ClientMetric]:
        """Nothing: registering must not wait for a driver."""
        return []

    def collect(self) -> Iterator[ClientMetric]:
        for metric, samples in self._scraper.scrape():
            if metric.name.startswith("process_"):
                continue
            kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
            family = kind(metric.family, metric.help, labels=metric.labels)
            for labels, value in samples.items():
                family.add_metric(labels, value)
            yield family
