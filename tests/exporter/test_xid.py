"""Xid errors by NVML's events: the watcher's thread on the stub, as scrapes see it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentaflow_exporter import metrics
from agentaflow_exporter.background.xid import XidWatcher
from agentaflow_exporter.collector import Sources
from agentaflow_exporter.collectors.xid import (
    XID_ERRORS,
    XID_LAST,
    XID_LAST_TIMESTAMP,
    XID_LOG_OVERRUNS,
)
from agentaflow_exporter.log import Log
from agentaflow_exporter.nvml import NvmlDriver, XidEvents
from agentaflow_exporter.scrape import Scraper
from agentaflow_exporter.xids import MOST_UNEXPECTED, OTHER, Tally
from tests.support.exporter_process import running
from tests.support.nvml_stub import NvmlStub
from tests.support.scraping import UUIDS, Clock, Seen
from tools.processes import eventually

NOW = 1_800_000_000.25
REGISTER = "nvmlDeviceRegisterEvents"
WAIT = "nvmlEventSetWait_v2"


class Watched:
    """A scraper whose driver a watcher waits in."""

    def __init__(self, driver: NvmlDriver, clock: Clock) -> None:
        self.driver = driver
        events, log = XidEvents(driver.door), Log("error")
        watcher = XidWatcher(events, log, clock=lambda: NOW, retry_seconds=0.5, hangs_seconds=1.0)
        self.scraper = Scraper(driver, sources=Sources(xids=watcher), clock=clock)

    def seen(self) -> Seen:
        return Seen(self.scraper.scrape())

    def errors(self, gpu: int) -> dict[str, float]:
        """What is counted of one GPU, but for the zeros."""
        found = self.seen().families.get(XID_ERRORS, {})
        return {key[2]: total for key, total in found.items() if key[0] == str(gpu) and total}

    def watched(self) -> set[str]:
        return {key[0] for key in self.seen().families.get(XID_ERRORS, {})}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def exporter(driver: NvmlDriver, stub: NvmlStub, clock: Clock) -> Iterator[Watched]:
    """What is unsafe in NVML fails every test: to shut down, or free, beneath a call."""
    exporter = Watched(driver, clock)
    yield exporter
    stub.script()
    eventually(lambda: driver.door.close(1))
    assert not [call for call in stub.calls() if "misuse" in call]


def eventually_watched(exporter: Watched, *gpus: int) -> None:
    eventually(lambda: exporter.watched() == {str(gpu) for gpu in gpus})


def test_no_errors_yet(exporter: Watched) -> None:
    """A GPU that is watched has a 0 for each code that is to be expected, and no time."""
    eventually_watched(exporter, *range(8))
    seen = exporter.seen()
    codes = {key[2] for key in seen.families[XID_ERRORS] if key[0] == "0"}
    assert {"48", "63", "64", "74", "79", "92", "94", "95", "119", "120", "13", "31"} <= codes
    assert set(seen.families[XID_ERRORS].values()) == {0}
    assert seen.value(XID_LAST, "0", UUIDS[0]) == 0
    assert XID_LAST_TIMESTAMP not in seen.families
    assert XID_LOG_OVERRUNS not in seen.families


def test_no_zero_for_what_there_is_no_event_for(exporter: Watched) -> None:
    """NVML does not deliver Xid 62, so that a 0 would say more than is known."""
    eventually_watched(exporter, *range(8))
    assert exporter.seen().value(XID_ERRORS, "0", UUIDS[0], "62") is None


def test_an_error_is_counted(exporter: Watched, stub: NvmlStub) -> None:
    """By the GPU that it is of and by its code, with the time of the last."""
    stub.script("1 event:0 value 31", "1 event:1 value 31", "2 event:2 value 79")
    eventually(lambda: exporter.errors(1) == {"31": 2})
    eventually(lambda: exporter.errors(2) == {"79": 1})
    seen = exporter.seen()
    assert exporter.errors(0) == {}
    assert seen.families[XID_LAST_TIMESTAMP] == {
        ("1", UUIDS[1], "31"): NOW,
        ("2", UUIDS[2], "79"): NOW,
    }
    assert seen.value(XID_LAST, "2", UUIDS[2]) == 79


def test_a_code_nobody_expects(exporter: Watched, stub: NvmlStub) -> None:
    """It appears with its first error."""
    stub.script("3 event:0 value 154")
    eventually(lambda: exporter.errors(3) == {"154": 1})


def test_a_gpu_off_the_bus_still_tells(exporter: Watched, stub: NvmlStub) -> None:
    """The error outlives the GPU, under its last index and uuid."""
    stub.script("1 event:0 value 79")
    eventually(lambda: exporter.errors(1) == {"79": 1})
    stub.script("1 * error 15")
    seen = exporter.seen()
    assert seen.value(metrics.GPU_UP, "1", UUIDS[1]) == 0
    assert seen.value(XID_ERRORS, "1", UUIDS[1], "79") == 1
    assert exporter.seen().value(XID_LAST, "1", UUIDS[1]) == 79


def test_reopening(exporter: Watched, stub: NvmlStub, clock: Clock) -> None:
    """When a lost GPU makes the driver close and open, counts are kept and watching goes on."""
    stub.script("0 event:0 value 13")
    eventually(lambda: exporter.errors(0) == {"13": 1})
    stub.script("1 * error 15")
    exporter.seen()
    stub.forget()
    clock.now += 100
    exporter.seen()
    calls = stub.calls()
    freed = calls.index("-1 nvmlEventSetFree -1")
    assert freed < calls.index("-1 nvmlShutdown -1") < calls.index("-1 nvmlInitWithFlags -1")
    stub.script("0 event:1 value 13", "1 event:2 value 31")
    eventually(lambda: exporter.errors(0) == {"13": 2})
    eventually(lambda: exporter.errors(1) == {"31": 1})


@pytest.mark.parametrize("code", [2, 3, 4, 13, 15, 999])
def test_a_gpu_without_events(exporter: Watched, stub: NvmlStub, code: int) -> None:
    """It has no series at all, not a 0; that is no failure, and the others have theirs."""
    stub.script(f"2 {REGISTER} error {code}")
    eventually_watched(exporter, 0, 1, 3, 4, 5, 6, 7)
    seen = exporter.seen()
    assert seen.value(XID_LAST, "2", UUIDS[2]) is None
    assert seen.value(metrics.COLLECTOR_SUCCESS, "xid") == 1


def test_nvml_without_events(exporter: Watched, stub: NvmlStub) -> None:
    """Where NVML cannot make a set of events there are no series, and nothing fails."""
    stub.script("- nvmlEventSetCreate error 3")
    exporter.seen()
    eventually(lambda: any("EventSetCreate" in call for call in stub.calls()))
    assert exporter.watched() == set()
    assert exporter.seen().value(metrics.COLLECTOR_SUCCESS, "xid") == 1


def test_a_gpu_that_hangs_in_registration(exporter: Watched, stub: NvmlStub) -> None:
    """It costs its own series only, until it comes to itself."""
    stub.script(f"2 {REGISTER} delay 60", "1 event:0 value 31")
    eventually_watched(exporter, 0, 1, 3, 4, 5, 6, 7)
    eventually(lambda: exporter.errors(1) == {"31": 1})
    stub.script("2 event:1 value 43")
    eventually(lambda: exporter.errors(2) == {"43": 1})


@pytest.mark.parametrize("hanging", [f"2 {REGISTER}", f"- {WAIT}"])
def test_closing_while_a_call_hangs(exporter: Watched, stub: NvmlStub, hanging: str) -> None:
    """The driver is not shut down beneath the call, and close() does not wait for it."""
    exporter.seen()
    stub.script(f"{hanging} delay 60")
    exporter.driver.close()
    exporter.driver.open()
    eventually(lambda: any(hanging.split()[1] in call for call in stub.calls()))
    stub.forget()
    started = time.monotonic()
    exporter.driver.close()
    assert time.monotonic() - started < 3
    stub.script()
    eventually(lambda: exporter.driver.door.close(1))


def test_waits_that_fail(exporter: Watched, stub: NvmlStub) -> None:
    """What was counted stays, and the collector says that nothing is being added."""
    stub.script("0 event:0 value 13")
    eventually(lambda: exporter.errors(0) == {"13": 1})
    stub.script(f"- {WAIT} error 15")
    eventually(lambda: exporter.seen().value(metrics.COLLECTOR_SUCCESS, "xid") == 0)
    assert exporter.errors(0) == {"13": 1}
    stub.forget()
    stub.script("0 event:1 value 13")
    eventually(lambda: exporter.errors(0) == {"13": 2})
    assert exporter.seen().value(metrics.COLLECTOR_SUCCESS, "xid") == 1
    assert sum(WAIT in call for call in stub.calls()) < 100


def test_a_wait_that_hangs(exporter: Watched, stub: NvmlStub) -> None:
    """The collector says so, until the wait returns, and no scrape waits for it."""
    eventually_watched(exporter, *range(8))
    stub.script(f"- {WAIT} delay 60")
    eventually(lambda: exporter.seen().value(metrics.COLLECTOR_SUCCESS, "xid") == 0)
    assert exporter.watched() == {str(gpu) for gpu in range(8)}
    stub.script()
    eventually(lambda: exporter.seen().value(metrics.COLLECTOR_SUCCESS, "xid") == 1)


def has(exporter: Watched, errors: dict[str, float]) -> bool:
    return exporter.errors(0) == errors


def test_every_error_of_a_wait(exporter: Watched, stub: NvmlStub) -> None:
    """Whatever a wait returns, the thread lives and counts afterwards."""
    for number, code in enumerate((1, 2, 3, 4, 6, 9, 15, 16, 999)):
        stub.forget()
        stub.script(f"- {WAIT} error {code}")
        exporter.driver.close()
        exporter.driver.open()
        eventually(lambda: any(WAIT in call for call in stub.calls()))
        stub.script("0 event:0 value 13")
        exporter.driver.close()
        exporter.driver.open()
        eventually(partial(has, exporter, {"13": number + 1}))


def test_without_a_watcher(driver: NvmlDriver) -> None:
    """Somebody who scrapes without a source of Xids has no series of them, and no failure."""
    seen = Seen(Scraper(driver).scrape())
    assert {m for m in seen.families if m.collector == "xid"} == set()
    assert seen.value(metrics.COLLECTOR_SUCCESS, "xid") == 1


def test_the_command(tmp_path: Path) -> None:
    """The exporter watches by itself, and SIGTERM ends it in its usual time, also mid-wait."""
    stub = NvmlStub(tmp_path)
    with running(tmp_path, environment=stub.environment()) as exporter:
        exporter.get()
        stub.script("1 event:0 value 79")
        line = f'agentaflow_gpu_xid_errors_total{{gpu="1",uuid="{UUIDS[1]}",xid="79"}} 1\n'
        eventually(lambda: line.encode() in exporter.get())
        started = time.monotonic()
        assert exporter.stop() == 0
        assert time.monotonic() - started < 3
    assert not [call for call in stub.calls() if "misuse" in call]


def test_the_command_without_the_collector(tmp_path: Path) -> None:
    """A collector that is off has no thread and asks NVML for no events."""
    stub = NvmlStub(tmp_path)
    with running(tmp_path, "--no-collector.xid", environment=stub.environment()) as exporter:
        assert b"xid" not in exporter.get()
        exporter.stop()
    assert not [call for call in stub.calls() if "Event" in call and "Reasons" not in call]


@given(st.lists(st.tuples(st.sampled_from(["GPU-a", "GPU-b"]), st.integers(0, 400))))
def test_tally(errors: list[tuple[str, int]]) -> None:
    """Nothing is lost and nothing grows without a bound."""
    tally = Tally((48, 79))
    for second, (uuid, code) in enumerate(errors):
        tally.count(uuid, code, float(second))
    for uuid, codes in tally.xids().gpus.items():
        mine = [str(code) for gpu, code in errors if gpu == uuid]
        assert sum(xid.total for xid in codes.values()) == len(mine)
        assert len(codes) <= 2 + MOST_UNEXPECTED + 1
        assert all(xid.total <= mine.count(key) for key, xid in codes.items() if key != OTHER)
        assert str(tally.xids().last[uuid]) == mine[-1]
