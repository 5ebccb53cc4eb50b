"""Calls that hang: the scrape keeps its deadline, and threads do not pile up."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from agentaflow_exporter import metrics
from agentaflow_exporter.collectors.info import DRIVER_INFO
from agentaflow_exporter.collectors.power import POWER
from agentaflow_exporter.nvml import NvmlDriver
from agentaflow_exporter.scrape import ScrapeBusy, Scraper
from tests.support.nvml_stub import NvmlStub
from tests.support.scraping import UUIDS, Seen
from tools.processes import eventually

pytestmark = pytest.mark.fault("E4")
TIMEOUT_SECONDS = 0.3
MARGIN_SECONDS = 0.3
HANGING = "2 nvmlDeviceGetPowerUsage delay 60"


@pytest.fixture
def scraper(driver: NvmlDriver, stub: NvmlStub) -> Iterator[Scraper]:
    scraper = Scraper(driver)
    yield scraper
    stub.script()
    eventually(lambda: not scraper.hangs())
    scraper.close()


def timed(scraper: Scraper, timeout_seconds: float = TIMEOUT_SECONDS) -> tuple[Seen, float]:
    started = time.monotonic()
    seen = Seen(scraper.scrape(timeout_seconds))
    return seen, time.monotonic() - started


def test_hanging_gpu(scraper: Scraper, stub: NvmlStub) -> None:
    """A call that hangs for a minute costs its GPU, not the deadline and not the others."""
    healthy = Seen(scraper.scrape())
    stub.script(HANGING)
    seen, seconds = timed(scraper)
    assert seconds < TIMEOUT_SECONDS + MARGIN_SECONDS
    assert seen.value(metrics.GPU_UP, "2", UUIDS[2]) == 0
    assert seen.readings(2) == {}
    for other in (0, 1, 3, 4, 5, 6, 7):
        assert seen.readings(other).keys() == healthy.readings(other).keys()
    assert seen.value(metrics.GPU_TIMEOUTS, "2", UUIDS[2]) == 1
    assert seen.value(metrics.GPU_TIMEOUTS, "1", UUIDS[1]) == 0
    assert seen.value(metrics.COLLECTOR_SUCCESS, "power") == 0
    assert seen.value(metrics.COLLECTOR_SUCCESS, "clocks") == 1


def test_hanging_gpu_is_left_alone(scraper: Scraper, stub: NvmlStub) -> None:
    """While the call hangs the GPU is asked nothing new, and later scrapes do not wait."""
    stub.script(HANGING)
    timed(scraper)
    stub.forget()
    seen, seconds = timed(scraper)
    assert seconds < TIMEOUT_SECONDS / 2
    assert not [call for call in stub.calls() if call.startswith("2 ")]
    assert seen.value(metrics.GPU_UP, "2", UUIDS[2]) == 0
    assert seen.value(metrics.GPU_TIMEOUTS, "2", UUIDS[2]) == 2


def test_threads_do_not_grow(scraper: Scraper, stub: NvmlStub) -> None:
    """A thousand scrapes with three GPUs that hang need at most a thread a GPU and one more.

    How many of them depends on what else the machine does: a held up thread is joined by another.
    """
    stub.script(*(f"{gpu} nvmlDeviceGetPowerUsage delay 60" for gpu in (1, 2, 6)))
    before = threading.active_count()
    for _ in range(1000):
        scraper.scrape(TIMEOUT_SECONDS)
    assert threading.active_count() - before <= len(UUIDS) + 1


def test_threads_go_again(scraper: Scraper, stub: NvmlStub) -> None:
    """Once no call hangs any more one thread does the work, as before."""
    others = set(threading.enumerate())

    def hired() -> int:
        return len(set(threading.enumerate()) - others)

    eventually(lambda: scraper.scrape() and hired() == 1)
    stub.script(*(f"{gpu} nvmlDeviceGetPowerUsage delay 60" for gpu in (1, 2, 6)))
    timed(scraper)
    assert hired() >= 3
    stub.script()
    eventually(lambda: not scraper.hangs())
    eventually(lambda: scraper.scrape() and hired() == 1)


def test_gpu_that_stops_hanging(scraper: Scraper, stub: NvmlStub) -> None:
    """Once the call returns the GPU is asked again; what the old call said is not exported."""
    stub.script(HANGING, "2 nvmlDeviceGetPowerUsage value 111000")
    timed(scraper)
    stub.script("2 nvmlDeviceGetPowerUsage value 222000")
    eventually(lambda: not scraper.hangs())
    seen, _ = timed(scraper)
    assert seen.value(metrics.GPU_UP, "2", UUIDS[2]) == 1
    assert seen.value(POWER, "2", UUIDS[2]) == 222


def test_all_gpus_slow(scraper: Scraper, stub: NvmlStub) -> None:
    """GPUs that are slow but well overlap: together they take little longer than one."""
    stub.script("* nvmlDeviceGetPowerUsage delay 0.1")
    seen, seconds = timed(scraper, 2 * TIMEOUT_SECONDS)
    assert seconds < 2 * TIMEOUT_SECONDS
    assert set(seen.families[metrics.GPU_UP].values()) == {1}


@pytest.mark.parametrize("call", ["nvmlInitWithFlags", "nvmlDeviceGetCount_v2"])
def test_hanging_driver(scraper: Scraper, stub: NvmlStub, call: str) -> None:
    """A hang while opening or enumerating makes the driver down, in time, until it is over."""
    stub.script(f"- {call} delay 60")
    for _ in range(3):
        seen, seconds = timed(scraper)
        assert seconds < TIMEOUT_SECONDS + MARGIN_SECONDS
        assert seen.value(metrics.DRIVER_UP) == 0
    stub.script()
    eventually(lambda: timed(scraper)[0].value(metrics.DRIVER_UP) == 1)


def test_hang_after_success(scraper: Scraper, stub: NvmlStub) -> None:
    """When enumerating starts to hang, the GPUs known so far are reported as down."""
    scraper.scrape()
    stub.script("- nvmlDeviceGetCount_v2 delay 60")
    seen, _ = timed(scraper)
    assert seen.families[metrics.GPU_UP] == {(str(i), UUIDS[i]): 0 for i in range(8)}


def test_hanging_handle(scraper: Scraper, stub: NvmlStub) -> None:
    """A GPU whose handle cannot even be taken holds up none of the others."""
    stub.script("5 nvmlDeviceGetHandleByIndex_v2 delay 60")
    seen, _ = timed(scraper)
    assert seen.value(metrics.GPU_UP, "5", "") == 0
    assert len(seen.readings(6)) > 50


def test_hanging_driver_calls(scraper: Scraper, stub: NvmlStub) -> None:
    """A system call that hangs costs the driver's series and its collector's success."""
    stub.script("- nvmlSystemGetDriverVersion delay 60")
    seen, seconds = timed(scraper)
    assert seconds < TIMEOUT_SECONDS + MARGIN_SECONDS
    assert DRIVER_INFO not in seen.families
    assert seen.value(metrics.COLLECTOR_SUCCESS, "info") == 0
    assert len(seen.readings(0)) > 50


def test_concurrent_scrapes(scraper: Scraper) -> None:
    """Scrapes at the same time all get the whole truth."""
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: Seen(scraper.scrape()).series(), range(40)))
    assert all(series == found[0] for series in found)


def test_scrape_behind_one_that_hangs(scraper: Scraper, stub: NvmlStub) -> None:
    """A scrape that cannot start in its time says so instead of waiting for longer."""
    stub.script(HANGING)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(scraper.scrape, 3.0)
        eventually(scraper.hangs)
        with pytest.raises(ScrapeBusy):
            scraper.scrape(0.05)
        stub.script()
        assert Seen(slow.result()).value(metrics.GPU_UP, "2", UUIDS[2]) == 1
