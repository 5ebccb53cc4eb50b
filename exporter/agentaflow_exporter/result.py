"""What one scrape found, and the counters that live from scrape to scrape."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

from agentaflow_exporter import metrics
from agentaflow_exporter.driver import DriverError, Number
from agentaflow_exporter.metric import Family, Metric
from agentaflow_exporter.passes import Pass


class Counters:
    """Growth is bounded by GPUs, functions and return codes."""

    def __init__(self) -> None:
        self.errors: Counter[tuple[str, ...]] = Counter()
        self.timeouts: Counter[tuple[str, ...]] = Counter()
        self.dropped: Counter[tuple[str, ...]] = Counter()

    def error(self, gpu: str, error: DriverError) -> None:
        self.errors[gpu, error.function, str(error.code)] += 1


class Result:
    """The families of one scrape, in the making."""

    def __init__(self, collectors: Iterable[str], counters: Counters) -> None:
        self.failed: dict[str, str] = {}
        self.seconds = dict.fromkeys(collectors, 0.0)
        self._counters = counters
        self._samples: defaultdict[Metric, dict[tuple[str, ...], Number]] = defaultdict(dict)

    def add(self, metric: Metric, labels: tuple[str, ...], value: Number) -> None:
        self._samples[metric][labels] = value

    def take(self, gpu: str, labels: tuple[str, ...], done: Pass) -> None:
        """The readings of a finished pass, each after the range check; `labels` go before theirs.

        NaN is not within any range.
        """
        samples = self._samples
        for metric, own, value in done.readings:
            if value is None:
                continue
            if metric.low <= value <= metric.high:
                samples[metric][labels + own] = value
            else:
                self._counters.dropped[metric.name,] += 1
        for name, seconds in done.seconds.items():
            self.seconds[name] += seconds
        self.note_failures(gpu, done)

    def note_failures(self, gpu: str, done: Pass) -> None:
        self.failed.update(done.failed)
        for error in done.errors:
            self._counters.error(gpu, error)

    def families(self) -> list[Family]:
        """In the order of the declarations, with what this scrape says about itself."""
        for name, seconds in self.seconds.items():
            self.add(metrics.COLLECTOR_SUCCESS, (name,), 0 if name in self.failed else 1)
            self.add(metrics.COLLECTOR_DURATION, (name,), seconds)
        self._samples[metrics.NVML_ERRORS] = dict(self._counters.errors)
        self._samples[metrics.GPU_TIMEOUTS] = dict(self._counters.timeouts)
        self._samples[metrics.DROPPED_READINGS] = dict(self._counters.dropped)
        found = self._samples
        return [Family(metric, found[metric]) for metric in metrics.ALL if found.get(metric)]
