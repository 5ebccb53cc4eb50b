"""The golden /metrics: two GPUs of the stub at a time that stands still.

python -m tests.support.golden_metrics > tests/exporter/golden/metrics.txt
"""

from __future__ import annotations

import sys

from agentaflow_exporter.collector import Pod, Process, Sources
from agentaflow_exporter.collectors import NAMES
from agentaflow_exporter.exposition import encode
from agentaflow_exporter.metric import Family
from agentaflow_exporter.metrics import BUILD_INFO, COLLECTOR_DURATION, SCRAPE_DURATION
from agentaflow_exporter.nvml import NvmlDriver
from agentaflow_exporter.scrape import Scraper
from agentaflow_exporter.settings import Settings
from agentaflow_exporter.xids import Tally
from tests.support.nvml_stub import in_process_stub
from tests.support.scraping import UUIDS, Clock

_OTHERS = (
    "1 nvmlDeviceGetMigMode value 1",
    "1 nvmlDeviceGetMigDeviceHandleByIndex:0 value 70",
    "1 nvmlGpmMigSampleGet:7 value 1",
    "1 nvmlDeviceGetGridLicensableFeatures_v4 value 1",
    *(f"1 nvmlDeviceGetFieldValues:{i} value 1" for i in (91, 201, 203, 231)),
)
_SCRIPT = (
    "gpus 2",
    "1 nvmlDeviceGetFieldValues:82 error 3",
    "1 nvmlDeviceGetComputeRunningProcesses_v3 value 2",
    "1 sm:0 value 37",
    "1 nvmlDeviceGetDecoderUtilization error 10",
    "1 nvmlDeviceGetPerformanceState value 32",
    "1 nvmlDeviceGetNumFans value 1",
    "1 nvmlDeviceGetFieldValues:29 value 0",
    "1 nvmlDeviceGetFieldValues:31 value 0",
    "1 nvmlDeviceGetFieldValues:170 value 1",
    "1 nvmlDeviceGetFieldValues:171 value 1",
    *_OTHERS,
    *(f"1 nvmlGpmMetricsGet:{i} value {i}" for i in (100, 101, 102, 103)),
)
_SECONDS = 1_000_000
_INTERVAL_SECONDS = 10

_PROCESSES = {
    1000: Process("python3", "research", "notebook", "main"),
    1001: Process("ollama", unit="ollama.service"),
}


def golden_metrics() -> str:
    """Of the second scrape. Values that differ from run to run are 0."""
    stub, clock = in_process_stub(), Clock()
    pods = [Pod(UUIDS[1], "research", "notebook", "main")]
    xids = Tally((48, 79))
    xids.watch(UUIDS[0])
    xids.count(UUIDS[1], 79, 1_700_000_000.5)
    sources = Sources(
        pods=lambda: pods,
        expected=lambda: 3,
        xids=lambda: xids.xids(overruns=0),
        process=lambda pid: _PROCESSES[pid],
        clock=clock,
    )
    every = Settings(collectors=frozenset(NAMES))
    scraper = Scraper(NvmlDriver(clock), every, sources=sources)
    stub.script(*_SCRIPT, f"time {_SECONDS - _INTERVAL_SECONDS}")
    scraper.scrape()
    clock.now += _INTERVAL_SECONDS
    stub.script(*_SCRIPT, f"time {_SECONDS}")
    families = [_still(family) for family in scraper.scrape() if family.metric is not BUILD_INFO]
    scraper.close()
    stub.script()
    return encode(families, openmetrics=False).decode()


def _still(family: Family) -> Family:
    changes = family.metric in (SCRAPE_DURATION, COLLECTOR_DURATION)
    if not changes and not family.metric.name.startswith("process_"):
        return family
    return Family(family.metric, dict.fromkeys(family.samples, 0))


if __name__ == "__main__":
    sys.stdout.write(golden_metrics())
