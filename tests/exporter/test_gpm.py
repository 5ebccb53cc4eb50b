"""GPU performance monitoring through the stub: what happened between two samples."""

from __future__ import annotations

import ctypes

import pynvml
import pytest

from agentaflow_exporter import constants as nvml
from agentaflow_exporter import metrics
from agentaflow_exporter.collectors import gpm, gpm_counters
from agentaflow_exporter.driver import WHOLE_GPU, DriverError, FieldsFailed, GpuLost
from agentaflow_exporter.metric import Metric
from agentaflow_exporter.nvml import NvmlDriver, NvmlGpu
from agentaflow_exporter.scrape import Scraper
from tests.support.nvml_stub import NvmlStub
from tests.support.scraping import UUIDS, Clock, Seen

GPM = "nvmlGpmMetricsGet"
GPU = ("0", UUIDS[0])
SM = nvml.NVML_GPM_METRIC_SM_UTIL
GRAPHICS = nvml.NVML_GPM_METRIC_GRAPHICS_UTIL


@pytest.fixture
def gpu(driver: NvmlDriver) -> NvmlGpu:
    driver.open()
    return driver.gpus()[0]


def after(seconds: float, gpu: NvmlGpu, clock: Clock, *ids: int) -> dict[int, float] | None:
    """What is answered so many seconds later."""
    clock.now += seconds
    answer = gpu.read(GPM, WHOLE_GPU, *(ids or (GRAPHICS, SM)))
    return None if answer is None else dict(answer)


def calls(stub: NvmlStub) -> list[str]:
    found = [call.split()[1] for call in stub.calls() if "Gpm" in call]
    stub.forget()
    return found


@pytest.mark.parametrize(
    ("metric_id", "metric", "labels", "value"),
    [
        (1, gpm.GRAPHICS_ACTIVE, (), 0.5),
        (2, gpm.SM_ACTIVE, (), 0.5),
        (3, gpm.SM_OCCUPANCY, (), 0.5),
        (10, gpm.DRAM_ACTIVE, (), 0.5),
        (5, gpm.PIPE_ACTIVE, ("tensor",), 0.5),
        (13, gpm.PIPE_ACTIVE, ("fp16",), 0.5),
        (36, gpm.MEDIA_ACTIVE, ("nvdec6",), 0.5),
        (20, gpm.PCIE_TRANSMIT, (), 50 * 2**20),
        (60, gpm.NVLINK_RECEIVE, (), 50 * 2**20),
        (61, gpm.NVLINK_TRANSMIT, (), 50 * 2**20),
        (100, gpm.C2C_TRANSMIT, (), 50 * 2**20),
        (103, gpm.C2C_DATA_RECEIVE, (), 50 * 2**20),
        (248, gpm_counters.SM_CYCLES, (), 50),
        (250, gpm_counters.PIPE_ACTIVE_CYCLES, ("tensor",), 50),
        (255, gpm_counters.PCIE_TRANSMIT, (), 50),
    ],
)
def test_readings(
    driver: NvmlDriver,
    stub: NvmlStub,
    clock: Clock,
    metric_id: int,
    metric: Metric,
    labels: tuple[str, ...],
    value: float,
) -> None:
    """Per cent become ratios and MiB bytes; what is not supported or not a number is absent."""
    scraper = Scraper(driver)
    for rule, wanted in (("value 50", value), (f"value {2**64 - 1}", None), ("error 3", None)):
        stub.script("gpus 1", f"0 {GPM}:{metric_id} {rule}")
        scraper.scrape()
        clock.now += 10
        seen = Seen(scraper.scrape())
        clock.now += 10
        assert seen.value(metric, *GPU, *labels) == wanted
        assert seen.value(metrics.COLLECTOR_SUCCESS, metric.collector) == 1


def test_both_collectors_are_one_call(driver: NvmlDriver, stub: NvmlStub, clock: Clock) -> None:
    """A scrape costs one sample and one calculation, whoever wants of them."""
    stub.script("gpus 1")
    scraper = Scraper(driver)
    for _ in range(2):
        scraper.scrape()
        clock.now += 10
    calls(stub)
    scraper.scrape()
    assert calls(stub) == ["nvmlGpmSampleGet", GPM]


def test_the_mean_between_two_samples(gpu: NvmlGpu, stub: NvmlStub, clock: Clock) -> None:
    """The first sample says nothing; each later one tells of the time since the one before it."""
    stub.script("time 0")
    assert after(0, gpu, clock, GRAPHICS) == {}
    stub.script("time 30")
    first = after(30, gpu, clock, GRAPHICS)
    stub.script("time 90")
    second = after(60, gpu, clock, GRAPHICS)
    # The stub is busy for 0.5 t + 24 (1 - cos(t / 60)) of t seconds.
    assert first == pytest.approx({GRAPHICS: 59.79}, abs=0.01)
    assert second == pytest.approx({GRAPHICS: 82.27}, abs=0.01)


def test_two_that_scrape_together(gpu: NvmlGpu, stub: NvmlStub, clock: Clock) -> None:
    """The second of a pair is told the same, as no new sample is taken within 0.1 s."""
    after(0, gpu, clock)
    whole = after(10, gpu, clock)
    calls(stub)
    assert after(0.05, gpu, clock) == whole != {}
    assert calls(stub) == []
    assert after(0.04, gpu, clock, SM) == {SM: (whole or {})[SM]}
    assert calls(stub) == [GPM]
    after(0.02, gpu, clock)
    assert calls(stub) == ["nvmlGpmSampleGet", GPM]


def test_a_sample_of_long_ago(gpu: NvmlGpu, clock: Clock) -> None:
    """The mean of more than ten minutes is not told; the measurement starts anew."""
    after(0, gpu, clock)
    assert after(601, gpu, clock) == {}
    assert after(600, gpu, clock) != {}


@pytest.mark.parametrize("answer", ["value 0", "error 3", "error 13"])
def test_without_support(gpu: NvmlGpu, stub: NvmlStub, clock: Clock, answer: str) -> None:
    """A GPU before Hopper is asked once whether it supports it, and nothing else."""
    stub.script(f"0 nvmlGpmQueryDeviceSupport {answer}")
    assert after(0, gpu, clock) is None
    stub.script()
    assert after(10, gpu, clock) is None
    assert calls(stub) == ["nvmlGpmQueryDeviceSupport"]


@pytest.mark.parametrize("call", ["nvmlGpmQueryDeviceSupport", "nvmlGpmSampleGet", GPM])
def test_without_permission(gpu: NvmlGpu, stub: NvmlStub, clock: Clock, call: str) -> None:
    """A refusal is an error at each scrape, never learnt, and over as soon as it is lifted."""
    after(0, gpu, clock) if call == GPM else None
    stub.script(f"0 {call} error 4")
    for _ in range(2):
        with pytest.raises(DriverError) as caught:
            after(10, gpu, clock)
        assert (caught.value.function, caught.value.code) == (call, 4)
    stub.script()
    after(10, gpu, clock)
    assert after(10, gpu, clock) != {}


def test_a_failed_sample(gpu: NvmlGpu, stub: NvmlStub, clock: Clock) -> None:
    """The next one tells of all the time since the last good one."""
    stub.script("time 0")
    after(0, gpu, clock)
    stub.script("time 10", "0 nvmlGpmSampleGet error 10")
    with pytest.raises(DriverError):
        after(10, gpu, clock)
    stub.script("time 30")
    assert after(20, gpu, clock, GRAPHICS) == pytest.approx({GRAPHICS: 59.79}, abs=0.01)


def test_unsupported_metrics_are_learnt(gpu: NvmlGpu, stub: NvmlStub, clock: Clock) -> None:
    """A metric that is not supported is asked for once."""
    stub.script(f"0 {GPM}:{SM} error 3")
    after(0, gpu, clock)
    assert set(after(10, gpu, clock) or ()) == {GRAPHICS}
    stub.script()
    assert set(after(10, gpu, clock) or ()) == {GRAPHICS}


def test_failed_metric(driver: NvmlDriver, stub: NvmlStub, clock: Clock) -> None:
    """A metric that fails costs itself, is one error, and marks the collectors that asked."""
    stub.script("gpus 1", f"0 {GPM}:{SM} error 10")
    scraper = Scraper(driver)
    scraper.scrape()
    clock.now += 10
    seen = Seen(scraper.scrape())
    assert seen.value(gpm.SM_ACTIVE, *GPU) is None
    assert seen.value(gpm.GRAPHICS_ACTIVE, *GPU) is not None
    assert seen.families[metrics.NVML_ERRORS] == {("0", GPM, "10"): 1}
    failed = {
        labels[0] for labels, ok in seen.families[metrics.COLLECTOR_SUCCESS].items() if not ok
    }
    assert failed == {"gpm", "gpm_counters"}
    stub.script("gpus 1")
    clock.now += 10
    assert Seen(scraper.scrape()).value(gpm.SM_ACTIVE, *GPU) is not None


def test_failed_metric_of_a_read(gpu: NvmlGpu, stub: NvmlStub, clock: Clock) -> None:
    """The error carries what the others answered."""
    stub.script(f"0 {GPM}:{SM} error 10")
    after(0, gpu, clock)
    with pytest.raises(FieldsFailed) as caught:
        after(10, gpu, clock)
    assert (caught.value.function, caught.value.code) == (GPM, 10)
    assert [metric_id for metric_id, _ in caught.value.values] == [GRAPHICS]


@pytest.mark.parametrize("call", ["nvmlGpmSampleGet", GPM, f"{GPM}:{SM}"])
def test_lost_gpu(gpu: NvmlGpu, stub: NvmlStub, clock: Clock, call: str) -> None:
    """A lost GPU is noticed from the call's code as from a metric's."""
    after(0, gpu, clock)
    stub.script(f"0 {call} error 15")
    with pytest.raises(GpuLost):
        after(10, gpu, clock)


def test_gpu_instances(gpu: NvmlGpu, stub: NvmlStub, clock: Clock) -> None:
    """Each GPU instance has a measurement of its own, which ends and begins with it."""
    three, four = (f"0 nvmlGpmMigSampleGet:{i} value 1" for i in (3, 4))

    def read(instance: int) -> int | None:
        answer = gpu.read(GPM, instance, SM)
        return None if answer is None else len(answer)

    stub.script(three, "0 nvmlGpmSampleGet error 3")
    assert [read(3), read(4), read(WHOLE_GPU)] == [0, None, None]
    clock.now += 10
    stub.script(three, four)
    assert [read(3), read(4), read(WHOLE_GPU)] == [1, 0, 0]
    clock.now += 10
    stub.script(four)
    assert [read(3), read(4), read(WHOLE_GPU)] == [None, 1, 1]
    stub.script(three, four)
    assert [read(3), read(4)] == [0, 1]


def test_a_driver_that_knows_fewer_metrics(gpu: NvmlGpu, stub: NvmlStub, clock: Clock) -> None:
    """Where one metric makes it refuse the call, the others are found one by one, and together."""
    stub.script(f"0 {GPM}:1000 value {SM}")
    after(0, gpu, clock)
    assert set(after(10, gpu, clock) or ()) == {GRAPHICS}
    calls(stub)
    assert set(after(10, gpu, clock) or ()) == {GRAPHICS}
    assert calls(stub) == ["nvmlGpmSampleGet", GPM]


def test_samples_are_freed(driver: NvmlDriver, stub: NvmlStub, clock: Clock) -> None:
    """Closing the driver gives back what was allocated, and opening it again starts anew."""
    library = ctypes.CDLL("libnvidia-ml.so.1")
    stub.script("gpus 2", "0 nvmlGpmMigSampleGet:3 value 1")
    before = library.nvmlGpmStubSamples()
    for _ in range(2):
        driver.open()
        for gpu in driver.gpus():
            for _ in range(3):
                after(10, gpu, clock)
            gpu.read(GPM, 3, SM)
        assert library.nvmlGpmStubSamples() == before + 5
        driver.close()
        assert library.nvmlGpmStubSamples() == before


def test_layout() -> None:
    """What is read as bytes is laid out as pynvml has it."""
    assert ctypes.sizeof(pynvml.c_nvmlGpmMetric_t) == 40
    assert pynvml.c_nvmlGpmMetric_t.value.offset == 8
    assert pynvml.c_nvmlGpmMetricsGet_t.metrics.offset == 24
    assert len(gpm.REQUEST) - 1 <= pynvml.c_nvmlGpmMetricsGet_t().metrics._length_
    assert len(set(gpm.REQUEST)) == len(gpm.REQUEST)
