"""Memory and SM time by process and by container, through the stub."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentaflow_exporter import metrics
from agentaflow_exporter.collector import Process, Sources
from agentaflow_exporter.collectors import NAMES
from agentaflow_exporter.collectors.container_usage import CONTAINER_MEMORY, CONTAINER_SM
from agentaflow_exporter.collectors.process_usage import (
    MOST_PROCESSES,
    PROCESS_INFO,
    PROCESS_MEMORY,
    PROCESS_SM,
)
from agentaflow_exporter.metric import Metric
from agentaflow_exporter.nvml import NvmlDriver
from agentaflow_exporter.scrape import Scraper
from agentaflow_exporter.settings import Settings
from agentaflow_exporter.usage import total
from tests.support.exporter_process import running
from tests.support.nvml_stub import NvmlStub
from tests.support.scraping import UUIDS, Seen

GPU = ("0", UUIDS[0])
COMPUTE = "0 nvmlDeviceGetComputeRunningProcesses_v3"
GRAPHICS = "0 nvmlDeviceGetGraphicsRunningProcesses_v3"
MPS = "0 nvmlDeviceGetMPSComputeRunningProcesses_v3"
UTILIZATION = "0 nvmlDeviceGetProcessUtilization"
GIB = 1 << 30
NOT_AVAILABLE = 2**64 - 1
TRAINER = Process("python3", "research", "trainer", "main")
PROCESSES = {1000: TRAINER, 1001: TRAINER, 1002: Process("ollama", unit="ollama.service")}


@pytest.fixture
def scraper(driver: NvmlDriver) -> Scraper:
    every = Settings(collectors=frozenset(NAMES))
    sources = Sources(process=lambda pid: PROCESSES.get(pid, Process()))
    return Scraper(driver, every, sources=sources)


def by_pid(seen: Seen, metric: Metric) -> dict[str, float]:
    return {key[2]: value for key, value in seen.families.get(metric, {}).items()}


def scraped(scraper: Scraper, stub: NvmlStub, *rules: str) -> Seen:
    stub.script("gpus 1", *rules)
    return Seen(scraper.scrape())


def test_off_by_default(driver: NvmlDriver, stub: NvmlStub) -> None:
    """Nothing by process is exported, nor asked for, unless somebody wants it."""
    stub.script("gpus 1", f"{COMPUTE} value 2")
    seen = Seen(Scraper(driver).scrape())
    usage = {m for m in seen.families if m.collector in ("process_usage", "container_usage")}
    assert usage == set()
    assert not any("ProcessUtilization" in call for call in stub.calls())


def test_processes(scraper: Scraper, stub: NvmlStub) -> None:
    """Each has its memory and, if it is busy, its SM time, and whose it is."""
    seen = scraped(scraper, stub, f"{COMPUTE} value 3", "0 memory:1 value 5000", "0 sm:0 value 37")
    assert by_pid(seen, PROCESS_MEMORY) == {"1000": GIB, "1001": 5000, "1002": GIB}
    assert by_pid(seen, PROCESS_SM) == {"1000": 0.37}
    assert set(seen.families[PROCESS_INFO]) == {
        (*GPU, "1000", *TRAINER),
        (*GPU, "1001", *TRAINER),
        (*GPU, "1002", "ollama", "", "", "", "ollama.service", ""),
    }


def test_containers(scraper: Scraper, stub: NvmlStub) -> None:
    """The sum of their processes; processes in none are left out."""
    rules = f"{COMPUTE} value 3", "0 memory:1 value 5000", "0 sm:0 value 37", "0 sm:1 value 70"
    seen = scraped(scraper, stub, *rules)
    labels = (*GPU, "research", "trainer", "main")
    assert seen.families[CONTAINER_MEMORY] == {labels: GIB + 5000}
    assert seen.families[CONTAINER_SM] == {labels: pytest.approx(1.07)}


def test_idle(scraper: Scraper, stub: NvmlStub) -> None:
    """A process without a sample since the last scrape has no SM time; an old one is no new one."""
    busy = f"{COMPUTE} value 1", "0 sm:0 value 37"
    seen = scraped(scraper, stub, *busy, "0 sampled:0 value 5000000")
    assert by_pid(seen, PROCESS_SM) == {"1000": 0.37}
    seen = scraped(scraper, stub, *busy, "0 sampled:0 value 5000000")
    assert by_pid(seen, PROCESS_SM) == {}
    assert by_pid(seen, PROCESS_MEMORY) == {"1000": GIB}
    seen = scraped(scraper, stub, *busy, "0 sampled:0 value 6000000")
    assert by_pid(seen, PROCESS_SM) == {"1000": 0.37}
    assert seen.value(metrics.COLLECTOR_SUCCESS, "process_usage") == 1


def test_several_samples(scraper: Scraper, stub: NvmlStub) -> None:
    """The last of a process counts, in whatever order they come."""
    rules = "0 pid:1 value 1000", "0 sm:0 value 20", "0 sm:1 value 60"
    times = "0 sampled:0 value 9000000", "0 sampled:1 value 8000000"
    seen = scraped(scraper, stub, f"{COMPUTE} value 1", *rules, *times)
    assert by_pid(seen, PROCESS_SM) == {"1000": 0.2}


def test_nonsense_for_a_percentage(scraper: Scraper, stub: NvmlStub) -> None:
    """It is no reading, of the process and of its container."""
    rules = "0 sm:0 value 4294967295", "0 sm:1 value 10"
    seen = scraped(scraper, stub, f"{COMPUTE} value 2", *rules)
    assert by_pid(seen, PROCESS_SM) == {"1001": 0.1}
    assert list(seen.families[CONTAINER_SM].values()) == [0.1]


def test_more_samples_than_room(scraper: Scraper, stub: NvmlStub) -> None:
    """However many processes are busy, all of them are seen."""
    rules = [f"0 sm:{number} value 1" for number in range(200)]
    seen = scraped(scraper, stub, f"{COMPUTE} value 200", *rules)
    assert len(by_pid(seen, PROCESS_SM)) == MOST_PROCESSES + 1
    assert sum(by_pid(seen, PROCESS_SM).values()) == pytest.approx(2)


def test_many_processes(scraper: Scraper, stub: NvmlStub) -> None:
    """Beyond the 64 with the most memory there is one row, so that the sum stays true."""
    rules = [f"0 memory:{number} value {number + 1}" for number in range(100)]
    seen = scraped(scraper, stub, f"{COMPUTE} value 100", *rules)
    memory = by_pid(seen, PROCESS_MEMORY)
    assert memory["other"] == sum(range(1, 37))
    assert memory["1099"] == 100
    assert sum(memory.values()) == sum(range(1, 101))
    assert len(memory) == MOST_PROCESSES + 1
    assert len(seen.families[PROCESS_INFO]) == MOST_PROCESSES


def test_a_process_in_several_lists(scraper: Scraper, stub: NvmlStub) -> None:
    """One that computes, draws and is a client of MPS has its memory once."""
    seen = scraped(scraper, stub, f"{COMPUTE} value 1", f"{GRAPHICS} value 2", f"{MPS} value 1")
    assert by_pid(seen, PROCESS_MEMORY) == {"1000": GIB, "1001": GIB}


def test_a_process_on_several_instances(scraper: Scraper, stub: NvmlStub) -> None:
    """With MIG its memory is the sum of what it has on each instance."""
    rules = "0 pid:1 value 1000", "0 instance:0 value 3", "0 instance:1 value 4"
    seen = scraped(scraper, stub, f"{COMPUTE} value 2", f"{GRAPHICS} value 1", *rules)
    assert by_pid(seen, PROCESS_MEMORY) == {"1000": 2 * GIB}


def test_processes_of_other_namespaces(scraper: Scraper, stub: NvmlStub) -> None:
    """NVML calls all of them 0: together they are one row, of nobody."""
    rules = "0 pid:0 value 0", "0 pid:1 value 0"
    seen = scraped(scraper, stub, f"{COMPUTE} value 2", *rules)
    assert by_pid(seen, PROCESS_MEMORY) == {"0": 2 * GIB}
    assert set(seen.families[PROCESS_INFO]) == {(*GPU, "0", *Process())}


def test_memory_that_is_not_available(scraper: Scraper, stub: NvmlStub) -> None:
    """Neither the process nor a sum with it has a number."""
    rules = f"0 memory:0 value {NOT_AVAILABLE}", "0 sm:0 value 5"
    seen = scraped(scraper, stub, f"{COMPUTE} value 2", *rules)
    assert by_pid(seen, PROCESS_MEMORY) == {"1001": GIB}
    assert by_pid(seen, PROCESS_SM) == {"1000": 0.05}
    assert CONTAINER_MEMORY not in seen.families


def test_old_drivers(scraper: Scraper, stub: NvmlStub) -> None:
    """Before R510 there is only version 2 of the lists."""
    rules = [f"{call} error 13" for call in (COMPUTE, GRAPHICS, MPS)]
    old = COMPUTE.replace("_v3", "_v2")
    assert by_pid(scraped(scraper, stub, *rules, f"{old} value 1"), PROCESS_MEMORY) == {"1000": GIB}


@pytest.mark.parametrize("code", [3, 13])
def test_unsupported_utilization(scraper: Scraper, stub: NvmlStub, code: int) -> None:
    """Memory is there without it, and nothing has failed."""
    seen = scraped(scraper, stub, f"{COMPUTE} value 1", f"{UTILIZATION} error {code}")
    assert by_pid(seen, PROCESS_MEMORY) == {"1000": GIB}
    assert by_pid(seen, PROCESS_SM) == {}
    assert seen.value(metrics.COLLECTOR_SUCCESS, "process_usage") == 1


def test_failed_utilization(scraper: Scraper, stub: NvmlStub) -> None:
    """An error costs the SM time and the collector's success, not the memory."""
    seen = scraped(scraper, stub, f"{COMPUTE} value 1", f"{UTILIZATION} error 4")
    assert by_pid(seen, PROCESS_MEMORY) == {"1000": GIB}
    assert seen.value(metrics.COLLECTOR_SUCCESS, "process_usage") == 0


def test_without_processes(scraper: Scraper, stub: NvmlStub) -> None:
    """A GPU without processes has no series, and is not asked what they do."""
    seen = scraped(scraper, stub)
    assert PROCESS_MEMORY not in seen.families
    assert not any("ProcessUtilization" in call for call in stub.calls())


@given(st.lists(st.none() | st.integers(0, 100)))
def test_totals(values: list[int | None]) -> None:
    """A sum is there only if each of its parts is."""
    whole = bool(values) and None not in values
    assert total(values) == (sum(v for v in values if v is not None) if whole else None)


def test_the_command(tmp_path: Path) -> None:
    """The exporter looks processes up where it is told to."""
    stub = NvmlStub(tmp_path)
    stub.script("gpus 1", f"{COMPUTE} value 1")
    proc, logs, container = tmp_path / "proc/1000", tmp_path / "logs", "ab" * 32
    proc.mkdir(parents=True)
    logs.mkdir()
    (proc / "stat").write_text(f"1000 (python3) S{' 1' * 49}\n")
    (proc / "cgroup").write_text(f"0::/kubepods/pod{'1' * 32}/{container}\n")
    (logs / f"trainer_research_main-{container}.log").touch()
    flags = [f"--path.procfs={proc.parent}", f"--path.container-logs={logs}"]
    flags += ["--collector.process_usage", "--collector.container_usage"]
    with running(tmp_path, *flags, environment=stub.environment()) as exporter:
        body = exporter.get().decode()
    gpu = f'gpu="0",uuid="{UUIDS[0]}"'
    whose = 'namespace="research",pod="trainer",container="main"'
    assert f"agentaflow_gpu_container_memory_bytes{{{gpu},{whose}}} {GIB}\n" in body
    assert f'{{{gpu},pid="1000",name="python3",{whose},unit="",slurm_job=""}} 1\n' in body
