"""How much there is to read, told by a driver that is out of its mind: its word costs no memory."""

from __future__ import annotations

import time
import tracemalloc

import pytest

from agentaflow_exporter import metrics
from agentaflow_exporter.collectors import NAMES
from agentaflow_exporter.collectors.mig import MIG_INFO
from agentaflow_exporter.collectors.power import POWER
from agentaflow_exporter.nvml import NvmlDriver
from agentaflow_exporter.scrape import Scraper
from agentaflow_exporter.settings import Settings
from tests.support.faults import FaultCases
from tests.support.nvml_stub import NvmlStub
from tests.support.scraping import UUIDS, Seen

BILLIONS = 2**32 - 1
MOST_BYTES = 32 << 20
MOST_SECONDS = 5.0
LISTS = [
    f"nvmlDeviceGet{kind}RunningProcesses_v3" for kind in ("Compute", "Graphics", "MPSCompute")
]
CALLS = [*LISTS, "nvmlDeviceGetSamples", "nvmlDeviceGetSamples:1000", "nvmlDeviceGetNumFans"]


def scrape(*rules: str, stub: NvmlStub) -> Seen:
    """What a scrape of every collector saw, that it was soon over and took little memory."""
    stub.script(*rules)
    scraper = Scraper(NvmlDriver(), Settings(collectors=frozenset(NAMES)))
    tracemalloc.start()
    started = time.monotonic()
    try:
        seen = Seen(scraper.scrape())
        assert time.monotonic() - started < MOST_SECONDS
        assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
    finally:
        tracemalloc.stop()
        scraper.close()
    return seen


@pytest.mark.fault("E5")
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("count", [10_000_000, BILLIONS])
def test_count_of_what_a_gpu_has(
    stub: NvmlStub, fault_cases: FaultCases, call: str, count: int
) -> None:
    """Millions and billions of samples, processes or fans: the GPU's other series are there."""
    seen = scrape("gpus 2", f"* {call} value {count}", stub=stub)
    for gpu in (0, 1):
        assert seen.value(metrics.GPU_UP, str(gpu), UUIDS[gpu]) == 1
        assert seen.value(POWER, str(gpu), UUIDS[gpu]) is not None
    fault_cases.count(2)


@pytest.mark.fault("E5")
def test_count_of_mig_devices(stub: NvmlStub, fault_cases: FaultCases) -> None:
    """Billions of parts of a GPU: those that answer are there, and so is the whole."""
    cut = ("* nvmlDeviceGetMigMode value 1", "* nvmlDeviceGetMigDeviceHandleByIndex:0 value 71")
    most = f"* nvmlDeviceGetMaxMigDeviceCount value {BILLIONS}"
    seen = scrape("gpus 1", *cut, most, stub=stub)
    assert seen.value(metrics.GPU_UP, "0", UUIDS[0]) == 1
    assert MIG_INFO in seen.families
    fault_cases.count(1)


@pytest.mark.fault("E5")
def test_count_of_gpus(stub: NvmlStub, fault_cases: FaultCases) -> None:
    """Billions of GPUs: the driver is not up, and the exporter lives."""
    seen = scrape(f"gpus {BILLIONS}", stub=stub)
    assert seen.value(metrics.DRIVER_UP) == 0
    fault_cases.count(1)
