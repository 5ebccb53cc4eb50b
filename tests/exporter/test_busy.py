"""Busy seconds: the integral of the driver's samples, however scrapes cut them up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentaflow_exporter import constants as nvml
from agentaflow_exporter import metrics
from agentaflow_exporter.collector import Sources
from agentaflow_exporter.collectors import busy
from agentaflow_exporter.collectors.busy import BUSY, OBSERVED
from agentaflow_exporter.crew import InlineCrew
from agentaflow_exporter.driver import DriverError, Number
from agentaflow_exporter.nvml import NvmlDriver, NvmlGpu
from agentaflow_exporter.scrape import Scraper
from tests.support.nvml_stub import NvmlStub
from tests.support.scraping import UUIDS, Clock, Seen

SAMPLES = "nvmlDeviceGetSamples"
OF_GPU = nvml.NVML_GPU_UTILIZATION_SAMPLES
LONGEST_GAP = 5_000_000

Sample = tuple[int, int]


class Ring:
    """A driver with one GPU that keeps every sample it took up to `now`, in µs."""

    def __init__(self, samples: Sequence[Sample], *, rates: int | None = None) -> None:
        self.index = 0
        self.uuid = UUIDS[0]
        self.samples = list(samples)
        self.now = 0
        self._rates = rates

    def open(self) -> None:
        """Always there."""

    def close(self) -> None:
        """Nothing to give back."""

    def gpus(self) -> Sequence[Ring]:
        return [self]

    def read(self, function: str, *arguments: int) -> Any:
        if function == SAMPLES and arguments[0] == OF_GPU:
            return [s for s in self.samples if arguments[1] < s[0] <= self.now]
        if function == "nvmlDeviceGetUtilizationRates" and self._rates is not None:
            return SimpleNamespace(gpu=self._rates, memory=0)
        return self.uuid if function == "nvmlDeviceGetUUID" else None

    def read_mig(self, device: int, function: str, *arguments: int) -> Any:
        del device, function, arguments

    def fields(self, *ids: int) -> Mapping[int, Number]:
        del ids
        return {}


class Observer:
    """Scrapes a ring at moments of its choice."""

    def __init__(self, ring: Ring, ahead_seconds: float = 0.0) -> None:
        """Our clock may be anywhere, as far as the driver's is concerned."""
        self._ring = ring
        sources = Sources(clock=lambda: ring.now / 1e6 + ahead_seconds)
        self._scraper = Scraper(
            ring, sources=sources, crew=InlineCrew(), collectors=(busy.COLLECTOR,)
        )

    def at(self, microseconds: int) -> tuple[Number, Number]:
        """Busy and observed seconds."""
        self._ring.now = microseconds
        return seconds(Seen(self._scraper.scrape()))


def seconds(seen: Seen, engine: str = "gpu") -> tuple[Number, Number]:
    found = [seen.value(metric, "0", UUIDS[0], engine) for metric in (BUSY, OBSERVED)]
    assert found[0] is not None
    assert found[1] is not None
    return found[0], found[1]


@st.composite
def series(draw: st.DrawFn) -> list[Sample]:
    """Samples some time after each other, mostly less than what a sample can stand for."""
    now, samples = 10_000_000, []
    for gap in draw(st.lists(st.integers(1, 7_000_000), min_size=1, max_size=40)):
        now += gap
        samples.append((now, draw(st.integers(0, 100))))
    return samples


@st.composite
def scrapes(draw: st.DrawFn) -> list[int]:
    last = 10_000_000 + 40 * 7_000_000
    return sorted(draw(st.lists(st.integers(10_000_000, last), min_size=2, max_size=20)))


@given(series(), scrapes(), st.floats(-1e6, 1e6))
def test_busy_is_the_integral(samples: list[Sample], times: list[int], ahead: float) -> None:
    """However scrapes split the samples, what is counted is their integral and never falls."""
    observer = Observer(Ring(samples), ahead)
    found = [observer.at(time) for time in times]
    assert found[0] == (0, 0)
    assert all(later >= sooner for sooner, later in pairwise(found))
    first = max((stamp for stamp, _ in samples if stamp <= times[0]), default=None)
    if first is None:  # then the measurement began with a later scrape
        seen = (max((s for s, _ in samples if s <= time), default=None) for time in times)
        first = next((stamp for stamp in seen if stamp is not None), times[-1])
    counted = [
        (after - before, percent)
        for (before, _), (after, percent) in pairwise(samples)
        if first <= before and after <= times[-1] and after - before <= LONGEST_GAP
    ]
    assert found[-1][0] == pytest.approx(sum(gap * p for gap, p in counted) / 1e8)
    assert found[-1][1] == pytest.approx(sum(gap for gap, _ in counted) / 1e6)


@given(series(), scrapes(), st.integers(0, 100))
def test_observed_is_no_more_than_elapsed(
    samples: list[Sample], times: list[int], rates: int
) -> None:
    """Also where snapshots stand for what was not sampled, no time is counted twice."""
    observer = Observer(Ring(samples, rates=rates))
    start = max((stamp for stamp, _ in samples if stamp <= times[0]), default=times[0])
    for time in times:
        busy_seconds, observed = observer.at(time)
        assert 0 <= busy_seconds <= observed + 1e-9
        assert observed <= (time - start) / 1e6 + 1e-9


def test_an_idle_gpu_is_seen_to_be_idle() -> None:
    """A driver that takes no samples is asked what its engines do now: one second of it each."""
    observer = Observer(Ring([], rates=40))
    assert [observer.at(second * 1_000_000) for second in (10, 14, 16, 31)] == [
        (0, 0),
        (0, 0),
        (0.4, 1),
        (0.8, 2),
    ]
    assert observer.at(31_250_000) == (0.9, 2.25)


def test_a_clock_that_is_set_back() -> None:
    """Samples that seem to be older than what was seen are the beginning of a new measurement."""
    ring = Ring([(1_000_000 * (100 + i), 50) for i in range(4)], rates=100)
    observer = Observer(ring)
    observer.at(101_000_000)
    assert observer.at(103_000_000) == (1, 2)
    ring.samples = [(1_000_000 * i, 50) for i in range(1, 12)]
    found = [observer.at(104_000_000 + 1_000_000 * i) for i in (0, 6)]
    assert found == [(1, 2), (1, 2)]
    ring.samples.append((13_000_000, 100))
    assert observer.at(112_000_000) == (3, 4)


def test_nonsense_is_not_counted() -> None:
    """A sample of more than all the time stands for nothing."""
    observer = Observer(Ring([(1_000_000, 0), (2_000_000, 4_000_000), (3_000_000, 100)]))
    observer.at(1_000_000)
    assert observer.at(3_000_000) == (1, 1)


def test_an_engine_that_is_not_sampled() -> None:
    """It has no series, as all have none under MIG."""
    scraper = Scraper(Ring([(1_000_000, 10)]), crew=InlineCrew())
    assert {labels[2] for labels in Seen(scraper.scrape()).families[BUSY]} == {"gpu"}


def test_all_engines_of_the_stub(driver: NvmlDriver, stub: NvmlStub, clock: Clock) -> None:
    """Each engine's own samples are its seconds, at one call per engine."""
    scraper = Scraper(driver, sources=Sources(clock=clock))
    stub.script("gpus 1", "time 100", f"0 {SAMPLES}:4 value 25")
    scraper.scrape()
    stub.script("gpus 1", "time 110", f"0 {SAMPLES}:4 value 25", f"0 {SAMPLES}:2 value 100")
    stub.forget()
    seen = Seen(scraper.scrape())
    assert seconds(seen, "memory") == (10, 10)
    assert seconds(seen, "encoder") == (0, 10)
    assert seconds(seen, "decoder") == (2.5, 10)
    assert seconds(seen)[0] == pytest.approx(8.93, abs=0.05)  # 5 + 24 (cos 100/60 - cos 110/60)
    assert sum(SAMPLES in call for call in stub.calls()) == 4


def test_a_failure_is_made_up_for(driver: NvmlDriver, stub: NvmlStub) -> None:
    """A read that fails costs the series of its scrape, and none of the seconds."""
    scraper = Scraper(driver)
    rule = f"0 {SAMPLES}:1 value 50"
    stub.script("gpus 1", "time 100", rule)
    scraper.scrape()
    stub.script("gpus 1", "time 105", f"0 {SAMPLES}:1 error 10")
    seen = Seen(scraper.scrape())
    assert seen.value(BUSY, "0", UUIDS[0], "gpu") is None
    assert seconds(seen, "memory")[1] == 5
    assert seen.value(metrics.COLLECTOR_SUCCESS, "busy") == 0
    stub.script("gpus 1", "time 110", rule)
    assert seconds(Seen(scraper.scrape())) == (5, 10)


@pytest.fixture
def gpu(driver: NvmlDriver) -> NvmlGpu:
    driver.open()
    return driver.gpus()[0]


def test_samples_since(gpu: NvmlGpu, stub: NvmlStub) -> None:
    """The samples that are newer than what was seen, oldest first, as (µs, value)."""
    stub.script("time 100", f"0 {SAMPLES}:1 value 7")
    ring = gpu.read(SAMPLES, OF_GPU, 0)
    assert ring == [(100_000_000 - 200_000 * i, 7) for i in reversed(range(120))]
    assert gpu.read(SAMPLES, OF_GPU, ring[-3][0]) == ring[-2:]
    assert gpu.read(SAMPLES, OF_GPU, ring[-1][0]) == []


def test_samples_are_one_call(gpu: NvmlGpu, stub: NvmlStub) -> None:
    """The size of the ring is asked for once, for all types."""
    stub.script("time 100")
    gpu.read(SAMPLES, OF_GPU, 0)
    stub.forget()
    gpu.read(SAMPLES, OF_GPU, 0)
    gpu.read(SAMPLES, nvml.NVML_DEC_UTILIZATION_SAMPLES, 0)
    assert stub.calls() == [f"0 {SAMPLES} 1", f"0 {SAMPLES} 4"]


def test_a_ring_that_has_grown(gpu: NvmlGpu, stub: NvmlStub) -> None:
    """What does not fit is asked for again, with the room that it takes."""
    stub.script("time 2", f"0 {SAMPLES}:1000 value 10")
    assert len(gpu.read(SAMPLES, OF_GPU, 0)) == 10
    stub.script("time 100")
    assert len(gpu.read(SAMPLES, OF_GPU, 0)) == 120


@pytest.mark.parametrize("code", [2, 3, 13])
def test_unsupported_samples_are_learnt(gpu: NvmlGpu, stub: NvmlStub, code: int) -> None:
    """By type: whatever was seen last, it is not asked for again."""
    stub.script(f"0 {SAMPLES}:1 error {code}")
    assert gpu.read(SAMPLES, OF_GPU, 0) is None
    stub.script()
    stub.forget()
    assert gpu.read(SAMPLES, OF_GPU, 5) is None
    assert stub.calls() == []
    assert gpu.read(SAMPLES, nvml.NVML_MEMORY_UTILIZATION_SAMPLES, 0) is not None


@pytest.mark.parametrize("code", [4, 7, 10, 999])
def test_failing_samples_are_not_learnt(gpu: NvmlGpu, stub: NvmlStub, code: int) -> None:
    """An error is told with its code, and over when it is over."""
    stub.script(f"0 {SAMPLES} error {code}")
    with pytest.raises(DriverError) as caught:
        gpu.read(SAMPLES, OF_GPU, 0)
    assert (caught.value.function, caught.value.code) == (SAMPLES, code)
    stub.script()
    assert gpu.read(SAMPLES, OF_GPU, 0)
