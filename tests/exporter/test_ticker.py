"""What is read between scrapes: only what would be lost, and never in a scrape's way."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agentaflow_exporter import metrics
from agentaflow_exporter.background.ticker import Ticker
from agentaflow_exporter.collector import Sources
from agentaflow_exporter.collectors import NAMES
from agentaflow_exporter.collectors.busy import OBSERVED
from agentaflow_exporter.errors import SettingsError
from agentaflow_exporter.nvml import NvmlDriver
from agentaflow_exporter.scrape import Scraper
from agentaflow_exporter.settings import Settings, load
from tests.support.exporter_process import running
from tests.support.nvml_stub import NvmlStub
from tests.support.scraping import UUIDS, Clock, Seen
from tools.processes import eventually

INTERVAL_SECONDS = 8.0
SAMPLES = "nvmlDeviceGetSamples"
GPU = ("0", UUIDS[0], "gpu")


@pytest.fixture
def scraper(driver: NvmlDriver, clock: Clock) -> Scraper:
    return Scraper(driver, sources=Sources(clock=clock), clock=clock)


def ticked(scraper: Scraper, stub: NvmlStub) -> list[str]:
    """The calls of one tick."""
    stub.forget()
    scraper.tick(INTERVAL_SECONDS)
    return [call.split()[1] for call in stub.calls()]


def test_nothing_is_lost_between_scrapes(scraper: Scraper, stub: NvmlStub, clock: Clock) -> None:
    """The stub's rings hold 24 seconds; with ticks all of a minute is observed."""
    stub.script("gpus 1", "time 100")
    scraper.scrape()
    for second in range(8, 60, 8):
        clock.now += 8
        stub.script("gpus 1", f"time {100 + second}")
        assert scraper.tick(INTERVAL_SECONDS) == INTERVAL_SECONDS
    clock.now += 4
    stub.script("gpus 1", "time 160")
    assert Seen(scraper.scrape()).value(OBSERVED, *GPU) == pytest.approx(60)


def test_without_ticks(scraper: Scraper, stub: NvmlStub, clock: Clock) -> None:
    """What the rings do not hold any more is not observed, and not made up."""
    stub.script("gpus 1", "time 100")
    scraper.scrape()
    clock.now += 60
    stub.script("gpus 1", "time 160")
    assert Seen(scraper.scrape()).value(OBSERVED, *GPU) == pytest.approx(23.8)


def test_a_tick_asks_for_samples_alone(scraper: Scraper, stub: NvmlStub, clock: Clock) -> None:
    """Four rings of each GPU, and its uuid."""
    stub.script("time 100")
    scraper.scrape()
    clock.now += INTERVAL_SECONDS
    stub.script("time 108")
    assert set(ticked(scraper, stub)) == {"nvmlDeviceGetUUID", SAMPLES}
    assert sum(SAMPLES in call for call in stub.calls()) == 8 * 4


def test_not_before_it_is_time(scraper: Scraper, stub: NvmlStub, clock: Clock) -> None:
    """A scrape, or a tick, puts the next tick off; it is told for how long."""
    scraper.scrape()
    clock.now += 5
    stub.forget()
    assert scraper.tick(INTERVAL_SECONDS) == 3
    clock.now += 3
    scraper.tick(INTERVAL_SECONDS)
    stub.forget()
    clock.now += 1
    assert scraper.tick(INTERVAL_SECONDS) == 7
    scraper.scrape(only=frozenset({"busy"}))
    clock.now += 7.5
    stub.forget()
    assert scraper.tick(INTERVAL_SECONDS) == 0.5
    assert stub.calls() == []


def test_other_collectors_do_not_put_it_off(scraper: Scraper, stub: NvmlStub, clock: Clock) -> None:
    """A scrape of power says nothing of the rings."""
    scraper.scrape()
    clock.now += INTERVAL_SECONDS
    scraper.scrape(only=frozenset({"power"}))
    assert ticked(scraper, stub)


def test_never_where_nothing_needs_it(
    driver: NvmlDriver, scraper: Scraper, stub: NvmlStub, clock: Clock
) -> None:
    """Not before the first scrape, not ten minutes after the last, not without such a collector."""
    assert ticked(scraper, stub) == []
    scraper.scrape()
    clock.now += 601
    assert ticked(scraper, stub) == []
    without = Scraper(driver, Settings(collectors=frozenset(NAMES) - {"busy"}), clock=clock)
    without.scrape()
    clock.now += INTERVAL_SECONDS
    assert ticked(without, stub) == []


def test_lost_gpus_are_left_alone(scraper: Scraper, stub: NvmlStub, clock: Clock) -> None:
    """Only those that answered in the last scrape are asked, and none without a driver."""
    stub.script("gpus 2", "1 * error 15")
    scraper.scrape()
    clock.now += INTERVAL_SECONDS
    assert ticked(scraper, stub)
    assert {call.split()[0] for call in stub.calls()} == {"0"}
    stub.script("- * error 9")
    clock.now += INTERVAL_SECONDS
    scraper.scrape()
    clock.now += INTERVAL_SECONDS
    assert ticked(scraper, stub) == []


def test_errors_of_a_tick_are_not_counted(scraper: Scraper, stub: NvmlStub, clock: Clock) -> None:
    """What fails is told by the scrape that finds it failing, once."""
    scraper.scrape()
    stub.script(f"0 {SAMPLES} error 10", "1 * error 15")
    clock.now += INTERVAL_SECONDS
    assert ticked(scraper, stub)
    stub.script()
    seen = Seen(scraper.scrape())
    assert metrics.NVML_ERRORS not in seen.families
    assert set(seen.families[metrics.GPU_UP].values()) == {1}
    assert set(seen.families[metrics.COLLECTOR_SUCCESS].values()) == {1}


@pytest.fixture
def real_time(driver: NvmlDriver, stub: NvmlStub) -> Iterator[Scraper]:
    """A scraper by the machine's clock, of which nothing hangs at the end."""
    scraper = Scraper(driver)
    scraper.scrape()
    yield scraper
    stub.script()
    eventually(lambda: not scraper.hangs())
    scraper.close()


def test_a_gpu_that_hangs_in_a_tick(real_time: Scraper, stub: NvmlStub) -> None:
    """The next scrape does not wait for it, and counts one timeout for one scrape."""
    stub.script(f"2 {SAMPLES} delay 60")
    real_time.tick(0)
    real_time.tick(0)
    seen = Seen(real_time.scrape())
    assert seen.value(metrics.GPU_UP, "2", UUIDS[2]) == 0
    assert seen.value(metrics.GPU_TIMEOUTS, "2", UUIDS[2]) == 1
    assert sum(seen.families[metrics.GPU_UP].values()) == 7
    stub.script()
    eventually(lambda: not real_time.hangs())
    assert Seen(real_time.scrape()).value(metrics.GPU_UP, "2", UUIDS[2]) == 1


def test_a_scrape_under_way_comes_first(real_time: Scraper, stub: NvmlStub) -> None:
    """A tick does not wait for it."""
    stub.script("2 nvmlDeviceGetPowerUsage delay 60")
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(real_time.scrape, 3.0)
        eventually(real_time.hangs)
        assert real_time.tick(0.5) == 0.5
        assert not slow.done()
        stub.script()


def test_the_thread_ends_when_it_is_stopped(real_time: Scraper, stub: NvmlStub) -> None:
    """It ticks until then, and nothing is called after that."""
    stub.forget()
    ticker = Ticker(real_time, 0.01)
    ticker.start()
    eventually(lambda: any(SAMPLES in call for call in stub.calls()))
    ticker.stop()
    assert "ticker" not in {thread.name for thread in threading.enumerate()}


def test_the_exporter_ticks(tmp_path: Path) -> None:
    """Between scrapes that are far apart, and stops as asked."""
    stub = NvmlStub(tmp_path)
    options = ["--background.interval=1"]
    with running(tmp_path, *options, environment=stub.environment()) as exporter:
        exporter.get()
        stub.forget()
        eventually(lambda: any(SAMPLES in call for call in stub.calls()))
        assert exporter.stop() == 0


@pytest.mark.parametrize("text", ["0", "1", "8s", "60"])
def test_interval(text: str) -> None:
    """Some seconds, or 0 for never."""
    settings = load({"background.interval": text}, {}, None)
    assert settings.background_interval_seconds == float(text.removesuffix("s"))


@pytest.mark.parametrize("text", ["0.5", "61", "-1", "nan", "often", ""])
def test_no_interval(text: str) -> None:
    """The setting is named, and what to give."""
    with pytest.raises(SettingsError, match=r"--background\.interval: .* from 1 to 60, or 0"):
        load({"background.interval": text}, {}, None)
