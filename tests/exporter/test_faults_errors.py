"""Every NVML function that a scrape calls, with every NVML error: what fails costs only itself."""

from __future__ import annotations

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
AT_THE_END = ("nvmlShutdown", "nvmlGpmSampleFree")  # nobody is left to be told
NOTHING_THERE = {  # an answer, not an error
    ("nvmlDeviceGetSamples", 6),
    ("nvmlDeviceGetProcessUtilization", 6),
    ("nvmlDeviceGetMigDeviceHandleByIndex", 6),
}


def calls(stub: NvmlStub, *rules: str) -> dict[tuple[str, str], None]:
    """(GPU, call) of a first scrape and a second, with the argument where the call has one."""
    stub.script(*RICH, *rules)
    stub.forget()
    scraper = Scraper(NvmlDriver(Clock()), ON, clock=Clock())
    scraper.scrape()
    scraper.scrape()
    scraper.close()
    found: dict[tuple[str, str], None] = {}
    for gpu, symbol, argument in (line.split() for line in stub.calls()):
        if gpu in ("0", "-1"):
            call = symbol if argument == "-1" else f"{symbol}:{argument}"
            found["-" if gpu == "-1" else gpu, call] = None
    return found


Calls = dict[tuple[str, str], tuple[str, ...]]


@pytest.fixture(scope="module")
def every_call() -> Calls:
    """From the stub's log of calls; each with the rule without which it is not made, where it is
    only made because another is unsupported.
    """
    stub = in_process_stub()
    found: Calls = dict.fromkeys(calls(stub), ())
    for gpu, call in list(found):
        rule = f"{gpu} {call} error {pynvml.NVML_ERROR_NOT_SUPPORTED}"
        for other in calls(stub, rule):
            found.setdefault(other, (rule,))
    stub.script()
    return found


def test_the_calls_are_all_of_them(every_call: Calls) -> None:
    """The log has the calls about the driver, those about a GPU, and those of older drivers."""
    symbols = {call.partition(":")[0] for _, call in every_call}
    assert {"nvmlInitWithFlags", "nvmlDeviceGetCount_v2", "nvmlSystemGetDriverVersion"} <= symbols
    assert {*IDENTITY, FIELDS, "nvmlDeviceGetCurrentClocksThrottleReasons"} <= symbols
    assert len(every_call) > 50


@pytest.mark.fault("E3")
@pytest.mark.parametrize("code", CODES)
def test_every_function_fails(
    stub: NvmlStub, every_call: Calls, code: int, fault_cases: FaultCases
) -> None:
    """The scrape works, the failure is told, and the other GPU misses nothing."""
    whole = healthy(stub)
    for (gpu, call), rules in every_call.items():
        with fault_cases.case(gpu, call, code):
            seen = scrape_with(stub, *rules, f"{gpu} {call} error {code}")
            assert in_range(seen)
            if gpu == "0":
                assert seen.readings(1).keys() == whole, "the other GPU's series"
                assert seen.value(metrics.GPU_UP, "1", UUIDS[1]) == 1
                check_told(seen, call, code)
            elif code not in UNSUPPORTED and call not in AT_THE_END:
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


def healthy(stub: NvmlStub) -> set[tuple[str, tuple[str, ...]]]:
    readings = scrape_with(stub).readings(1)
    assert len(readings) > 50
    return set(readings)


def scrape_with(stub: NvmlStub, *rules: str) -> Seen:
    stub.script(*RICH, *rules)
    scraper = Scraper(NvmlDriver(Clock()), ON, clock=Clock())
    try:
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


def check_told(seen: Seen, call: str, code: int) -> None:
    """What is unsupported is absent; all else is counted once, and its collector has failed."""
    symbol = call.partition(":")[0]
    if code in UNSUPPORTED or (symbol, code) in NOTHING_THERE:
        if symbol not in IDENTITY:
            assert metrics.NVML_ERRORS not in seen.families
        return
    [((gpu, function, noted), count)] = seen.families[metrics.NVML_ERRORS].items()
    assert (gpu, noted, count) == ("0", str(code), 1)
    assert symbol.startswith(function)  # pynvml leaves some version suffixes out
    assert failed_collectors(seen) or symbol in IDENTITY
