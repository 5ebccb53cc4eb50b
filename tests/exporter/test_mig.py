"""MIG through the stub: instances come and go, and a reading belongs to the one that it is of."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from agentaflow_exporter.collector import Pod, Sources
from agentaflow_exporter.collectors.busy import OBSERVED
from agentaflow_exporter.collectors.mig import (
    MIG_INFO,
    MIG_MEMORY_FREE,
    MIG_MEMORY_TOTAL,
    MIG_MEMORY_USED,
    MIG_MODE,
    MIG_MULTIPROCESSORS,
)
from agentaflow_exporter.collectors.mig_gpm import MIG_PIPE_ACTIVE, MIG_SM_ACTIVE
from agentaflow_exporter.collectors.pods import POD_INFO
from agentaflow_exporter.collectors.utilization import UTILIZATION
from agentaflow_exporter.metrics import COLLECTOR_SUCCESS, NVML_ERRORS
from agentaflow_exporter.nvml import NvmlDriver
from agentaflow_exporter.scrape import Scraper
from agentaflow_exporter.settings import Settings
from tests.support.nvml_stub import NvmlStub
from tests.support.scraping import UUIDS, Clock, Seen
from tools.processes import eventually

GPU = ("0", UUIDS[0])
HANDLE = "nvmlDeviceGetMigDeviceHandleByIndex"
CUT = ("gpus 2", "0 nvmlDeviceGetMigMode value 1", "0 nvmlDeviceGetUtilizationRates error 3")
GIB = 1 << 30


def devices(*instances: int) -> tuple[str, ...]:
    """Rules: GPU 0 has these MIG devices, 10 x GPU instance + compute instance each."""
    return tuple(f"0 {HANDLE}:{at} value {each}" for at, each in enumerate(instances))


@pytest.fixture
def scraper(driver: NvmlDriver) -> Iterator[Scraper]:
    scraper = Scraper(driver)
    yield scraper
    scraper.close()


def while_it_waits(scraper: Scraper, stub: NvmlStub, call: str, *rules: str) -> Seen:
    """A scrape, in which the rules change while it is in this call of GPU 0."""
    symbol, _, argument = call.partition(":")
    stub.script(*CUT, *devices(10, 20), f"0 {call} delay 60")
    stub.forget()
    with ThreadPoolExecutor(1) as pool:
        scrape = pool.submit(scraper.scrape)
        eventually(lambda: f"0 {symbol} {argument or -1}" in stub.calls())
        stub.script(*rules)
        return Seen(scrape.result())


def test_inventory(scraper: Scraper, stub: NvmlStub) -> None:
    """A device has an info series with ids and profile, a GPU instance its memory once."""
    stub.script(*CUT, *devices(10, 70, 71))
    seen = Seen(scraper.scrape())
    assert seen.value(MIG_MODE, *GPU, "current") == seen.value(MIG_MODE, *GPU, "pending") == 1
    assert {labels[2:] for labels in seen.families[MIG_INFO]} == {
        ("1", "0", "MIG-0000a100-5eed-4a6b-8c1d-000000000010", "3g.40gb"),
        ("7", "0", "MIG-0000a100-5eed-4a6b-8c1d-000000000070", "1g.10gb"),
        ("7", "1", "MIG-0000a100-5eed-4a6b-8c1d-000000000071", "1g.10gb"),
    }
    assert seen.families[MIG_MEMORY_TOTAL] == {(*GPU, "1"): 40 * GIB, (*GPU, "7"): 10 * GIB}
    assert seen.value(MIG_MEMORY_USED, *GPU, "7") == GIB
    assert seen.families[MIG_MULTIPROCESSORS] == {
        (*GPU, "1", "0"): 64,
        (*GPU, "7", "0"): 16,
        (*GPU, "7", "1"): 16,
    }
    assert seen.value(MIG_MEMORY_FREE, *GPU, "7") == 9 * GIB
    other = ("1", UUIDS[1])
    assert seen.value(MIG_MODE, *other, "current") == 0
    assert not any(labels[:2] == other for labels in seen.families[MIG_INFO])


def test_memory_of_an_older_driver(scraper: Scraper, stub: NvmlStub) -> None:
    """Before R510 there is only version 1 of the answer."""
    stub.script(*CUT, *devices(70), "0 nvmlDeviceGetMemoryInfo_v2 error 13")
    assert Seen(scraper.scrape()).families[MIG_MEMORY_TOTAL] == {(*GPU, "7"): 10 * GIB}


def test_a_mode_that_waits_for_a_reset(scraper: Scraper, stub: NvmlStub) -> None:
    """Current and pending mode are told apart."""
    stub.script("gpus 1", "0 nvmlDeviceGetMigMode:1 value 1")
    seen = Seen(scraper.scrape())
    assert seen.value(MIG_MODE, *GPU, "current") == 0
    assert seen.value(MIG_MODE, *GPU, "pending") == 1


@pytest.mark.parametrize("code", [3, 13])
def test_a_gpu_that_cannot_be_cut(scraper: Scraper, stub: NvmlStub, code: int) -> None:
    """Has no MIG series, and that is no failure."""
    stub.script("gpus 1", f"0 nvmlDeviceGetMigMode error {code}")
    seen = Seen(scraper.scrape())
    assert MIG_MODE not in seen.families
    assert seen.value(COLLECTOR_SUCCESS, "mig") == 1


def test_cut_anew_between_scrapes(scraper: Scraper, stub: NvmlStub) -> None:
    """Another instance at the same place is another one: its uuid, its profile, its memory."""
    stub.script(*CUT, *devices(10, 20))
    scraper.scrape()
    stub.script(*CUT, *devices(70, 20))
    seen = Seen(scraper.scrape())
    assert {labels[2] for labels in seen.families[MIG_INFO]} == {"7", "2"}
    assert seen.families[MIG_MEMORY_TOTAL] == {(*GPU, "7"): 10 * GIB, (*GPU, "2"): 40 * GIB}


@pytest.mark.parametrize("call", ["nvmlDeviceGetName:1", "nvmlDeviceGetMemoryInfo_v2:0"])
def test_cut_anew_in_a_scrape(scraper: Scraper, stub: NvmlStub, call: str) -> None:
    """What was read of one instance is not said of the one that took its place meanwhile."""
    seen = while_it_waits(scraper, stub, call, *CUT, *devices(10, 70))
    assert seen.families[MIG_MULTIPROCESSORS] == {(*GPU, "1", "0"): 64}
    assert seen.families[MIG_MEMORY_TOTAL] == {(*GPU, "1"): 40 * GIB}
    assert len(Seen(scraper.scrape()).families[MIG_MEMORY_TOTAL]) == 2


def test_made_whole_in_a_scrape(scraper: Scraper, stub: NvmlStub) -> None:
    """Instances that are gone before their memory was read have none."""
    seen = while_it_waits(scraper, stub, "nvmlDeviceGetMemoryInfo_v2:0", "gpus 2")
    assert MIG_MEMORY_TOTAL not in seen.families
    assert MIG_INFO not in Seen(scraper.scrape()).families


def test_one_that_was_just_gone(scraper: Scraper, stub: NvmlStub) -> None:
    """That an instance was not found once says nothing of those that come."""
    stub.script(*CUT, *devices(10), "0 nvmlDeviceGetGpuInstanceId:0 error 6")
    assert MIG_INFO not in Seen(scraper.scrape()).families
    stub.script(*CUT, *devices(10))
    assert len(Seen(scraper.scrape()).families[MIG_INFO]) == 1


def test_activity_of_another_with_the_same_id(
    stub: NvmlStub, driver: NvmlDriver, clock: Clock
) -> None:
    """Of a GPU instance that was made anew there is no activity from before it was."""
    sampled = ("0 nvmlGpmMigSampleGet:1 value 1", "0 nvmlGpmMigSampleGet:7 value 1")
    scraper = Scraper(driver)
    seen = []
    for moment, cut in enumerate(((10, 70), (10, 70), (10, 71), (10, 71))):
        stub.script(*CUT, *devices(*cut), *sampled, f"time {1000 + 10 * moment}")
        clock.now += 10
        seen.append(Seen(scraper.scrape()).families.get(MIG_SM_ACTIVE, {}))
    assert [{labels[2] for labels in each} for each in seen] == [
        set(),
        {"1", "7"},
        {"1"},
        {"1", "7"},
    ]
    scraper.close()


def test_without_the_collectors_of_mig(driver: NvmlDriver, stub: NvmlStub) -> None:
    """What comes back when the GPU is whole does so, a scrape later, where none of them is on."""
    scraper = Scraper(driver, Settings(collectors=frozenset({"utilization"})))
    stub.script(*CUT)
    assert Seen(scraper.scrape()).value(UTILIZATION, *GPU, "gpu") is None
    stub.script("gpus 2")
    scraper.scrape()
    assert Seen(scraper.scrape()).value(UTILIZATION, *GPU, "gpu") is not None
    stub.script("gpus 2", "0 nvmlDeviceGetMigMode error 10")
    seen = Seen(scraper.scrape())
    assert seen.value(UTILIZATION, *GPU, "gpu") is not None
    assert set(seen.families[COLLECTOR_SUCCESS]) == {("utilization",)}
    scraper.close()


def test_the_gpu_as_a_whole_again(scraper: Scraper, stub: NvmlStub) -> None:
    """What a GPU does not support while it is cut comes back when it is whole, and goes again."""
    whole = ("gpus 2",)
    for rules, is_whole in ((CUT, False), (whole, True), ((*CUT, *devices(10)), False)):
        stub.script(*rules)
        seen = Seen(scraper.scrape())
        assert (seen.value(UTILIZATION, *GPU, "gpu") is not None) == is_whole
        assert (MIG_INFO in seen.families) == (len(rules) > len(CUT))


def test_busy_seconds_of_the_gpu_as_a_whole_again(
    stub: NvmlStub, driver: NvmlDriver, clock: Clock
) -> None:
    """The driver's samples, which a cut GPU has not, count again after the first scrape."""
    scraper = Scraper(driver)
    observed = []
    for moment in range(4):
        rules = (*CUT, "0 nvmlDeviceGetSamples error 3") if moment < 1 else ("gpus 2",)
        stub.script(*rules, f"time {1000 + 10 * moment}")
        clock.now += 10
        observed.append(Seen(scraper.scrape()).value(OBSERVED, *GPU, "gpu"))
    assert observed[0] is None
    assert observed[3] == pytest.approx((observed[2] or 0) + 10)
    scraper.close()


def test_activity_of_instances(stub: NvmlStub, driver: NvmlDriver, clock: Clock) -> None:
    """Each GPU instance has its ratios from the second scrape after it was made on."""
    sampled = ("0 nvmlGpmMigSampleGet:1 value 1", "0 nvmlGpmMigSampleGet:7 value 1")
    scraper = Scraper(driver)
    for moment in (1000, 1010):
        stub.script(*CUT, *devices(10, 70, 71), *sampled, f"time {moment}")
        clock.now = moment
        seen = Seen(scraper.scrape())
        assert (MIG_SM_ACTIVE in seen.families) == (moment == 1010)
    assert {labels[2] for labels in seen.families[MIG_SM_ACTIVE]} == {"1", "7"}
    assert {labels[3] for labels in seen.families[MIG_PIPE_ACTIVE]} >= {"tensor", "fp64"}
    assert all(0 <= value <= 1 for value in seen.families[MIG_SM_ACTIVE].values())


def test_a_pod_that_holds_an_instance(driver: NvmlDriver, stub: NvmlStub) -> None:
    """Is on its GPU, by the MIG device's uuid, and stays there when the GPU is lost."""
    mig_uuid = "MIG-0000a100-5eed-4a6b-8c1d-000000000070"
    pods = [Pod(mig_uuid, "research", "notebook", "main"), Pod("MIG-gone", "research", "old", "m")]
    scraper = Scraper(driver, sources=Sources(pods=lambda: pods))
    for rules in ((), ("0 nvmlDeviceGetUUID error 15",)):
        stub.script(*CUT, *devices(70), *rules)
        found = Seen(scraper.scrape()).families[POD_INFO]
        assert found == {(*GPU, "research", "notebook", "main", "7"): 1}


@pytest.mark.parametrize("code", [4, 10, 18, 255])
@pytest.mark.parametrize(
    "call", [HANDLE, "nvmlDeviceGetGpuInstanceId", "nvmlDeviceGetUUID:0", "nvmlDeviceGetMigMode"]
)
def test_failures(scraper: Scraper, stub: NvmlStub, call: str, code: int) -> None:
    """A call of MIG's that fails costs the collector's series of that device, and is told."""
    stub.script(*CUT, *devices(10, 70), f"0 {call} error {code}")
    seen = Seen(scraper.scrape())
    assert seen.value(COLLECTOR_SUCCESS, "mig") == 0
    assert seen.value(MIG_MODE, "1", UUIDS[1], "current") == 0
    stub.script(*CUT, *devices(10, 70))
    assert len(Seen(scraper.scrape()).families[MIG_INFO]) == 2


@pytest.mark.parametrize("claimed", ["gpu-0-mig-1g10gb-19-4", "gpu-0-mig-19-4-1"])
def test_a_claim_that_holds_an_instance(driver: NvmlDriver, stub: NvmlStub, claimed: str) -> None:
    """A claim names its MIG device by where it lies; where only root is told that, it is absent."""
    scraper = Scraper(driver, sources=Sources(pods=lambda: [Pod(claimed, "ml", "train", "main")]))
    there = "0 nvmlGpuInstanceGetInfo:8 value 1906"  # the other one lies elsewhere
    stub.script(*CUT, *devices(70, 80), there)
    seen = Seen(scraper.scrape())
    assert seen.families[POD_INFO] == {(*GPU, "ml", "train", "main", "7"): 1}
    unprivileged = Scraper(
        NvmlDriver(), sources=Sources(pods=lambda: [Pod(claimed, "ml", "train", "main")])
    )
    stub.script(*CUT, *devices(70, 80), "0 nvmlDeviceGetGpuInstanceById error 4")
    seen = Seen(unprivileged.scrape())
    assert POD_INFO not in seen.families
    assert seen.value(COLLECTOR_SUCCESS, "pods") == 1
    unprivileged.close()


def test_a_listing_that_failed_is_told_by_all_who_need_it(
    driver: NvmlDriver, stub: NvmlStub
) -> None:
    """Without the MIG devices neither activity nor holders of instances can be whole."""
    scraper = Scraper(driver, sources=Sources(pods=lambda: [Pod("GPU-none", "ml", "t", "m")]))
    stub.script(*CUT, *devices(70), "0 nvmlDeviceGetGpuInstanceId error 10")
    seen = Seen(scraper.scrape())
    for collector in ("mig", "mig_gpm", "pods"):
        assert seen.value(COLLECTOR_SUCCESS, collector) == 0
    ((_, count),) = seen.families[NVML_ERRORS].items()
    assert count == 1
