"""Numbers that cannot be true are not exported."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentaflow_exporter import metrics
from agentaflow_exporter.collectors.clocks import CLOCK, PERFORMANCE_STATE
from agentaflow_exporter.collectors.ecc import ECC_ERRORS
from agentaflow_exporter.collectors.memory import MEMORY_USED
from agentaflow_exporter.collectors.pcie import PCIE_REPLAYS, PCIE_WIDTH
from agentaflow_exporter.collectors.power import ENERGY, POWER
from agentaflow_exporter.collectors.temperature import TEMPERATURE
from agentaflow_exporter.collectors.utilization import UTILIZATION
from agentaflow_exporter.metric import Metric
from agentaflow_exporter.nvml import NvmlDriver
from agentaflow_exporter.scrape import Scraper
from tests.support.nvml_stub import NvmlStub
from tests.support.scraping import UUIDS, Seen


@pytest.fixture
def scraper(driver: NvmlDriver) -> Scraper:
    return Scraper(driver)


RAW = (
    ("nvmlDeviceGetPowerUsage", POWER, ()),
    ("nvmlDeviceGetUtilizationRates", UTILIZATION, ("gpu",)),
    ("nvmlDeviceGetTemperatureV", TEMPERATURE, ("gpu",)),
    ("nvmlDeviceGetClockInfo:1", CLOCK, ("sm",)),
    ("nvmlDeviceGetPerformanceState", PERFORMANCE_STATE, ()),
    ("nvmlDeviceGetMemoryInfo_v2", MEMORY_USED, ()),
    ("nvmlDeviceGetCurrPcieLinkWidth", PCIE_WIDTH, ()),
    ("nvmlDeviceGetFieldValues:83", ENERGY, ()),
    ("nvmlDeviceGetFieldValues:4", ECC_ERRORS, ("uncorrected",)),
    ("nvmlDeviceGetFieldValues:94", PCIE_REPLAYS, ()),
)


WIDE = ("nvmlDeviceGetFieldValues:83", "nvmlDeviceGetMemoryInfo_v2")  # 64 bits, not 32


@pytest.mark.fault("E5")
@pytest.mark.parametrize("sentinel", [2**32 - 1, 2**64 - 1])
@pytest.mark.parametrize(("call", "metric", "labels"), RAW)
def test_sentinels(
    scraper: Scraper,
    stub: NvmlStub,
    call: str,
    metric: Metric,
    labels: tuple[str, ...],
    sentinel: int,
) -> None:
    """NVML's "not available" numbers are never exported as readings, and are counted."""
    if call in WIDE:
        sentinel = 2**64 - 1
    stub.script("gpus 1", f"0 {call} value {sentinel}")
    seen = Seen(scraper.scrape())
    assert seen.value(metric, "0", UUIDS[0], *labels) is None
    dropped = seen.value(metrics.DROPPED_READINGS, metric.name)
    assert dropped is not None
    assert dropped >= 1


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.integers(0, 2**64 - 1), min_size=len(RAW), max_size=len(RAW)))
def test_no_nonsense(scraper: Scraper, stub: NvmlStub, values: list[int]) -> None:
    """Whatever numbers the driver answers, every sample lies within its metric's range."""
    rules = [f"0 {call} value {value}" for (call, *_), value in zip(RAW, values, strict=True)]
    stub.script("gpus 1", *rules)
    for metric, samples in Seen(scraper.scrape()).families.items():
        assert all(metric.low <= value <= metric.high for value in samples.values()), metric.name
