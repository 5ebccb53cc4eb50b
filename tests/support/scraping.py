"""What a test sees of a scrape."""

from __future__ import annotations

from collections.abc import Iterable

from agentaflow_exporter.driver import Number
from agentaflow_exporter.metric import Family, Metric

UUIDS = tuple(f"GPU-{0xA100 + index:08x}-5eed-4a6b-8c1d-0123456789ab" for index in range(8))


class Seen:
    """The samples of one scrape."""

    def __init__(self, families: Iterable[Family]) -> None:
        self.families = {family.metric: dict(family.samples) for family in families}

    def value(self, metric: Metric, *labels: str) -> Number | None:
        return self.families.get(metric, {}).get(labels)

    def readings(self, gpu: int) -> dict[tuple[str, tuple[str, ...]], Number]:
        """Every device series of the GPU but `up` and what the exporter says about itself."""
        return {
            (metric.name, labels): value
            for metric, samples in self.families.items()
            for labels, value in samples.items()
            if metric.collector and metric.labels[:1] == ("gpu",) and labels[0] == str(gpu)
        }

    def series(self) -> set[tuple[str, tuple[str, ...]]]:
        return {
            (metric.name, labels) for metric, found in self.families.items() for labels in found
        }


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now
