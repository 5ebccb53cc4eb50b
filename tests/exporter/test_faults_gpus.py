"""GPUs that are lost, hang, answer nonsense, and change places."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentaflow_exporter import metrics
from agentaflow_exporter.collectors import COLLECTORS, NAMES
from agentaflow_exporter.collectors.info import GPU_INFO
from agentaflow_exporter.collectors.power import ENERGY, POWER
from agentaflow_exporter.nvml import NvmlDriver
from agentaflow_exporter.scrape import Scraper
from agentaflow_exporter.settings import Settings
from tests.support.faults import FaultCases
from tests.support.nvml_stub import NvmlStub
from tests.support.scraping import UUIDS, Clock, Seen
from tools.processes import eventually

ON = Settings(collectors=frozenset(NAMES))
FIELDS = "nvmlDeviceGetFieldValues"
TIMEOUT_SECONDS = 0.15
MARGIN_SECONDS = 0.3
# Their answer is who the GPU is, or how much to read: scripted on their own in other tests.
IDENTITY = ("nvmlDeviceGetUUID", "nvmlDeviceGetHandleByIndex_v2")
FIELD_IDS = sorted({i & 0xFFFF for collector in COLLECTORS for i in collector.fields})


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def scraper(driver: NvmlDriver, clock: Clock) -> Scraper:
    return Scraper(driver, ON, clock=clock)


@pytest.mark.fault("E2")
@pytest.mark.parametrize("code", [15, 16])
@pytest.mark.parametrize("lost", [(0,), (7,), (0, 3, 7), tuple(range(8))])
def test_lost_gpus(scraper: Scraper, stub: NvmlStub, lost: Sequence[int], code: int) -> None:
    """Lost or to be reset, in the middle of a run: theirs vanishes, nothing of the others'."""
    before = Seen(scraper.scrape())
    stub.script(*(f"{gpu} {FIELDS} error {code}" for gpu in lost))
    seen = Seen(scraper.scrape())
    for gpu in range(8):
        assert seen.value(metrics.GPU_UP, str(gpu), UUIDS[gpu]) == int(gpu not in lost)
        expected = set() if gpu in lost else set(before.readings(gpu))
        assert set(seen.readings(gpu)) == expected
    counted = seen.families[metrics.NVML_ERRORS]
    assert counted == {(str(gpu), FIELDS, str(code)): 1 for gpu in lost}


def functions(stub: NvmlStub) -> list[str]:
    stub.forget()
    scraper = Scraper(NvmlDriver(Clock()), ON)
    scraper.scrape()
    scraper.close()
    return sorted({line.split()[1] for line in stub.calls() if line.startswith("0 ")})


@pytest.mark.fault("E4")
def test_every_function_hangs(stub: NvmlStub, fault_cases: FaultCases) -> None:
    """Whichever call hangs, the scrape is in time, the GPU is down and the other one is whole;
    once the call returns, both are up again.
    """
    stub.script("gpus 2")
    for symbol in functions(stub):
        with fault_cases.case(symbol):
            hang_and_come_back(stub, symbol)
    fault_cases.check()


def hang_and_come_back(stub: NvmlStub, symbol: str) -> None:
    scraper = Scraper(NvmlDriver(Clock()), ON)
    stub.script("gpus 2", f"0 {symbol} delay 60")
    started = time.monotonic()
    seen = Seen(scraper.scrape(TIMEOUT_SECONDS))
    assert time.monotonic() - started < TIMEOUT_SECONDS + MARGIN_SECONDS
    assert seen.readings(0) == {}
    assert sorted(seen.families[metrics.GPU_UP].values()) == [0, 1]
    assert len(seen.readings(1)) > 50
    stub.script("gpus 2")
    eventually(lambda: not scraper.hangs())
    again = Seen(scraper.scrape())
    assert again.families[metrics.GPU_UP] == {(str(gpu), UUIDS[gpu]): 1 for gpu in (0, 1)}
    assert len(again.readings(0)) > 50
    scraper.close()


@pytest.mark.fault("E5")
@settings(
    deadline=None, max_examples=160, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_nonsense(stub: NvmlStub, fault_cases: FaultCases, data: st.DataObject) -> None:
    """Whatever 64-bit number every call and every field answers, no sample is out of range."""
    stub.script()
    named = [name for name in functions(stub) if name not in IDENTITY and "Process" not in name]
    asked = [*named, *(f"{FIELDS}:{field}" for field in FIELD_IDS)]
    number = st.sampled_from([2**64 - 1, 2**32 - 1, 2**63, 2**31, 0]) | st.integers(0, 2**64 - 1)
    values = data.draw(st.lists(number, min_size=len(asked), max_size=len(asked)))
    stub.script(*(f"* {call} value {n}" for call, n in zip(asked, values, strict=True)))
    scraper = Scraper(NvmlDriver(Clock()), ON)
    seen = Seen(scraper.scrape())
    scraper.close()
    for metric, samples in seen.families.items():
        assert all(metric.low <= value <= metric.high for value in samples.values()), metric.name
    fault_cases.count(len(asked) * len(UUIDS))


@pytest.mark.fault("E6")
def test_driver_loaded_again(scraper: Scraper, stub: NvmlStub, clock: Clock) -> None:
    """A counter that starts again is exported as it is, and is a counter by its name and type."""
    stub.script("time 1000000")
    before = Seen(scraper.scrape()).value(ENERGY, "0", UUIDS[0])
    stub.script("- nvmlDeviceGetCount_v2 error 1", "- nvmlInitWithFlags error 9")
    assert Seen(scraper.scrape()).readings(0) == {}
    stub.script("time 60")
    clock.now += 120
    after = Seen(scraper.scrape()).value(ENERGY, "0", UUIDS[0])
    assert before is not None
    assert after is not None
    assert 0 < after < before
    assert ENERGY.kind == "counter"


@pytest.mark.fault("E7")
@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(orders=st.lists(st.permutations(range(8)), min_size=2, max_size=4))
def test_gpus_change_places(
    stub: NvmlStub, fault_cases: FaultCases, orders: list[list[int]]
) -> None:
    """Whatever GPU is at whatever index, power and name are those of the GPU with that uuid."""
    stub.script()
    scraper = Scraper(NvmlDriver(Clock()), ON)
    for order in orders:
        stub.script(*(rule for place in enumerate(order) for rule in at(*place)))
        seen = Seen(scraper.scrape())
        found = {uuid: watts for (_, uuid), watts in seen.families[POWER].items()}
        assert found == {UUIDS[gpu]: 100 + gpu for gpu in range(8)}
        names = {labels[1]: labels[2] for labels in seen.families[GPU_INFO]}
        assert names == {UUIDS[gpu]: f"Board {gpu}" for gpu in range(8)}
        fault_cases.count(2 * len(order))
    scraper.close()


def at(index: int, gpu: int) -> tuple[str, ...]:
    """The rules by which a GPU answers at an index."""
    return (
        f"{index} nvmlDeviceGetUUID value {UUIDS[gpu]}",
        f"{index} nvmlDeviceGetName value Board {gpu}",
        f"{index} nvmlDeviceGetPowerUsage value {(100 + gpu) * 1000}",
    )


@pytest.mark.fault("E7")
@settings(
    deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(counts=st.lists(st.integers(0, 8), min_size=2, max_size=6))
def test_gpus_come_and_go(stub: NvmlStub, fault_cases: FaultCases, counts: list[int]) -> None:
    """Each scrape has the GPUs that there are at that moment, whole, and no other."""
    stub.script()
    scraper = Scraper(NvmlDriver(Clock()), ON)
    whole = len(Seen(scraper.scrape()).readings(0))
    for count in counts:
        stub.script(f"gpus {count}")
        seen = Seen(scraper.scrape())
        up = seen.families.get(metrics.GPU_UP, {})
        assert up == {(str(gpu), UUIDS[gpu]): 1 for gpu in range(count)}
        assert [len(seen.readings(gpu)) for gpu in range(8)] == [
            whole if gpu < count else 0 for gpu in range(8)
        ]
        fault_cases.count()
    scraper.close()
