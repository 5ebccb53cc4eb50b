"""The readings under dcgm-exporter's names."""

from __future__ import annotations

from collections.abc import Iterator
from math import isclose
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text

from agentaflow_exporter import compat, metrics
from agentaflow_exporter.app import App
from agentaflow_exporter.collector import Pod, Sources
from agentaflow_exporter.collectors.info import GPU_INFO
from agentaflow_exporter.collectors.pods import POD_INFO
from agentaflow_exporter.collectors.utilization import UTILIZATION
from agentaflow_exporter.compat.dcgm import (
    FIELDS,
    METRICS_WITHOUT,
    WITHOUT,
    documentation,
    style_of,
)
from agentaflow_exporter.compat.translation import Field, Source, declared
from agentaflow_exporter.driver import Number
from agentaflow_exporter.exposition import encode
from agentaflow_exporter.http1 import Request
from agentaflow_exporter.metric import Family, Metric
from agentaflow_exporter.nvml import NvmlDriver
from agentaflow_exporter.scrape import Scraper
from agentaflow_exporter.settings import Settings
from agentaflow_exporter.xids import Tally, Xids
from tests.support.nvml_stub import NvmlStub
from tests.support.scraping import UUIDS, Clock

DOCUMENTATION = Path("docs/compat.md")
RENAMED = Path("tests/exporter/golden/dcgm_names.tsv")
HOST = "node-a"
SHARED = [Pod("1", "research", "one", "main"), Pod(UUIDS[1], "research", "two", "main")]
BY_NAME = {
    name: {field.names[style_of(name).name]: field for field in FIELDS} for name in compat.NAMES
}
TOLERANCES = {
    "MHz": (1e6, 5e5),
    "%": (0.01, 0.005),
    "mJ": (1e-3, 5e-4),
    "ns": (1e-9, 5e-10),
    "B/s": (1, 0.5),
}


GPM = "nvmlGpmMetricsGet"
_OF_BLACKWELL = (91, 201, 203, *range(206, 215), 219, 221)  # with one link, to be brief
# What an H100 has not: links to the CPU, and the last of each kind of media engine.
MORE = (
    *(f"* {GPM}:{i} value 1" for i in (37, 47, 51, 100, 101, 102, 103)),
    *(f"* nvmlDeviceGetFieldValues:{i} value 1" for i in (29, 30, 31, 38, 45, 160, 170)),
    *(f"* nvmlDeviceGetFieldValues:{i} value 1" for i in _OF_BLACKWELL),
    "* nvmlDeviceGetNumFans value 1",
)


def no_xids() -> Xids:
    """Every GPU is watched, and nothing has happened."""
    tally = Tally((79,))
    for uuid in UUIDS:
        tally.watch(uuid)
    return tally.xids()


@pytest.fixture
def families(stub: NvmlStub, driver: NvmlDriver, clock: Clock) -> Iterator[list[Family]]:
    """The second scrape of eight GPUs that have everything, of which two pods share one."""
    stub.script(*MORE)
    scraper = Scraper(driver, sources=Sources(pods=lambda: SHARED, xids=no_xids))
    scraper.scrape()
    clock.now += 10
    yield scraper.scrape()
    scraper.close()


def scraped(driver: NvmlDriver, clock: Clock) -> list[Family]:
    scraper = Scraper(driver, sources=Sources(xids=no_xids))
    try:
        scraper.scrape()
        clock.now += 10
        return scraper.scrape()
    finally:
        scraper.close()


def translated(families: list[Family], name: str = "dcgm", *, own: bool = False) -> list[Family]:
    return compat.translator(name, HOST, own=own)(families)


def of_dcgm(families: list[Family]) -> dict[str, Family]:
    return {f.metric.name: f for f in families if f.metric.name.startswith("DCGM_")}


def sources(families: list[Family]) -> set[Source]:
    """What the collectors said of a GPU, without the info metrics that become labels."""
    return {
        (metric, labels[2:])
        for metric, samples in families
        if metric.collector and metric not in (GPU_INFO, POD_INFO)
        for labels in samples
        if metric.labels[:2] == ("gpu", "uuid")
    }


def test_every_reading_has_a_name_or_a_reason(families: list[Family]) -> None:
    """A new reading needs a row in compat/dcgm.py: its DCGM field, or why there is none."""
    mapped = {source for field in FIELDS for source in field.sources}
    assert mapped & set(WITHOUT) == set()
    undecided = sources(families) - mapped - set(WITHOUT)
    undecided = {(metric, labels) for metric, labels in undecided if metric not in METRICS_WITHOUT}
    assert {(metric.name, labels) for metric, labels in undecided} == set()


def test_nothing_is_named_that_is_not_read(families: list[Family]) -> None:
    """All fields are there on a GPU that can answer everything."""
    for name in compat.NAMES:
        assert set(of_dcgm(translated(families, name))) == set(BY_NAME[name])


def test_names_are_dcgms() -> None:
    """What DCGM 4.6 renamed has both names, and all else has one."""
    rows = [line.split("\t") for line in RENAMED.read_text().splitlines()[1:]]
    renamed = {old: new for _, old, new in rows} | {
        "DCGM_FI_DEV_CLOCK_THROTTLE_REASONS": "DCGM_FI_DEV_CLOCKS_EVENT_REASONS"
    }
    for field in FIELDS:
        old, new = field.names
        assert new == renamed.get(old, old)
    for names in BY_NAME.values():
        assert len(names) == len(FIELDS)


def test_golden_lines(families: list[Family]) -> None:
    """A line has dcgm-exporter's labels in its order, its type and its unit."""
    gpu = f'gpu="0",UUID="{UUIDS[0]}",pci_bus_id="00000000:17:00.0",device="nvidia0"'
    model = 'modelName="NVIDIA H100 80GB HBM3"'
    driver = 'DCGM_FI_DRIVER_VERSION="595.71.05",container="",namespace="",pod=""'
    lines = encode(translated(families), openmetrics=False).decode().splitlines()
    labels = f'{gpu},{model},Hostname="{HOST}",{driver}'
    assert f"DCGM_FI_DEV_FB_TOTAL{{{labels}}} 81920" in lines
    assert f"DCGM_FI_DEV_MEM_CLOCK{{{labels}}} 2619" in lines
    assert "# TYPE DCGM_FI_DEV_GPU_TEMP gauge" in lines
    assert "# TYPE DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION counter" in lines
    assert (
        "# HELP DCGM_FI_DEV_GPU_UTIL GPU utilization (%), from "
        'agentaflow_gpu_utilization_ratio{engine="gpu"}.'
    ) in lines
    newer = encode(translated(families, "dcgm-4.6"), openmetrics=False).decode()
    labels = labels.replace("Hostname", "hostname")
    assert f"\nDCGM_FI_DEV_BOARD_POWER_LIMIT_MAX_WATTS{{{labels}}} 700.0\n" in newer


def test_a_shared_gpu_has_a_series_for_each_container(families: list[Family]) -> None:
    """And each has the whole GPU's reading, as in dcgm-exporter."""
    found = of_dcgm(translated(families))["DCGM_FI_DEV_POWER_USAGE"]
    shared = {key[-3:]: value for key, value in found.samples.items() if key[0] == "1"}
    assert set(shared) == {("main", "research", "one"), ("main", "research", "two")}
    assert len(set(shared.values())) == 1
    assert len(found.samples) == 9


def test_the_bit_mask(stub: NvmlStub, driver: NvmlDriver, clock: Clock) -> None:
    """The reasons become NVML's bits again."""
    stub.script("0 nvmlDeviceGetCurrentClocksEventReasons value 164")
    found = of_dcgm(translated(scraped(driver, clock)))["DCGM_FI_DEV_CLOCK_THROTTLE_REASONS"]
    assert next(value for key, value in found.samples.items() if key[0] == "0") == 0xA4


def test_the_share_of_memory(families: list[Family]) -> None:
    """Used / (total - reserved), from 0 to 1."""
    found = {
        name: next(iter(family.samples.values()))
        for name, family in of_dcgm(translated(families)).items()
    }
    total, used = found["DCGM_FI_DEV_FB_TOTAL"], found["DCGM_FI_DEV_FB_USED"]
    share = used / (total - found["DCGM_FI_DEV_FB_RESERVED"])
    assert found["DCGM_FI_DEV_FB_USED_PERCENT"] == pytest.approx(share, abs=1e-4)


def test_what_is_not_supported_is_absent(stub: NvmlStub, driver: NvmlDriver, clock: Clock) -> None:
    """No blank value stands for a reading that there is not, nor for what is made of it."""
    stub.script(
        *MORE,
        "* nvmlDeviceGetPowerUsage error 3",
        "* nvmlDeviceGetCurrentClocksEventReasons error 3",
        "* nvmlDeviceGetCurrentClocksThrottleReasons error 3",
    )
    missing = set(BY_NAME["dcgm"]) - set(of_dcgm(translated(scraped(driver, clock))))
    assert missing == {"DCGM_FI_DEV_POWER_USAGE", "DCGM_FI_DEV_CLOCK_THROTTLE_REASONS"}


def test_a_lost_gpu_has_no_series(stub: NvmlStub, driver: NvmlDriver, clock: Clock) -> None:
    """The others keep theirs."""
    stub.script("2 * error 15")
    found = of_dcgm(translated(scraped(driver, clock)))
    for family in found.values():
        assert {key[0] for key in family.samples} == set("0134567")


def test_own_metrics_are_kept_or_left_out(families: list[Family]) -> None:
    """Beside our own by default; without them only the collectors' metrics go."""
    both = translated(families, own=True)
    assert both[: len(families)] == families
    left = {f.metric.name for f in translated(families) if not f.metric.name.startswith("DCGM_")}
    assert left == {f.metric.name for f in families if not f.metric.collector}
    assert metrics.GPU_UP.name in left


@pytest.mark.parametrize("name", compat.NAMES)
@pytest.mark.parametrize("openmetrics", [False, True])
def test_parsers_accept_it(families: list[Family], name: str, openmetrics: bool) -> None:
    """Both formats are well formed, whatever OpenMetrics thinks of such counters' names."""
    found = translated(families, name, own=True)
    parse = parse_openmetrics if openmetrics else parse_text
    types = {f.name: f.type for f in parse(encode(found, openmetrics).decode())}
    counters = {n for n, field in BY_NAME[name].items() if field.kind == "counter"}
    if not openmetrics:  # where the parser strips no suffix in capitals
        assert {n for n, kind in types.items() if n in counters and kind == "counter"} == counters
    else:
        assert {types[n] for n in counters} == {"unknown"}


@st.composite
def scrapes(draw: st.DrawFn) -> list[Family]:
    """Readings within their ranges of some GPUs, with or without identities and pods."""
    gpus = [(str(index), f"GPU-{index}") for index in range(draw(st.integers(1, 3)))]
    text = st.text(max_size=4)
    found: dict[Metric, dict[tuple[str, ...], Number]] = {}
    every = sorted({source for field in FIELDS for source in field.sources}, key=_name)
    for metric, labels in draw(st.lists(st.sampled_from(every), unique=True, min_size=1)):
        values = st.integers(0, 2**50) if metric.unit == "bytes" else _floats(metric)
        for gpu in draw(st.lists(st.sampled_from(gpus), unique=True)):
            found.setdefault(metric, {})[gpu + labels] = draw(values)
    for metric in (GPU_INFO, POD_INFO):
        rest = st.tuples(*(text for _ in metric.labels[2:]))
        for gpu in draw(st.lists(st.sampled_from(gpus))):
            found.setdefault(metric, {})[gpu + draw(rest)] = 1
    return [Family(metric, samples) for metric, samples in found.items()]


def _floats(metric: Metric) -> st.SearchStrategy[float]:
    return st.floats(metric.low, min(metric.high, 1e12))


def _name(source: Source) -> tuple[str, tuple[str, ...]]:
    return source[0].name, source[1]


@settings(deadline=None)
@given(scrapes(), st.sampled_from(compat.NAMES))
def test_values_are_ours(found: list[Family], name: str) -> None:
    """A series is there for each reading and holder, and is the reading in the field's unit."""
    readings = {(f.metric, key): value for f in found for key, value in f.samples.items()}
    holders = [key[:2] for key in {key[:5] for metric, key in readings if metric is POD_INFO}]
    dcgm = of_dcgm(translated(found, name))
    for field in FIELDS:
        metric = declared(field, style_of(name))
        samples = dcgm[metric.name].samples if metric.name in dcgm else {}
        gpus = {key[:2] for key in samples}
        assert gpus == _complete(field, readings)
        assert len(samples) == sum(max(1, holders.count(gpu)) for gpu in gpus)
        if len(field.sources) == 1:
            ((source, labels),) = field.sources
            for key, value in samples.items():
                assert _same_reading(field.unit, value, readings[source, key[:2] + labels])


def _complete(
    field: Field, readings: dict[tuple[Metric, tuple[str, ...]], Number]
) -> set[tuple[str, ...]]:
    of_sources = [
        {key[:2] for metric, key in readings if metric is source and key[2:] == labels}
        for source, labels in field.sources
    ]
    return set.intersection(*of_sources)


def _same_reading(unit: str, value: Number, ours: Number) -> bool:
    if unit == "MiB":
        return value <= ours / 2**20 < value + 1
    if unit in TOLERANCES:
        scale, half = TOLERANCES[unit]
        return isclose(value * scale, ours, abs_tol=half * 1.001, rel_tol=1e-12)
    return value == ours


@given(st.integers(0, 100))
def test_percent_is_what_nvml_said(percent: int) -> None:
    """A whole number comes back whole: 29 % is no 28.999999999999996."""
    found = [Family(UTILIZATION, {("0", "GPU-0", "gpu"): percent / 100})]
    assert list(of_dcgm(translated(found))["DCGM_FI_DEV_GPU_UTIL"].samples.values()) == [percent]


def test_a_selection_has_the_same_labels(driver: NvmlDriver) -> None:
    """collect[] does not change the names of the series that it selects."""
    scraper = Scraper(driver, sources=Sources(pods=lambda: SHARED))
    app = App(scraper, Settings(compat="dcgm"), host=HOST)

    def power(query: dict[str, list[str]]) -> list[bytes]:
        body = app(Request("GET", "/metrics", query, {})).body
        lines = (line.rpartition(b" ")[0] for line in body.splitlines())
        return [line for line in lines if line.startswith(b"DCGM_FI_DEV_POWER_USAGE{")]

    assert power({"collect[]": ["power"]}) == power({}) != []
    scraper.close()


def test_the_machines_name(monkeypatch: pytest.MonkeyPatch, families: list[Family]) -> None:
    """NODE_NAME is the host where it is set, as a pod's own name says nothing."""
    monkeypatch.setenv("NODE_NAME", "gpu-node-7")
    found = of_dcgm(compat.translator("dcgm")(families))["DCGM_FI_DEV_SM_CLOCK"]
    assert {key[5] for key in found.samples} == {"gpu-node-7"}


def test_documentation() -> None:
    """docs/compat.md is what the table says."""
    command = f"python -m agentaflow_exporter.compat.dcgm > {DOCUMENTATION}"
    assert documentation() == DOCUMENTATION.read_text(), f"run: {command}"
