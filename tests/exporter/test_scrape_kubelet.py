"""Scrapes with a kubelet to ask: in good times, when it hangs, and when GPUs do."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentaflow_exporter import metrics
from agentaflow_exporter.attribution.kubelet import LONGEST_SECONDS, KubeletPods
from agentaflow_exporter.collector import Pod, Sources
from agentaflow_exporter.collectors import pods
from agentaflow_exporter.collectors.expected import GPU_EXPECTED
from agentaflow_exporter.collectors.info import DRIVER_INFO
from agentaflow_exporter.collectors.pods import POD_INFO
from agentaflow_exporter.log import Log
from agentaflow_exporter.nvml import NvmlDriver
from agentaflow_exporter.passes import NodePass, Question
from agentaflow_exporter.scrape import Scraper
from agentaflow_exporter.settings import Settings
from tests.support.fake_kubelet import FakeKubelet, pod, short_folder
from tests.support.nvml_stub import NvmlStub
from tests.support.scraping import UUIDS, Seen
from tools.processes import eventually

MARGIN_SECONDS = 0.5
SHORT_SECONDS = 0.6
WITHOUT_PODS = tuple(name for name in Settings().collectors if name != "pods")


@pytest.fixture
def path() -> Iterator[Path]:
    with short_folder() as folder:
        yield folder / "kubelet.sock"


@pytest.fixture
def kubelet(path: Path) -> Iterator[FakeKubelet]:
    held = (pod("notebook", f"{UUIDS[0]}::1"), pod("train", f"{UUIDS[0]}::0", "nvidia2"))
    with FakeKubelet(path, *held) as kubelet:
        yield kubelet


@pytest.fixture
def log() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def scraper(driver: NvmlDriver, stub: NvmlStub, path: Path, log: io.StringIO) -> Iterator[Scraper]:
    source = KubeletPods(path)
    sources = Sources(pods=source, expected=lambda: 8)
    scraper = Scraper(driver, sources=sources, log=Log("info", stream=log))
    yield scraper
    stub.script()
    eventually(lambda: not scraper.hangs())
    scraper.close()
    source.close()


HOLDERS = {
    ("0", UUIDS[0], "research", "notebook", "main", ""),
    ("0", UUIDS[0], "research", "train", "main", ""),
    ("2", UUIDS[2], "research", "train", "main", ""),
}


def holders(seen: Seen) -> set[tuple[str, ...]]:
    return set(seen.families.get(POD_INFO, {}))


def timed(scraper: Scraper, seconds: float = 5.0) -> tuple[Seen, float]:
    started = time.monotonic()
    seen = Seen(scraper.scrape(seconds))
    return seen, time.monotonic() - started


def misses_only_pods(seen: Seen) -> bool:
    success = {name: value for (name,), value in seen.families[metrics.COLLECTOR_SUCCESS].items()}
    return (
        success == {**dict.fromkeys(WITHOUT_PODS, 1), "pods": 0}
        and POD_INFO not in seen.families
        and {DRIVER_INFO, GPU_EXPECTED} <= seen.families.keys()
        and all(len(seen.readings(gpu)) > 50 for gpu in range(8))
    )


def test_pods_of_a_kubelet(scraper: Scraper, kubelet: FakeKubelet) -> None:
    """Each holder of each GPU is a series, with its device id resolved."""
    seen = Seen(scraper.scrape())
    assert holders(seen) == HOLDERS
    assert seen.value(metrics.COLLECTOR_SUCCESS, "pods") == 1
    assert kubelet.asked == 1


def test_replicas_of_one_gpu(scraper: Scraper, kubelet: FakeKubelet) -> None:
    """A container with two shares of a GPU holds it once."""
    kubelet.pods = [pod("greedy", f"{UUIDS[1]}::0", f"{UUIDS[1]}::3")]
    assert holders(Seen(scraper.scrape())) == {("1", UUIDS[1], "research", "greedy", "main", "")}


def test_nobody_asks_for_pods(scraper: Scraper, kubelet: FakeKubelet) -> None:
    """A scrape of other collectors leaves the kubelet alone."""
    scraper.scrape(only=frozenset({"power", "info"}))
    assert kubelet.asked == 0


def test_hanging_kubelet(scraper: Scraper, kubelet: FakeKubelet) -> None:
    """It costs a second and the pods, and no other series of a GPU or of the machine."""
    kubelet.may_answer.clear()
    seen, seconds = timed(scraper)
    assert seconds < LONGEST_SECONDS + MARGIN_SECONDS
    assert misses_only_pods(seen)
    duration = seen.value(metrics.COLLECTOR_DURATION, "pods")
    assert duration is not None
    assert duration > LONGEST_SECONDS / 2
    kubelet.may_answer.set()
    assert holders(Seen(scraper.scrape())) == HOLDERS


def test_hanging_kubelet_and_a_short_deadline(scraper: Scraper, kubelet: FakeKubelet) -> None:
    """A scrape that must be over sooner is, with all but the pods; what comes after it, too.

    An answer to the question of an earlier scrape is not taken for this one's.
    """
    kubelet.may_answer.clear()
    seen, seconds = timed(scraper, SHORT_SECONDS)
    assert seconds < SHORT_SECONDS + MARGIN_SECONDS
    assert misses_only_pods(seen)
    assert misses_only_pods(timed(scraper, SHORT_SECONDS)[0])
    kubelet.may_answer.set()
    eventually(lambda: holders(timed(scraper, SHORT_SECONDS)[0]) == HOLDERS)


def test_hanging_kubelet_and_a_hanging_gpu(
    scraper: Scraper, kubelet: FakeKubelet, stub: NvmlStub
) -> None:
    """Neither holds up the other GPUs, nor the machine's own series."""
    kubelet.may_answer.clear()
    stub.script("2 nvmlDeviceGetPowerUsage delay 60")
    seen, seconds = timed(scraper, SHORT_SECONDS)
    assert seconds < SHORT_SECONDS + MARGIN_SECONDS
    assert seen.value(metrics.GPU_UP, "2", UUIDS[2]) == 0
    assert DRIVER_INFO in seen.families
    assert all(len(seen.readings(gpu)) > 50 for gpu in (0, 1, 3, 7))


def test_hanging_gpu(scraper: Scraper, kubelet: FakeKubelet, stub: NvmlStub) -> None:
    """A GPU that hangs keeps its pods, whatever it is called, if it ever told its number."""
    scraper.scrape()
    stub.script("2 nvmlDeviceGetPowerUsage delay 60")
    kubelet.pods = [pod("train", "nvidia2")]
    seen, _ = timed(scraper, SHORT_SECONDS)
    assert seen.value(metrics.GPU_UP, "2", UUIDS[2]) == 0
    assert holders(seen) == {("2", UUIDS[2], "research", "train", "main", "")}


def test_lost_gpu(scraper: Scraper, kubelet: FakeKubelet, stub: NvmlStub) -> None:
    """The pods of a lost GPU are known by its last uuid: they are who is hit."""
    scraper.scrape()
    kubelet.pods = [pod("train", "nvidia2")]
    stub.script("2 * error 15")
    for _ in range(3):
        seen = Seen(scraper.scrape())
        assert holders(seen) == {("2", UUIDS[2], "research", "train", "main", "")}


def test_no_driver(scraper: Scraper, kubelet: FakeKubelet, stub: NvmlStub) -> None:
    """Without the driver the kubelet still tells who holds the GPUs that are known."""
    scraper.scrape()
    stub.script("- nvmlDeviceGetCount_v2 error 9")
    seen = Seen(scraper.scrape())
    assert seen.value(metrics.DRIVER_UP) == 0
    assert holders(seen) == HOLDERS
    assert seen.value(metrics.COLLECTOR_SUCCESS, "pods") == 1
    assert seen.value(metrics.COLLECTOR_SUCCESS, "power") == 0
    assert kubelet.asked == 2


def test_a_number_that_is_not_told(scraper: Scraper, kubelet: FakeKubelet, stub: NvmlStub) -> None:
    """Without minor numbers what is named by them is nobody's, rather than the index' GPU."""
    stub.script("* nvmlDeviceGetMinorNumber error 3")
    seen = Seen(scraper.scrape())
    assert holders(seen) == {row for row in HOLDERS if row[0] == "0"}
    assert kubelet.asked == 1


def test_failure_is_logged_once(scraper: Scraper, path: Path, log: io.StringIO) -> None:
    """And its end: the kubelet may come later than the exporter."""
    for _ in range(3):
        assert misses_only_pods(Seen(scraper.scrape()))
    with FakeKubelet(path):
        assert POD_INFO not in Seen(scraper.scrape()).families
    lines = [line for line in log.getvalue().splitlines() if "collector=pods" in line]
    assert len(lines) == 2
    assert "No such file or directory: is it running" in lines[0]
    assert "collector works again" in lines[1]


def test_mig_devices(driver: NvmlDriver) -> None:
    """Where the MIG devices are known, their holders are those of the instance alone."""
    devices = ("MIG-c7384736-a75d-5afc-978f-d2f1294409fd", "gpu-1-mig-1g10gb-19-0")
    instances = {devices[0]: (UUIDS[0], "7"), f"{UUIDS[1]}/19-0": (UUIDS[1], "9")}
    sources = Sources(pods=lambda: [Pod(device, "a", "b", "c") for device in devices])
    question = Question(lambda sources: sources.pods(), sources)
    question.run()
    node = NodePass(
        driver,
        True,
        [("0", UUIDS[0]), ("1", UUIDS[1])],
        sources,
        [pods.COLLECTOR],
        minors={UUIDS[1]: "1"},
        mig=instances,
        questions={"pods": question},
    )
    node.run()
    assert [labels for _, labels, _ in node.readings] == [
        ("0", UUIDS[0], "a", "b", "c", "7"),
        ("1", UUIDS[1], "a", "b", "c", "9"),
    ]
