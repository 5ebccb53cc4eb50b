"""Scrapes of the stub driver: what fails costs only itself."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise, product

import pytest

from agentaflow_exporter import metrics
from agentaflow_exporter.collector import Collector, GpuReader, Pod, Reading, Sources
from agentaflow_exporter.collectors import COLLECTORS, NAMES
from agentaflow_exporter.collectors.clocks import CLOCK
from agentaflow_exporter.collectors.info import GPU_INFO
from agentaflow_exporter.collectors.pods import POD_INFO
from agentaflow_exporter.collectors.power import ENERGY, POWER, POWER_LIMIT
from agentaflow_exporter.collectors.throttle import CLOCK_EVENT, CLOCK_EVENT_SECONDS
from agentaflow_exporter.collectors.utilization import UTILIZATION
from agentaflow_exporter.nvml import NvmlDriver
from agentaflow_exporter.scrape import Scraper
from agentaflow_exporter.settings import Settings
from tests.support.nvml_stub import NvmlStub
from tests.support.scraping import UUIDS, Clock, Seen

ERRORS = (1, 4, 6, 7, 9, 10, 11, 14, 15, 16, 17, 20, 21, 999)
UNSUPPORTED = (2, 3, 13, 25)
NO_NEWS = ("nvmlDeviceGetSamples", 6)  # the engine is idle
IDENTITY = ("nvmlDeviceGetHandleByIndex_v2", "nvmlDeviceGetUUID")  # without these there is no GPU


@pytest.fixture
def scraper(driver: NvmlDriver, clock: Clock) -> Scraper:
    return Scraper(driver, clock=clock)


def test_healthy_gpus(scraper: Scraper) -> None:
    """Every GPU is up with its uuid, has every reading once, and every collector succeeds."""
    seen = Seen(scraper.scrape())
    assert seen.value(metrics.DRIVER_UP) == 1
    assert seen.value(metrics.GPU_DEVICES) == 8
    assert seen.families[metrics.GPU_UP] == {(str(i), UUIDS[i]): 1 for i in range(8)}
    assert len(seen.readings(0)) == len(seen.readings(7)) >= 50
    assert seen.families[metrics.COLLECTOR_SUCCESS] == {(name,): 1 for name in NAMES}
    assert metrics.NVML_ERRORS not in seen.families


def test_base_units(scraper: Scraper, stub: NvmlStub) -> None:
    """Milliwatts, millijoules, megahertz, per cent and nanoseconds become base units."""
    stub.script(
        "0 nvmlDeviceGetPowerUsage value 345678",
        "0 nvmlDeviceGetFieldValues:83 value 5000",
        "0 nvmlDeviceGetFieldValues:269 value 2500000000",
        "0 nvmlDeviceGetClockInfo:1 value 1410",
        "0 nvmlDeviceGetUtilizationRates value 37",
        "0 nvmlDeviceGetCurrentClocksEventReasons value 0x44",
    )
    seen = Seen(scraper.scrape())
    gpu = ("0", UUIDS[0])
    assert seen.value(POWER, *gpu) == 345.678
    assert seen.value(ENERGY, *gpu) == 5
    assert seen.value(CLOCK_EVENT_SECONDS, *gpu, "sw_thermal_slowdown") == 2.5
    assert seen.value(CLOCK, *gpu, "sm") == 1_410_000_000
    assert seen.value(UTILIZATION, *gpu, "gpu") == 0.37
    active = {labels[2] for labels, on in seen.families[CLOCK_EVENT].items() if on}
    assert {"sw_power_cap", "hw_thermal_slowdown"} <= active


FANS = "gpus 2", "0 nvmlDeviceGetNumFans value 2"  # else the calls about fans are not made


def called(stub: NvmlStub, scraper: Scraper) -> list[str]:
    """What `nvml_stub` calls make up a scrape of GPU 0, with the argument where it matters."""
    stub.script(*FANS)
    stub.forget()
    scraper.scrape()
    found: dict[str, None] = {}
    for gpu, symbol, argument in (line.split() for line in stub.calls()):
        if gpu == "0":
            found[f"{symbol}:{argument}" if argument != "-1" else symbol] = None
    return list(found)


def test_every_function_and_every_error(driver: NvmlDriver, stub: NvmlStub) -> None:
    """Whatever code whichever call returns, the scrape works, and the other GPUs miss nothing."""
    calls = called(stub, Scraper(driver))
    assert len(calls) > 45
    calls += [f"nvmlDeviceGetFieldValues:{field}" for field in (1, 82, 145, 161, 2165, 186, 230)]
    stub.script(*FANS)
    whole = Seen(Scraper(driver).scrape()).readings(1).keys()
    for call, code in product(calls, (*UNSUPPORTED, *ERRORS)):
        stub.script(*FANS, f"0 {call} error {code}")
        scraper = Scraper(driver)
        seen = Seen(scraper.scrape())
        scraper.close()
        assert seen.readings(1).keys() == whole, (call, code)
        assert seen.value(metrics.GPU_UP, "1", UUIDS[1]) == 1, (call, code)
        symbol = call.partition(":")[0]
        if code in ERRORS and (symbol, code) != NO_NEWS:
            [((gpu, function, noted), count)] = seen.families[metrics.NVML_ERRORS].items()
            assert (gpu, noted, count) == ("0", str(code), 1)
            assert symbol.startswith(function)  # pynvml leaves some version suffixes out
            assert 0 in seen.families[metrics.COLLECTOR_SUCCESS].values() or symbol in IDENTITY
        elif call not in IDENTITY:
            assert metrics.NVML_ERRORS not in seen.families, (call, code)


def test_unsupported_is_absent(scraper: Scraper, stub: NvmlStub) -> None:
    """A call that a GPU does not support costs its series, and is neither failure nor error."""
    stub.script("0 nvmlDeviceGetPowerUsage error 3")
    seen = Seen(scraper.scrape())
    assert seen.value(POWER, "0", UUIDS[0]) is None
    assert seen.value(POWER, "1", UUIDS[1]) is not None
    assert seen.value(metrics.COLLECTOR_SUCCESS, "power") == 1
    assert metrics.NVML_ERRORS not in seen.families


def test_error_is_counted_and_told(scraper: Scraper, stub: NvmlStub) -> None:
    """An error costs the reading, is counted at each scrape, and marks its collector."""
    stub.script("2 nvmlDeviceGetPowerUsage error 10")
    scraper.scrape()
    seen = Seen(scraper.scrape())
    assert seen.value(metrics.NVML_ERRORS, "2", "nvmlDeviceGetPowerUsage", "10") == 2
    assert seen.value(metrics.COLLECTOR_SUCCESS, "power") == 0
    assert seen.value(POWER, "2", UUIDS[2]) is None
    assert seen.value(POWER_LIMIT, "2", UUIDS[2], "enforced") == 700
    assert seen.value(metrics.GPU_UP, "2", UUIDS[2]) == 1


@pytest.mark.parametrize("code", [15, 16, 999])
def test_lost_gpu(scraper: Scraper, stub: NvmlStub, code: int) -> None:
    """All readings of a lost GPU vanish within one scrape; its last known uuid tells which."""
    healthy = Seen(scraper.scrape())
    stub.script(f"3 nvmlDeviceGetUtilizationRates error {code}")
    seen = Seen(scraper.scrape())
    assert seen.value(metrics.GPU_UP, "3", UUIDS[3]) == 0
    assert seen.readings(3) == {}
    assert seen.readings(4).keys() == healthy.readings(4).keys()


def test_lost_gpu_comes_back(scraper: Scraper, stub: NvmlStub, clock: Clock) -> None:
    """A GPU that answers again is up again at the next scrape, with all of its readings."""
    whole = Seen(scraper.scrape()).readings(3).keys()
    stub.script("3 * error 15")
    assert Seen(scraper.scrape()).value(metrics.GPU_UP, "3", UUIDS[3]) == 0
    stub.script()
    clock.now += 1
    assert Seen(scraper.scrape()).readings(3).keys() == whole


def test_lost_gpu_that_is_not_enumerated(scraper: Scraper, stub: NvmlStub, clock: Clock) -> None:
    """A lost GPU stays down even when a restarted driver does not count it any more."""
    scraper.scrape()
    stub.script("7 * error 15")
    scraper.scrape()
    stub.script("gpus 7")
    clock.now += 120
    seen = Seen(scraper.scrape())
    assert seen.value(metrics.GPU_DEVICES) == 7
    assert seen.value(metrics.GPU_UP, "7", UUIDS[7]) == 0


def test_removed_gpu(scraper: Scraper, stub: NvmlStub) -> None:
    """A healthy GPU that is detached leaves nothing behind, and none is invented."""
    scraper.scrape()
    stub.script("gpus 2")
    seen = Seen(scraper.scrape())
    assert seen.families[metrics.GPU_UP] == {("0", UUIDS[0]): 1, ("1", UUIDS[1]): 1}


def test_added_gpu(scraper: Scraper, stub: NvmlStub) -> None:
    """A GPU that the driver starts to enumerate is exported from the next scrape on."""
    stub.script("gpus 1")
    scraper.scrape()
    stub.script("gpus 2")
    assert len(Seen(scraper.scrape()).readings(1)) > 50


def test_labels_follow_the_uuid(scraper: Scraper, stub: NvmlStub) -> None:
    """When another GPU answers at an index, readings and identity carry the new uuid at once."""
    scraper.scrape()
    stub.script(
        f"0 nvmlDeviceGetUUID value {UUIDS[5]}",
        "0 nvmlDeviceGetName value NVIDIA L4",
        f"5 nvmlDeviceGetUUID value {UUIDS[0]}",
    )
    seen = Seen(scraper.scrape())
    uuids = {labels[1] for _, labels in seen.readings(0)}
    assert uuids == {UUIDS[5]}
    names = {labels[2] for labels in seen.families[GPU_INFO] if labels[0] == "0"}
    assert names == {"NVIDIA L4"}


def test_lost_before_its_uuid_was_known(scraper: Scraper, stub: NvmlStub, clock: Clock) -> None:
    """GPUs that never answered are reported by index, each, until they do."""
    stub.script("3 * error 15", "4 * error 15")
    seen = Seen(scraper.scrape())
    assert seen.value(metrics.GPU_UP, "3", "") == 0
    assert seen.value(metrics.GPU_UP, "4", "") == 0
    stub.script()
    clock.now += 1
    seen = Seen(scraper.scrape())
    assert seen.families[metrics.GPU_UP] == {(str(i), UUIDS[i]): 1 for i in range(8)}


@pytest.mark.parametrize("call", ["nvmlInitWithFlags", "nvmlDeviceGetCount_v2"])
@pytest.mark.parametrize("code", [1, 9, 12, 18, 999])
def test_no_driver(driver: NvmlDriver, stub: NvmlStub, call: str, code: int) -> None:
    """Without a driver the exporter says so, and finds it when it appears, after a short while."""
    clock = Clock()
    scraper = Scraper(driver, clock=clock)
    stub.script(f"- {call} error {code}")
    seen = Seen(scraper.scrape())
    assert seen.value(metrics.DRIVER_UP) == 0
    assert metrics.GPU_UP not in seen.families
    assert metrics.GPU_DEVICES not in seen.families
    assert seen.value(metrics.NVML_ERRORS, "", call, str(code)) == 1
    stub.script()
    clock.now += 1
    assert len(Seen(scraper.scrape()).readings(0)) > 50


def test_driver_is_not_pestered(driver: NvmlDriver, stub: NvmlStub) -> None:
    """The pause between two attempts doubles up to a minute, and starts anew after a success."""
    clock = Clock()
    scraper = Scraper(driver, clock=clock)
    stub.script("- nvmlInitWithFlags error 9")
    attempts = []
    for _ in range(600):
        stub.forget()
        scraper.scrape()
        if "-1 nvmlInitWithFlags -1" in stub.calls():
            attempts.append(clock.now)
        clock.now += 1
    pauses = [later - earlier for earlier, later in pairwise(attempts)]
    assert pauses[:7] == [1, 2, 4, 8, 16, 32, 60]
    assert set(pauses[7:]) == {60}


def test_driver_goes_away(scraper: Scraper, stub: NvmlStub, clock: Clock) -> None:
    """When the driver is unloaded all known GPUs are down, and nothing of them is repeated."""
    scraper.scrape()
    stub.script("- nvmlDeviceGetCount_v2 error 1", "- nvmlInitWithFlags error 9")
    clock.now += 1
    seen = Seen(scraper.scrape())
    assert seen.value(metrics.DRIVER_UP) == 0
    assert seen.families[metrics.GPU_UP] == {(str(i), UUIDS[i]): 0 for i in range(8)}
    assert seen.readings(0) == {}
    assert seen.value(metrics.COLLECTOR_SUCCESS, "power") == 0


def test_only_some_collectors(scraper: Scraper, stub: NvmlStub) -> None:
    """`only` runs just those collectors, makes only their calls, and reports only on them."""
    scraper.scrape()
    stub.forget()
    seen = Seen(scraper.scrape(only=frozenset({"utilization"})))
    assert {name for name, _ in seen.readings(0)} == {UTILIZATION.name}
    assert seen.families[metrics.COLLECTOR_SUCCESS] == {("utilization",): 1}
    assert not any("Power" in call or "FieldValues" in call for call in stub.calls())


@pytest.mark.parametrize("name", NAMES)
def test_collector_can_be_off(driver: NvmlDriver, stub: NvmlStub, clock: Clock, name: str) -> None:
    """A collector that is off leaves no series, and takes none of the others'."""
    stub.script(
        *FANS,
        *(f"0 nvmlDeviceGetFieldValues:{i} value 1" for i in (29, 170)),
        "0 nvmlDeviceGetGridLicensableFeatures_v4 value 1",
        "1 nvmlDeviceGetMigMode value 1",
        "1 nvmlDeviceGetMigDeviceHandleByIndex:0 value 70",
        "1 nvmlGpmMigSampleGet:7 value 1",
    )
    scraper = Scraper(driver, Settings(collectors=frozenset(NAMES) - {name}))
    scraper.scrape()
    clock.now += 10
    present = {metric.collector for metric in Seen(scraper.scrape()).families}
    assert present - {""} == set(NAMES) - {name, "pods", "expected"}


def test_broken_collector(driver: NvmlDriver) -> None:
    """A collector that raises costs its own series and nothing else."""

    def broken(gpu: GpuReader) -> Iterator[Reading]:
        yield POWER, (), gpu.read("nvmlDeviceGetPowerUsage")
        raise ZeroDivisionError("a defect")

    defect = Collector("power", "broken", (), gpu=broken)
    others = tuple(c for c in COLLECTORS if c.name != "power")
    seen = Seen(Scraper(driver, collectors=(defect, *others)).scrape())
    assert seen.value(metrics.COLLECTOR_SUCCESS, "power") == 0
    assert seen.value(metrics.COLLECTOR_SUCCESS, "clocks") == 1
    assert len(seen.readings(0)) > 40


def test_pods(driver: NvmlDriver) -> None:
    """Pods are joined by uuid or index; a row for a GPU that is not here makes no series."""
    rows = (
        Pod(UUIDS[1], "research", "notebook", "main"),
        Pod("2", "research", "train", "main"),
        Pod("2", "research", "train", "sidecar"),
        Pod("99", "research", "elsewhere", "main"),
    )
    seen = Seen(Scraper(driver, sources=Sources(pods=lambda: rows)).scrape())
    assert seen.families[POD_INFO].keys() == {
        ("1", UUIDS[1], "research", "notebook", "main"),
        ("2", UUIDS[2], "research", "train", "main"),
        ("2", UUIDS[2], "research", "train", "sidecar"),
    }
