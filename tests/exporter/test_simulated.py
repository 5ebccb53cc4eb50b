"""The simulated driver: complete, deterministic in (seed, time), and true to its own counters."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentaflow_exporter import constants as nvml
from agentaflow_exporter import metrics
from agentaflow_exporter.backends import make_driver
from agentaflow_exporter.collectors import (
    COLLECTORS,
    NAMES,
    gpm,
    gpm_counters,
    mig,
    mig_gpm,
    sram,
    vgpu,
)
from agentaflow_exporter.collectors.c2c import C2C_ERRORS, C2C_LINKS, C2C_UP
from agentaflow_exporter.collectors.container_usage import CONTAINER_MEMORY, CONTAINER_SM
from agentaflow_exporter.collectors.ecc import ECC_ERRORS
from agentaflow_exporter.collectors.expected import GPU_EXPECTED
from agentaflow_exporter.collectors.fans import FAN_RPM, FAN_SPEED
from agentaflow_exporter.collectors.nvlink import (
    NVLINK_RECEIVE_PACKETS,
    NVLINK_TRANSMIT_PACKETS,
)
from agentaflow_exporter.collectors.process_usage import PROCESS_MEMORY
from agentaflow_exporter.collectors.retired_pages import RETIRED_PAGES, RETIRED_PAGES_PENDING
from agentaflow_exporter.collectors.temperature import TEMPERATURE_MARGIN
from agentaflow_exporter.collectors.xid import (
    XID_ERRORS,
    XID_LAST,
    XID_LAST_TIMESTAMP,
    XID_LOG_OVERRUNS,
)
from agentaflow_exporter.crew import InlineCrew
from agentaflow_exporter.metric import Metric
from agentaflow_exporter.scrape import Scraper
from agentaflow_exporter.settings import Settings
from agentaflow_exporter.silicon import BOOT
from agentaflow_exporter.simulated import SimulatedDriver, SimulatedFleet

NOW = 1_795_000_000.0
GAUGES = {
    nvml.NVML_FI_DEV_ECC_CURRENT,
    nvml.NVML_FI_DEV_ECC_PENDING,
    nvml.NVML_FI_DEV_MEMORY_TEMP,
    nvml.NVML_FI_DEV_POWER_AVERAGE,
    nvml.NVML_FI_DEV_POWER_INSTANT,
}
COUNTERS = [i for c in COLLECTORS for i in c.fields if i not in GAUGES]
# No board of the simulation has these parts, no kernel is below it, and its driver is an old one.
ABSENT = {
    GPU_EXPECTED,
    FAN_SPEED,
    FAN_RPM,
    RETIRED_PAGES,
    RETIRED_PAGES_PENDING,
    C2C_LINKS,
    C2C_UP,
    C2C_ERRORS,
    NVLINK_TRANSMIT_PACKETS,
    NVLINK_RECEIVE_PACKETS,
    TEMPERATURE_MARGIN,
    *mig.COLLECTOR.metrics[1:],  # no board is cut
    *mig_gpm.COLLECTOR.metrics,
    *sram.COLLECTOR.metrics,
    *vgpu.COLLECTOR.metrics,
    gpm.MEDIA_ACTIVE,
    gpm.C2C_TRANSMIT,
    gpm.C2C_RECEIVE,
    gpm.C2C_DATA_TRANSMIT,
    gpm.C2C_DATA_RECEIVE,
    *gpm_counters.COLLECTOR.metrics,
    XID_LOG_OVERRUNS,
}
FUNCTIONS = [
    "nvmlDeviceGetUtilizationRates",
    "nvmlDeviceGetPowerUsage",
    "nvmlDeviceGetCurrentClocksEventReasons",
    "nvmlDeviceGetComputeRunningProcesses",
]

Samples = dict[Metric, dict[tuple[str, ...], float]]


class Clock:
    """A clock that a test sets."""

    def __init__(self, time: float = NOW) -> None:
        self.time = time

    def __call__(self) -> float:
        return self.time


def a_fleet(seed: int = 7, clock: Callable[[], float] | None = None) -> SimulatedFleet:
    return SimulatedFleet(nodes=8, gpus_per_node=8, seed=seed, clock=clock or Clock())


def scrape(driver: SimulatedDriver) -> Samples:
    """What the real scraper makes of it, but for what it says about itself."""
    every = Settings(collectors=frozenset(NAMES))
    families = Scraper(driver, every, sources=driver.sources, crew=InlineCrew()).scrape()
    return {metric: dict(samples) for metric, samples in families}


def answers(fleet: SimulatedFleet, node: str) -> list[Any]:
    return [
        [*(repr(gpu.read(function)) for function in FUNCTIONS), dict(gpu.fields(*COUNTERS))]
        for gpu in fleet.driver(node).gpus()
    ]


def test_every_collector_finds_all_that_it_asks_for() -> None:
    """Every metric of a part that the board has is there, none fails or is out of range."""
    found = scrape(a_fleet().driver("node-0"))
    assert {m for m in metrics.ALL if m.collector} - ABSENT - {XID_LAST_TIMESTAMP} <= found.keys()
    assert ABSENT.isdisjoint(found)
    assert set(found[metrics.COLLECTOR_SUCCESS].values()) == {1}
    assert metrics.DROPPED_READINGS not in found
    assert metrics.NVML_ERRORS not in found
    assert found[metrics.GPU_DEVICES] == {(): 8}


def test_bad_memory_has_xids() -> None:
    """An uncorrected error is an Xid 48 at the moment at which it is counted, on no other GPU."""
    clock = Clock()
    fleet = a_fleet(clock=clock)
    story = next(story for story in fleet.stories() if story.name == "ecc_errors")
    found = scrape(fleet.driver(story.node))
    gpu = (str(story.gpu), story.uuid)
    uncorrected = found[ECC_ERRORS][*gpu, "uncorrected"]
    assert found[XID_ERRORS][*gpu, "48"] == uncorrected > 0
    assert found[XID_ERRORS][*gpu, "79"] == 0
    assert found[XID_LAST][gpu] in (48, 63)
    last = found[XID_LAST_TIMESTAMP][*gpu, "48"]
    assert last <= NOW < last + 86_400 / 4
    clock.time = last + 0.2
    assert scrape(fleet.driver(story.node))[ECC_ERRORS][*gpu, "uncorrected"] == uncorrected
    clock.time = last - 0.2
    assert scrape(fleet.driver(story.node))[ECC_ERRORS][*gpu, "uncorrected"] == uncorrected - 1
    others = {key[1] for key in found[XID_LAST_TIMESTAMP]}
    assert others == {story.uuid}


def test_processes_belong_to_the_pods() -> None:
    """A busy process is in its pod; a forgotten one is in none, and has memory all the same."""
    fleet = a_fleet()
    stories = {story.name: story for story in fleet.stories()}
    busy, forgotten = stories["busy_training"], stories["forgotten_process"]
    found = scrape(fleet.driver(busy.node))
    assert found[CONTAINER_SM][str(busy.gpu), busy.uuid, *busy.pods[0][1:]] > 0
    found = scrape(fleet.driver(forgotten.node))
    assert found[PROCESS_MEMORY][str(forgotten.gpu), forgotten.uuid, str(2000 + forgotten.gpu)] > 0
    assert forgotten.uuid not in {key[1] for key in found[CONTAINER_MEMORY]}


def test_the_backend_is_a_node_by_itself() -> None:
    """`--backend simulated` needs no fleet: eight GPUs, some with pods."""
    driver, sources = make_driver("simulated")
    assert len(driver.gpus()) == 8
    assert sources.pods()
    assert {pod.device for pod in sources.pods()} < {gpu.uuid for gpu in driver.gpus()}


def test_the_same_seed_and_time_give_the_same_answers() -> None:
    """Two fleets agree on everything, and a clock that was elsewhere in between changes nothing."""
    clock = Clock()
    fleet = a_fleet(clock=clock)
    before = answers(fleet, "node-3")
    clock.time += 12_345.6
    assert answers(fleet, "node-3") != before
    clock.time = NOW
    assert answers(fleet, "node-3") == before == answers(a_fleet(), "node-3")


def test_other_seeds_are_other_fleets() -> None:
    """The seed decides who does what, and which GPUs there are."""
    one, other = a_fleet(1), a_fleet(2)
    assert {s.uuid for s in one.stories()}.isdisjoint(s.uuid for s in other.stories())


def test_uuids_are_unique() -> None:
    """No two GPUs of a fleet share a uuid, and a driver's GPUs keep theirs."""
    fleet = a_fleet()
    uuids = [gpu.uuid for node in fleet.nodes for gpu in fleet.driver(node).gpus()]
    assert len(set(uuids)) == 64
    assert uuids[8] == fleet.truth("node-1", 0).uuid


def test_the_order_of_reading_does_not_matter() -> None:
    """A counter read at random moments is the counter read in order."""
    clock = Clock()
    gpu = a_fleet(clock=clock).driver("node-3").gpus()[2]
    moments = [NOW + 77.7 * i for i in range(200)]

    def read(moment: float) -> tuple[int, ...]:
        clock.time = moment
        return tuple(int(n) for n in gpu.fields(*COUNTERS).values())

    in_order = {moment: read(moment) for moment in moments}
    random.Random(1).shuffle(moments)
    assert {moment: read(moment) for moment in moments} == in_order


@given(
    start=st.floats(BOOT - 1e6, BOOT + 3e8),
    seconds=st.floats(0.1, 1e6),
    node=st.integers(0, 7),
    gpu=st.integers(0, 7),
)
def test_counters_never_count_down(start: float, seconds: float, node: int, gpu: int) -> None:
    """Whatever two moments are compared, also before the drivers were loaded."""
    clock = Clock(start)
    device = a_fleet(clock=clock).driver(f"node-{node}").gpus()[gpu]
    before = device.fields(*COUNTERS)
    clock.time += seconds
    after = device.fields(*COUNTERS)
    assert before.keys() == after.keys()
    assert all(0 <= before[i] <= after[i] for i in before)


@pytest.mark.parametrize("role", ["training", "inference", "hot_node", "idle_notebook"])
def test_energy_is_the_integral_of_power(role: str) -> None:
    """Joules over an hour are what adding up watts once a second comes to."""
    clock = Clock()
    gpu = a_gpu_with(role, clock)
    energy = nvml.NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION
    before, millijoules = gpu.fields(energy)[energy], 0.0
    for second in range(3600):
        clock.time = NOW + second + 0.5
        millijoules += gpu.read("nvmlDeviceGetPowerUsage")
    clock.time = NOW + 3600
    assert gpu.fields(energy)[energy] - before == pytest.approx(millijoules, rel=0.005)


@pytest.mark.parametrize(
    "field",
    [
        nvml.NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN,
        nvml.NVML_FI_DEV_PERF_POLICY_THERMAL,
    ],
)
def test_slowdown_seconds_are_the_time_of_the_slowdown(field: int) -> None:
    """The counters of heat go up while its bit is set, and only then."""
    clock = Clock()
    gpu = a_gpu_with("hot_node", clock)
    before, seconds = gpu.fields(field)[field], 0
    for second in range(3600):
        clock.time = NOW + second + 0.5
        seconds += bool(gpu.read("nvmlDeviceGetCurrentClocksEventReasons") & 0x40)
    clock.time = NOW + 3600
    assert (gpu.fields(field)[field] - before) / 1e9 == pytest.approx(seconds, abs=15)


def a_gpu_with(role: str, clock: Clock) -> Any:
    fleet = a_fleet(clock=clock)
    places = ((node, gpu) for node in fleet.nodes for gpu in range(8))
    node, gpu = next(place for place in places if fleet.truth(*place).name == role)
    return fleet.driver(node).gpus()[gpu]


def test_readings_hang_together() -> None:
    """Memory adds up, a busy GPU draws more power and is warmer than an idle one."""
    clock = Clock()
    busy, idle = a_gpu_with("training", clock), a_gpu_with("unallocated", clock)
    for gpu in (busy, idle):
        memory = gpu.read("nvmlDeviceGetMemoryInfo", nvml.nvmlMemory_v2)
        assert memory.total == memory.used + memory.free + memory.reserved
        first = gpu.read("nvmlDeviceGetMemoryInfo")
        assert first.total == first.used + first.free
    for function, arguments in (
        ("nvmlDeviceGetPowerUsage", ()),
        ("nvmlDeviceGetTemperatureV", (nvml.NVML_TEMPERATURE_GPU,)),
        ("nvmlDeviceGetClockInfo", (nvml.NVML_CLOCK_SM,)),
    ):
        assert busy.read(function, *arguments) > 1.3 * idle.read(function, *arguments)


def test_what_a_board_does_not_have_is_absent() -> None:
    """Unknown functions, arguments and fields are None or missing, as the protocol says."""
    gpu = a_fleet().driver("node-0").gpus()[0]
    assert gpu.read("nvmlDeviceGetFanSpeed_v2", 0) is None
    assert gpu.read("nvmlDeviceGetClockInfo", 99) is None
    assert gpu.fields(9999) == {}


def test_a_node_that_is_not_there_is_a_key_error() -> None:
    """Asking beyond the fleet does not make one up."""
    with pytest.raises(KeyError):
        a_fleet().driver("node-8")
