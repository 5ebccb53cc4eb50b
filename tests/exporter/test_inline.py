"""Pods as labels of every series."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families as parse

from agentaflow_exporter import compat, metrics
from agentaflow_exporter.app import App
from agentaflow_exporter.attribution.inline import inlined
from agentaflow_exporter.collector import Pod, Sources
from agentaflow_exporter.collectors.info import DRIVER_INFO
from agentaflow_exporter.collectors.pods import POD_INFO
from agentaflow_exporter.collectors.power import POWER, POWER_LIMIT
from agentaflow_exporter.errors import SettingsError
from agentaflow_exporter.exposition import encode
from agentaflow_exporter.http1 import Request
from agentaflow_exporter.metric import Family, declare_gpu
from agentaflow_exporter.nvml import NvmlDriver
from agentaflow_exporter.scrape import Scraper
from agentaflow_exporter.settings import Settings, load
from tests.support.scraping import UUIDS

SHARED = [Pod(UUIDS[1], "research", "one", "main"), Pod(f"{UUIDS[1]}::1", "serving", "two", "main")]
OWNERS = {("research", "one", "main"), ("serving", "two", "main")}
PODS = ("namespace", "pod", "container")
MIG_MEMORY = declare_gpu("memory", "test_bytes", "Of an instance.", "gpu_instance", source="x")


@pytest.fixture
def scraper(driver: NvmlDriver) -> Iterator[Scraper]:
    scraper = Scraper(driver, sources=Sources(pods=lambda: SHARED))
    yield scraper
    scraper.close()


def by_name(families: list[Family]) -> dict[str, Family]:
    return {family.metric.name: family for family in families}


def test_every_series_of_a_gpu(scraper: Scraper) -> None:
    """Whatever has the labels gpu and uuid gets those of the pods; all else stays as it is."""
    plain = scraper.scrape()
    labelled = by_name(inlined(plain))
    for family in plain:
        after = labelled[family.metric.name]
        if family.metric.labels[:2] == ("gpu", "uuid") and family.metric is not POD_INFO:
            assert after.metric.labels == family.metric.labels + PODS
            assert {labels[:-3] for labels in after.samples} == set(family.samples)
        else:
            assert after == family
    assert labelled[metrics.GPU_UP.name].metric.labels == ("gpu", "uuid", *PODS)
    assert labelled[DRIVER_INFO.name].metric is DRIVER_INFO


def test_a_shared_gpu(scraper: Scraper) -> None:
    """One series for each holder, all with the GPU's value; without a holder, empty labels."""
    plain = scraper.scrape()
    power = by_name(inlined(plain))[POWER.name].samples
    value = by_name(plain)[POWER.name].samples[("1", UUIDS[1])]
    assert {k[2:]: v for k, v in power.items() if k[0] == "1"} == dict.fromkeys(OWNERS, value)
    assert {k[2:] for k in power if k[0] != "1"} == {("", "", "")}
    assert len(power) == 9


def test_an_instance_is_its_own_holders(scraper: Scraper) -> None:
    """A series of a MIG instance has that instance' holders, one of the GPU all of them."""
    del scraper
    gpu = ("0", UUIDS[0])
    families = inlined(
        [
            Family(POWER, {gpu: 100}),
            Family(MIG_MEMORY, {(*gpu, "1"): 10, (*gpu, "2"): 20, (*gpu, "3"): 30}),
            Family(
                POD_INFO,
                {(*gpu, "a", "one", "c", "1"): 1, (*gpu, "a", "two", "c", "2"): 1},
            ),
        ]
    )
    assert families[1].samples == {
        (*gpu, "1", "a", "one", "c"): 10,
        (*gpu, "2", "a", "two", "c"): 20,
        (*gpu, "3", "", "", ""): 30,
    }
    assert {key[2:] for key in families[0].samples} == {("a", "one", "c"), ("a", "two", "c")}


def test_one_pod_with_two_instances() -> None:
    """It holds the GPU once: no series is there twice."""
    gpu = ("0", UUIDS[0])
    holders: dict[tuple[str, ...], int] = {(*gpu, "a", "one", "c", i): 1 for i in "12"}
    families = inlined([Family(POWER, {gpu: 100}), Family(POD_INFO, holders)])
    assert families[0].samples == {(*gpu, "a", "one", "c"): 100}
    assert families[1].samples == holders


@pytest.mark.parametrize("name", compat.NAMES)
def test_beside_dcgms_names(scraper: Scraper, name: str) -> None:
    """Series that have pods already are left alone, and are the same as without."""
    both = compat.translator(name, "node-a", own=True)(scraper.scrape())
    labelled = inlined(both)
    theirs = [family for family in both if family.metric.name.startswith("DCGM_")]
    assert len(theirs) > 40
    assert [f for f in labelled if f.metric.name.startswith("DCGM_")] == theirs
    text = encode(labelled, openmetrics=False).decode()
    assert 'agentaflow_gpu_power_watts{gpu="1",uuid="' in text
    for family in parse(text):
        series = [(s.name, tuple(sorted(s.labels.items()))) for s in family.samples]
        assert len(set(series)) == len(series)


HOLDER = st.tuples(*[st.sampled_from(["", "a", "b"])] * 4)
DEVICE = st.sampled_from([(str(gpu), UUIDS[gpu]) for gpu in range(3)])


@given(
    st.dictionaries(DEVICE, st.integers(0, 1000)),
    st.dictionaries(st.tuples(DEVICE, HOLDER), st.just(1)),
)
def test_values_and_counts(
    power: dict[tuple[str, ...], int], held: dict[tuple[tuple[str, ...], tuple[str, ...]], int]
) -> None:
    """Every GPU keeps its value, and has as many series as different holders, or one."""
    rows = {(*gpu, *holder): 1 for gpu, holder in held}
    labelled, info = inlined([Family(POWER, power), Family(POD_INFO, rows)])
    assert info.samples == rows
    for gpu, value in power.items():
        of_gpu = {labels[2:]: v for labels, v in labelled.samples.items() if labels[:2] == gpu}
        assert of_gpu.keys() == ({row[2:5] for row in rows if row[:2] == gpu} or {("", "", "")})
        assert set(of_gpu.values()) == {value}
    assert len({labels[:2] for labels in labelled.samples}) == len(power)


@pytest.mark.parametrize("chosen", ["", "collect[]=power"])
def test_over_http(scraper: Scraper, chosen: str) -> None:
    """The labels do not depend on which collectors a scrape asks for."""
    app = App(scraper, Settings(pod_labels="inline"))
    response = app(Request("GET", "/metrics", {"collect[]": ["power"]} if chosen else {}, {}))
    lines = response.body.decode().splitlines()
    limit = [line for line in lines if line.startswith(f'{POWER_LIMIT.name}{{gpu="1"')]
    assert any('namespace="serving",pod="two",container="main"' in line for line in limit)


def test_join_is_the_default(scraper: Scraper) -> None:
    """Without the setting no series of a reading knows of pods."""
    response = App(scraper, Settings())(Request("GET", "/metrics", {}, {}))
    for line in response.body.decode().splitlines():
        assert "pod=" not in line or line.startswith(POD_INFO.name)


def test_inline_needs_pods() -> None:
    """Labels of pods without the collector of pods would be empty throughout."""
    assert load({"attribution.labels": "inline"}, {}, None).pod_labels == "inline"
    with pytest.raises(SettingsError, match="leave --collector"):
        load({"attribution.labels": "inline", "collector.pods": False}, {}, None)
