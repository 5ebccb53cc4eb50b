"""Collectors of what boards differ in, through the stub: what is there is true, the rest absent."""

from __future__ import annotations

import pytest

from agentaflow_exporter import metrics
from agentaflow_exporter.collectors import (
    c2c,
    modes,
    nvlink,
    sram,
    temperature,
    throttle,
    utilization,
    vgpu,
)
from agentaflow_exporter.collectors.bar1 import BAR1_USED
from agentaflow_exporter.collectors.c2c import C2C_LINKS, C2C_UP
from agentaflow_exporter.collectors.fabric import FABRIC_ERROR, FABRIC_HEALTH, FABRIC_STATE
from agentaflow_exporter.collectors.fans import FAN_RPM, FAN_SPEED
from agentaflow_exporter.collectors.nvlink import (
    NVLINK_ERRORS,
    NVLINK_LINKS,
    NVLINK_RECEIVE,
    NVLINK_TRANSMIT,
    NVLINK_UP,
)
from agentaflow_exporter.collectors.pcie import PCIE_ERRORS
from agentaflow_exporter.collectors.power import POWER_AVERAGE, POWER_INSTANT
from agentaflow_exporter.collectors.recovery import RECOVERY_ACTION
from agentaflow_exporter.collectors.remapped_rows import (
    REMAPPED_ROWS,
    ROW_REMAP_BANKS,
    ROW_REMAP_FAILURE,
    ROW_REMAP_PENDING,
)
from agentaflow_exporter.collectors.retired_pages import RETIRED_PAGES, RETIRED_PAGES_PENDING
from agentaflow_exporter.metric import Metric
from agentaflow_exporter.nvml import NvmlDriver
from agentaflow_exporter.scrape import Scraper
from tests.support.nvml_stub import NvmlStub
from tests.support.scraping import UUIDS, Seen

FIELDS = "nvmlDeviceGetFieldValues"
GPU = ("0", UUIDS[0])


@pytest.fixture
def scraper(driver: NvmlDriver) -> Scraper:
    return Scraper(driver)


@pytest.mark.parametrize(
    ("rule", "metric", "labels", "value"),
    [
        ("nvmlDeviceGetBAR1MemoryInfo value 4096", BAR1_USED, (), 4096),
        (f"{FIELDS}:29 value 3", RETIRED_PAGES, ("single_bit_errors",), 3),
        (f"{FIELDS}:30 value 2", RETIRED_PAGES, ("double_bit_error",), 2),
        (f"{FIELDS}:31 value 1", RETIRED_PAGES_PENDING, (), 1),
        (f"{FIELDS}:142 value 5", REMAPPED_ROWS, ("correctable",), 5),
        (f"{FIELDS}:143 value 6", REMAPPED_ROWS, ("uncorrectable",), 6),
        (f"{FIELDS}:144 value 1", ROW_REMAP_PENDING, (), 1),
        (f"{FIELDS}:145 value 1", ROW_REMAP_FAILURE, (), 1),
        ("nvmlDeviceGetRowRemapperHistogram value 640", ROW_REMAP_BANKS, ("max",), 640),
        (f"{FIELDS}:230 value 4", RECOVERY_ACTION, (), 4),
        (f"{FIELDS}:138 value 7", NVLINK_TRANSMIT, (), 7 * 1024),
        (f"{FIELDS}:139 value 8", NVLINK_RECEIVE, (), 8 * 1024),
        (f"{FIELDS}:38 value 9", NVLINK_ERRORS, ("crc_flit",), 9),
        (f"{FIELDS}:45 value 9", NVLINK_ERRORS, ("crc_data",), 9),
        (f"{FIELDS}:160 value 9", NVLINK_ERRORS, ("ecc_data",), 9),
        (f"{FIELDS}:91 value 6", NVLINK_LINKS, (), 6),
        (f"{FIELDS}:2164 value 25781", nvlink.NVLINK_SPEED, ("2",), 25_781_000_000),
        (f"{FIELDS}:173 value 11", PCIE_ERRORS, ("correctable",), 11),
        (f"{FIELDS}:183 value 12", PCIE_ERRORS, ("lane",), 12),
        (f"{FIELDS}:75 value 2000000000", throttle.POLICY_SECONDS, ("thermal",), 2),
        (f"{FIELDS}:79 value 500000000", throttle.POLICY_SECONDS, ("reliability",), 0.5),
        ("nvmlDeviceGetMarginTemperature value 12", temperature.TEMPERATURE_MARGIN, (), 12),
        ("nvmlDeviceGetMarginTemperature value 4294967291", temperature.TEMPERATURE_MARGIN, (), -5),
        ("nvmlDeviceGetJpgUtilization value 25", utilization.UTILIZATION, ("jpeg",), 0.25),
        ("nvmlDeviceGetOfaUtilization value 50", utilization.UTILIZATION, ("ofa",), 0.5),
        ("nvmlDeviceGetPersistenceMode value 0", modes.PERSISTENCE_MODE, (), 0),
        ("nvmlDeviceGetComputeMode value 3", modes.COMPUTE_MODE, (), 3),
        (f"{FIELDS}:185 value 301000", POWER_AVERAGE, (), 301),
        (f"{FIELDS}:186 value 302500", POWER_INSTANT, (), 302.5),
    ],
)
def test_readings(
    scraper: Scraper,
    stub: NvmlStub,
    rule: str,
    metric: Metric,
    labels: tuple[str, ...],
    value: float,
) -> None:
    """What the driver answers is the series, in base units; unsupported, it is no series."""
    stub.script("gpus 1", f"0 {rule}")
    assert Seen(scraper.scrape()).value(metric, *GPU, *labels) == value
    stub.script("gpus 1", f"0 {rule.partition(' ')[0]} error 3")
    seen = Seen(scraper.scrape())
    assert seen.value(metric, *GPU, *labels) is None
    assert seen.value(metrics.COLLECTOR_SUCCESS, metric.collector) == 1


def test_sram(scraper: Scraper, stub: NvmlStub) -> None:
    """Errors of on-chip memory by what found them, and whether they are too many."""
    call = "0 nvmlDeviceGetSramEccErrorStatus"
    stub.script("gpus 1", f"{call}:0 value 7", f"{call}:1 value 1", f"{call}:3 value 1")
    seen = Seen(scraper.scrape())
    assert seen.value(sram.SRAM_ERRORS, *GPU, "corrected") == 7
    assert seen.value(sram.SRAM_ERRORS, *GPU, "uncorrected_parity") == 1
    assert seen.value(sram.SRAM_ERRORS, *GPU, "uncorrected_secded") == 0
    assert seen.value(sram.SRAM_THRESHOLD_EXCEEDED, *GPU) == 1
    stub.script("gpus 1", f"{call} error 3")
    assert sram.SRAM_ERRORS not in Seen(scraper.scrape()).families


@pytest.mark.parametrize(
    ("guest", "licensed", "expiry"), [(1, 1, 1924905600), (2, 0, None), (3, 1, None)]
)
def test_vgpu_licence(
    scraper: Scraper, stub: NvmlStub, guest: int, licensed: int, expiry: int | None
) -> None:
    """A guest tells whether it has its licence, and until when, if that is a date at all."""
    stub.script("gpus 1", f"0 nvmlDeviceGetGridLicensableFeatures_v4 value {guest}")
    seen = Seen(scraper.scrape())
    product = "NVIDIA Virtual Compute Server"
    assert seen.value(vgpu.VGPU_LICENSED, *GPU, "compute", product) == licensed
    assert seen.value(vgpu.VGPU_LICENSE_EXPIRY, *GPU, "compute") == expiry
    assert seen.value(metrics.COLLECTOR_SUCCESS, "vgpu") == 1


def test_no_vgpu(scraper: Scraper) -> None:
    """A physical GPU has no licence, and that is no failure."""
    seen = Seen(scraper.scrape())
    assert vgpu.VGPU_LICENSED not in seen.families
    assert seen.value(metrics.COLLECTOR_SUCCESS, "vgpu") == 1


def test_nvlinks_of_blackwell(scraper: Scraper, stub: NvmlStub) -> None:
    """Links that count for themselves are summed, all of them or none."""
    links = [
        rule
        for link in (0, 1)
        for rule in (
            f"0 {FIELDS}:{1000 * link + 201} value {3 + link}",
            f"0 {FIELDS}:{1000 * link + 202} value {10 + link}",
            f"0 {FIELDS}:{1000 * link + 206} value {link}",
            f"0 {FIELDS}:{1000 * link + 221} value 5",
        )
    ]
    totals = (f"0 {FIELDS}:138 error 3", f"0 {FIELDS}:91 value 2")
    stub.script("gpus 1", *totals, *links)
    seen = Seen(scraper.scrape())
    assert seen.value(nvlink.NVLINK_TRANSMIT, *GPU) == 21
    assert seen.value(nvlink.NVLINK_TRANSMIT_PACKETS, *GPU) == 7
    assert nvlink.NVLINK_RECEIVE_PACKETS not in seen.families
    assert seen.value(nvlink.NVLINK_ERRORS, *GPU, "malformed_packet") == 1
    assert seen.value(nvlink.NVLINK_ERRORS, *GPU, "symbol") == 10
    stub.script("gpus 1", *totals, *links, f"0 {FIELDS}:1202 error 10")
    seen = Seen(scraper.scrape())
    assert seen.value(nvlink.NVLINK_TRANSMIT, *GPU) is None
    assert seen.value(metrics.COLLECTOR_SUCCESS, "nvlink") == 0


def test_errors_of_links_to_the_cpu(scraper: Scraper, stub: NvmlStub) -> None:
    """Those of all links together, by kind."""
    rules = [f"0 {FIELDS}:{1000 * link + 232} value {3 + link}" for link in (0, 1)]
    stub.script("gpus 1", f"0 {FIELDS}:170 value 2", *rules)
    seen = Seen(scraper.scrape())
    assert seen.value(c2c.C2C_ERRORS, *GPU, "replay") == 7
    assert seen.value(c2c.C2C_ERRORS, *GPU, "interrupt") is None


def test_fans(scraper: Scraper, stub: NvmlStub) -> None:
    """Each fan has its own series, and a fan may run faster than its nominal highest speed."""
    stub.script(
        "gpus 1",
        "0 nvmlDeviceGetNumFans value 2",
        "0 nvmlDeviceGetFanSpeed_v2:1 value 104",
        "0 nvmlDeviceGetFanSpeedRPM:1 value 3100",
    )
    seen = Seen(scraper.scrape())
    assert seen.families[FAN_SPEED] == {(*GPU, "0"): 0.3, (*GPU, "1"): 1.04}
    assert seen.families[FAN_RPM] == {(*GPU, "0"): 1500, (*GPU, "1"): 3100}


@pytest.mark.parametrize("answer", ["value 0", "error 3", "error 13"])
def test_no_fans(scraper: Scraper, stub: NvmlStub, answer: str) -> None:
    """A board without fans has no series of fans, and no failure."""
    stub.script("gpus 1", f"0 nvmlDeviceGetNumFans {answer}")
    seen = Seen(scraper.scrape())
    assert FAN_SPEED not in seen.families
    assert seen.value(metrics.COLLECTOR_SUCCESS, "fans") == 1


def test_links(scraper: Scraper, stub: NvmlStub) -> None:
    """Every link that there is has its state, and no other; a link asleep is up."""
    stub.script(
        "gpus 1",
        f"0 {FIELDS}:165 value 0",
        f"0 {FIELDS}:1165 value 2",
        f"0 {FIELDS}:2165 value 3",
        f"0 {FIELDS}:3165 error 3",
    )
    up = Seen(scraper.scrape()).families[NVLINK_UP]
    assert {int(labels[2]) for labels in up} == set(range(18)) - {3}
    assert {labels[2] for labels, value in up.items() if not value} == {"0", "2"}


def test_errors_of_links(scraper: Scraper, stub: NvmlStub) -> None:
    """Where errors are counted by link the series is their sum; without one link there is none."""
    stub.script(
        "gpus 1",
        f"0 {FIELDS}:161 value 3",
        f"0 {FIELDS}:17161 value 4",
        f"0 {FIELDS}:5162 error 10",
        f"0 {FIELDS}:5163 error 3",
    )
    seen = Seen(scraper.scrape())
    assert seen.families[NVLINK_ERRORS] == {(*GPU, "replay"): 7}
    assert seen.value(metrics.COLLECTOR_SUCCESS, "nvlink") == 0


def test_errors_of_old_links(scraper: Scraper, stub: NvmlStub) -> None:
    """The driver's own total is the series where there is one."""
    stub.script("gpus 1", f"0 {FIELDS}:52 value 5", f"0 {FIELDS}:161 value 3")
    assert Seen(scraper.scrape()).value(NVLINK_ERRORS, *GPU, "replay") == 5


def test_no_links(scraper: Scraper, stub: NvmlStub) -> None:
    """A board without NVLink has neither states nor errors of links, and no failure."""
    stub.script("gpus 1", *(f"0 {FIELDS}:{i} error 3" for i in (91, 138, 139)))
    seen = Seen(scraper.scrape())
    assert {m for m in seen.families if m.collector == "nvlink"} == set()
    assert seen.value(metrics.COLLECTOR_SUCCESS, "nvlink") == 1


def test_links_to_the_cpu(scraper: Scraper, stub: NvmlStub) -> None:
    """Each link between GPU and CPU has its state; a GPU that counts none has no series."""
    stub.script(
        "gpus 2",
        f"0 {FIELDS}:170 value 2",
        f"0 {FIELDS}:171 value 1",
        f"0 {FIELDS}:1171 value 0",
        f"1 {FIELDS}:170 value 0",
    )
    seen = Seen(scraper.scrape())
    assert seen.families[C2C_LINKS] == {GPU: 2}
    assert seen.families[C2C_UP] == {(*GPU, "0"): 1, (*GPU, "1"): 0}


def test_links_beyond_the_count(scraper: Scraper, stub: NvmlStub) -> None:
    """A driver that answers for links beyond those it counts makes no series."""
    stub.script("gpus 1", f"0 {FIELDS}:91 value 4")
    assert len(Seen(scraper.scrape()).families[NVLINK_UP]) == 4


def test_all_fields_are_one_call(scraper: Scraper, stub: NvmlStub) -> None:
    """Links and error counters come with the other fields, in one call per GPU and scrape."""
    stub.script("gpus 1")
    scraper.scrape()
    stub.forget()
    scraper.scrape()
    assert sum(FIELDS in call for call in stub.calls()) == 1


def test_constants_are_asked_once(scraper: Scraper, stub: NvmlStub) -> None:
    """What cannot change while the driver is loaded costs one call, not one at each scrape."""
    scraper.scrape()
    stub.forget()
    scraper.scrape()
    assert not any("GetName" in call or "GetMaxClockInfo" in call for call in stub.calls())


def test_a_failed_field_fails_its_collector_alone(scraper: Scraper, stub: NvmlStub) -> None:
    """Collectors with fields that are unsupported, or that answered, are not blamed for it."""
    stub.script("gpus 1", f"0 {FIELDS}:230 error 10")
    success = Seen(scraper.scrape()).families[metrics.COLLECTOR_SUCCESS]
    assert {labels[0] for labels, value in success.items() if not value} == {"recovery"}


def fabric(scraper: Scraper, stub: NvmlStub, mask: int) -> dict[str, float]:
    stub.script("gpus 1", f"0 nvmlDeviceGetGpuFabricInfoV:1 value {mask}")
    found = Seen(scraper.scrape()).families.get(FABRIC_HEALTH, {})
    return {labels[2]: value for labels, value in found.items()}


def test_fabric_health(scraper: Scraper, stub: NvmlStub) -> None:
    """Each check that the fabric supports is a series: 1 as long as it finds nothing wrong."""
    assert set(fabric(scraper, stub, 0x1AA).values()) == {1}
    assert fabric(scraper, stub, 0) == {}
    assert fabric(scraper, stub, 0b01) == {"bandwidth": 0}
    assert fabric(scraper, stub, 0b10_0000) == {"route": 1}
    assert fabric(scraper, stub, 5 << 8) == {"configuration": 0}


@pytest.mark.parametrize("answer", [":0 value 0", " error 3", " error 25"])
def test_no_fabric(scraper: Scraper, stub: NvmlStub, answer: str) -> None:
    """A GPU without a fabric has no series of it, whichever way the driver says so."""
    stub.script("gpus 1", f"0 nvmlDeviceGetGpuFabricInfoV{answer}")
    seen = Seen(scraper.scrape())
    assert {m for m in seen.families if m.collector == "fabric"} == set()
    assert seen.value(metrics.COLLECTOR_SUCCESS, "fabric") == 1


def test_fabric_under_way(scraper: Scraper, stub: NvmlStub) -> None:
    """As long as the registration has not completed there is no telling whether it succeeded."""
    stub.script("gpus 1", "0 nvmlDeviceGetGpuFabricInfoV:0 value 2")
    seen = Seen(scraper.scrape())
    assert seen.value(FABRIC_STATE, *GPU) == 2
    assert seen.value(FABRIC_ERROR, *GPU) is None
