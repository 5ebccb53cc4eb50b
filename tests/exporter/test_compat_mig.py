"""GPU instances under dcgm-exporter's names."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from agentaflow_exporter import compat
from agentaflow_exporter.collector import Pod, Sources
from agentaflow_exporter.driver import Number
from agentaflow_exporter.exposition import encode
from agentaflow_exporter.metric import Family
from agentaflow_exporter.nvml import NvmlDriver
from agentaflow_exporter.scrape import Scraper
from tests.support.nvml_stub import NvmlStub
from tests.support.scraping import UUIDS, Clock

HANDLE = "nvmlDeviceGetMigDeviceHandleByIndex"
MIG_UUID = "MIG-0000a100-5eed-4a6b-8c1d-0000000000{}"
# GPU 0: instance 1 with a device of all of its SMs, and 7 with two devices.
CUT = (
    "gpus 2",
    "0 nvmlDeviceGetMigMode value 1",
    "0 nvmlDeviceGetUtilizationRates error 3",
    "0 nvmlGpmMigSampleGet:1 value 1",
    "0 nvmlGpmMigSampleGet:7 value 1",
    *(f"0 {HANDLE}:{at} value {each}" for at, each in enumerate((10, 70, 71))),
)
Samples = Mapping[tuple[str, str], Number]  # by profile and instance


def scraped(driver: NvmlDriver, stub: NvmlStub, clock: Clock, *pods: Pod) -> list[Family]:
    """The second scrape of a GPU that is cut and of one that is not."""
    scraper = Scraper(driver, sources=Sources(pods=lambda: pods))
    for moment in (1000, 1010):
        stub.script(*CUT, f"time {moment}")
        clock.now = moment
        families = scraper.scrape()
    scraper.close()
    return compat.translator("dcgm", "node-a", own=False)(families)


def of_gpu(families: list[Family], name: str, gpu: str = "0") -> Samples:
    family = next((f for f in families if f.metric.name == f"DCGM_FI_{name}"), None)
    if family is None:
        return {}
    rows = (
        (dict(zip(family.metric.labels, labels, strict=True)), value)
        for labels, value in family.samples.items()
    )
    return {
        (row["GPU_I_PROFILE"], row["GPU_I_ID"]): value for row, value in rows if row["gpu"] == gpu
    }


@pytest.fixture
def families(driver: NvmlDriver, stub: NvmlStub, clock: Clock) -> list[Family]:
    return scraped(driver, stub, clock)


def test_memory(families: list[Family]) -> None:
    """Each instance has its own, the GPU as a whole none, and a GPU that is not cut no instance."""
    assert of_gpu(families, "DEV_FB_TOTAL") == {("3g.40gb", "1"): 40960, ("1g.10gb", "7"): 10240}
    assert of_gpu(families, "DEV_FB_USED") == {("3g.40gb", "1"): 1024, ("1g.10gb", "7"): 1024}
    assert of_gpu(families, "DEV_FB_FREE") == {("3g.40gb", "1"): 39936, ("1g.10gb", "7"): 9216}
    assert of_gpu(families, "DEV_FB_TOTAL", "1") == {("", ""): 81920}


def test_what_is_not_told_of_instances(families: list[Family]) -> None:
    """Is absent rather than the whole GPU's."""
    for name in ("DEV_FB_RESERVED", "DEV_FB_USED_PERCENT", "PROF_PIPE_TENSOR_HMMA_ACTIVE"):
        assert of_gpu(families, name) == {}
        assert len(of_gpu(families, name, "1")) == 1


def test_activity(families: list[Family]) -> None:
    """The ratios of DCGM's profiling fields are the instances'."""
    for name in ("GR_ENGINE_ACTIVE", "SM_ACTIVE", "DRAM_ACTIVE", "PIPE_TENSOR_ACTIVE"):
        found = of_gpu(families, f"PROF_{name}")
        assert {instance for _, instance in found} == {"1", "7"}
        assert all(0 <= value <= 1 for value in found.values())


def test_what_instances_share(families: list[Family]) -> None:
    """The whole GPU's reading is each instance's, as in dcgm-exporter."""
    found = of_gpu(families, "DEV_POWER_USAGE")
    assert {instance for _, instance in found} == {"1", "7"}
    assert len(set(found.values())) == 1
    assert of_gpu(families, "DEV_MIG_MODE") == {("3g.40gb", "1"): 1, ("1g.10gb", "7"): 1}
    assert of_gpu(families, "DEV_MIG_MODE", "1") == {("", ""): 0}


def test_golden_line(families: list[Family]) -> None:
    """The labels come after the model's name, in dcgm-exporter's order."""
    labels = (
        f'gpu="0",UUID="{UUIDS[0]}",pci_bus_id="00000000:17:00.0",device="nvidia0",'
        'modelName="NVIDIA H100 80GB HBM3",GPU_I_PROFILE="1g.10gb",GPU_I_ID="7",'
        'Hostname="node-a",DCGM_FI_DRIVER_VERSION="595.71.05",container="",namespace="",pod=""'
    )
    lines = encode(families, openmetrics=False).decode().splitlines()
    assert f"DCGM_FI_DEV_FB_TOTAL{{{labels}}} 10240" in lines


def test_pods(driver: NvmlDriver, stub: NvmlStub, clock: Clock) -> None:
    """An instance has the pods that hold one of its devices; one that nobody holds has none."""
    pods = [Pod(MIG_UUID.format(70), "a", "one", "c"), Pod(MIG_UUID.format(71), "a", "two", "c")]
    found = next(
        family
        for family in scraped(driver, stub, clock, *pods)
        if family.metric.name == "DCGM_FI_DEV_FB_USED"
    )
    instance, pod = (found.metric.labels.index(label) for label in ("GPU_I_ID", "pod"))
    holders = {(labels[instance], labels[pod]) for labels in found.samples if labels[0] == "0"}
    assert sorted(holders) == [("1", ""), ("7", "one"), ("7", "two")]


def test_a_part_of_an_instance(driver: NvmlDriver, stub: NvmlStub) -> None:
    """GPU_I_PROFILE is the GPU instance's, whatever its compute instances are."""
    scraper = Scraper(driver)
    stub.script(*CUT, "0 nvmlDeviceGetName:0 value NVIDIA H100 80GB HBM3 MIG 1c.3g.40gb")
    families = compat.translator("dcgm", "node-a")(scraper.scrape())
    scraper.close()
    assert set(of_gpu(families, "DEV_FB_USED")) == {("3g.40gb", "1"), ("1g.10gb", "7")}
