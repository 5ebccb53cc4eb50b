"""Every NVML function that a scrape calls, with every NVML error: what fails costs only itself."""

from __future__ import annotations

from typing import NamedTuple

import pynvml
import pytest

from agentaflow_exporter import metrics
from agentaflow_exporter.collectors import COLLECTORS, NAMES
from agentaflow_exporter.nvml import NvmlDriver
from agentaflow_exporter.nvml.errors import UNSUPPORTED
from agentaflow_exporter.scrape import Scraper
from agentaflow_exporter.settings import Settings
from tests.support.faults import FaultCases
from tests.support.nvml_stub import NvmlStub, in_process_stub
from tests.support.scraping import UUIDS, Clock, Seen

ON = Settings(collectors=frozenset(NAMES))  # those that are off by default too
CODES = sorted({v for k, v in vars(pynvml).items() if k.startswith("NVML_ERROR_")})
IDENTITY = ("nvmlDeviceGetHandleByIndex_v2", "nvmlDeviceGetUUID")  # without these there is no GPU
FIELDS = "nvmlDeviceGetFieldValues"
FIELD_CODES = (2, 3, 10, 15, 16, 25, 999)
# A board on which as much as possible is asked.
RICH = (
    "gpus 2",
    "* nvmlDeviceGetNumFans value 2",
    "* nvmlDeviceGetComputeRunningProcesses_v3 value 2",
    f"* {FIELDS}:170 value 1",
)
CUT = (
    "0 nvmlDeviceGetMigMode value 1",
    "0 nvmlDeviceGetMigDeviceHandleByIndex:0 value 1",
    "0 nvmlGpmMigSampleGet:0 value 1",  # no GPM metric has the id of this instance
)
SECONDS_BETWEEN = 10
ON_THE_WAY_TO = {"nvmlDeviceGetGpuInstanceById": "nvmlGpuInstanceGetInfo"}
AT_THE_END = ("nvmlShutdown", "nvmlGpmSampleFree")  # nobody is left to be told
NOTHING_THERE = {  # an answer, not an error
    ("nvmlDeviceGetSamples", 6),
    ("nvmlDeviceGetProcessUtilization", 6),
    ("nvmlDeviceGetMigDeviceHandleByIndex", 6),
    ("nvmlDeviceGetUUID:0", 6),  # of a MIG device, which went
    ("nvmlDeviceGetName:0", 6),
    ("nvmlDeviceGetGpuInstanceId:0", 6),
    ("nvmlDeviceGetComputeInstanceId:0", 6),
    ("nvmlDeviceGetMemoryInfo_v2:0", 6),
    ("nvmlDeviceGetAttributes_v2:0", 6),
    ("nvmlDeviceGetGpuInstanceById", 4),  # told to root alone
    ("nvmlGpuInstanceGetInfo", 4),
}


class Call(NamedTuple):
    """Of which GPU, or `-`; with the argument where it has one."""

    gpu: str
    name: str

    @property
    def symbol(self) -> str:
        return self.name.partition(":")[0]


class Made(NamedTuple):
    """When a call is made: under which rules, and whether in a second scrape only."""

    rules: tuple[str, ...]
    later: bool


Calls = dict[Call, Made]


def calls(stub: NvmlStub, *rules: str) -> Calls:
    """Those of a first scrape, and those that only a second one makes."""
    clock = Clock()
    scraper = Scraper(NvmlDriver(clock), ON, clock=Clock())
    found: Calls = {}
    for later in (False, True):
        stub.script(*RICH, *rules, f"time {clock.now}")
        stub.forget()
        scraper.scrape()
        if later:
            scraper.close()
        for gpu, symbol, argument in (line.split() for line in stub.calls()):
            if gpu in ("0", "-1"):
                name = symbol if argument == "-1" else f"{symbol}:{argument}"
                call = Call("-" if gpu == "-1" else gpu, name)
                found.setdefault(call, Made(rules, later))
        clock.now += SECONDS_BETWEEN
    return found


@pytest.fixture(scope="module")
def every_call() -> Calls:
    """From the stub's log of calls: of a GPU that is whole, of one that is cut, and those that are
    only made because another is unsupported.
    """
    stub = in_process_stub()
    found = calls(stub)
    for call in list(found):
        rule = f"{call.gpu} {call.name} error {pynvml.NVML_ERROR_NOT_SUPPORTED}"
        found = {**calls(stub, rule), **found}
    found = {**calls(stub, *CUT), **found}
    stub.script()
    return found


def test_the_calls_are_all_of_them(every_call: Calls) -> None:
    """The log has the calls about the driver, those about a GPU, and those of older drivers."""
    symbols = {call.symbol for call in every_call}
    assert {"nvmlInitWithFlags", "nvmlDeviceGetCount_v2", "nvmlSystemGetDriverVersion"} <= symbols
    assert {*IDENTITY, FIELDS, "nvmlDeviceGetCurrentClocksThrottleReasons"} <= symbols
    assert {"nvmlGpmSampleGet", "nvmlGpmMetricsGet", "nvmlDeviceGetSamples"} <= symbols
    assert {"nvmlGpmMigSampleGet", "nvmlDeviceGetMigDeviceHandleByIndex"} <= symbols
    assert {"nvmlGpuInstanceGetInfo", "nvmlDeviceGetProcessUtilization"} <= symbols
    assert len(every_call) > 90


@pytest.mark.fault("E3")
@pytest.mark.parametrize("code", CODES)
def test_every_function_fails(
    stub: NvmlStub, every_call: Calls, code: int, fault_cases: FaultCases
) -> None:
    """The scrape works, the failure is told, and the other GPU misses nothing."""
    whole = {later: healthy(stub, later=later) for later in (False, True)}
    for call, (rules, later) in every_call.items():
        with fault_cases.case(call.gpu, call.name, code):
            fault = f"{call.gpu} {call.name} error {code}"
            seen = scrape_with(stub, fault, rules=rules, later=later)
            assert in_range(seen)
            if call.gpu == "0":
                assert seen.readings(1).keys() == whole[later], "the other GPU's series"
                assert seen.value(metrics.GPU_UP, "1", UUIDS[1]) == 1
                check_told(seen, call, code)
            elif code not in UNSUPPORTED and call.name not in AT_THE_END:
                assert failed_collectors(seen) or not seen.value(metrics.DRIVER_UP)
    fault_cases.check()


@pytest.mark.fault("E3")
@pytest.mark.parametrize("code", FIELD_CODES)
def test_every_field_fails(stub: NvmlStub, code: int, fault_cases: FaultCases) -> None:
    """The same holds of each field of the one call that has them all; of a link, the first."""
    whole = healthy(stub)
    fields = {i & 0xFFFF for collector in COLLECTORS for i in collector.fields}
    for field in sorted(fields):
        with fault_cases.case(field, code):
            seen = scrape_with(stub, f"0 {FIELDS}:{field} error {code}")
            assert in_range(seen)
            assert seen.readings(1).keys() == whole
    fault_cases.check()


def healthy(stub: NvmlStub, *, later: bool = False) -> set[tuple[str, tuple[str, ...]]]:
    readings = scrape_with(stub, later=later).readings(1)
    assert len(readings) > 50
    return set(readings)


def scrape_with(
    stub: NvmlStub, *fault: str, rules: tuple[str, ...] = (), later: bool = False
) -> Seen:
    """A scrape with the fault: the first one, or one that follows a scrape without it."""
    clock = Clock()
    scraper = Scraper(NvmlDriver(clock), ON, clock=Clock())
    try:
        if later:
            stub.script(*RICH, *rules, f"time {clock.now}")
            scraper.scrape()
            clock.now += SECONDS_BETWEEN
        stub.script(*RICH, *rules, *fault, f"time {clock.now}")
        return Seen(scraper.scrape())
    finally:
        scraper.close()


def in_range(seen: Seen) -> bool:
    return all(
        metric.low <= value <= metric.high
        for metric, samples in seen.families.items()
        for value in samples.values()
    )


def failed_collectors(seen: Seen) -> set[str]:
    success = seen.families[metrics.COLLECTOR_SUCCESS]
    return {name for (name,), value in success.items() if not value}


def check_told(seen: Seen, call: Call, code: int) -> None:
    """What is unsupported is absent; all else is counted once, and its collector has failed."""
    symbol, identity = call.symbol, call.name in IDENTITY
    if code in UNSUPPORTED or not NOTHING_THERE.isdisjoint({(symbol, code), (call.name, code)}):
        if not identity:
            assert metrics.NVML_ERRORS not in seen.families
        return
    [((gpu, function, noted), count)] = seen.families[metrics.NVML_ERRORS].items()
    assert (gpu, noted, count) == ("0", str(code), 1)
    # pynvml leaves some version suffixes out
    assert ON_THE_WAY_TO.get(symbol, symbol).startswith(function)
    assert failed_collectors(seen) or identity
