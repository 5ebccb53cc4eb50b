"""What the exporter says about its own process."""

from __future__ import annotations

import resource
import threading
import time
from pathlib import Path

from agentaflow_exporter import __version__, metrics
from agentaflow_exporter.selfmetrics import SelfMetrics

DESCRIPTORS = Path("/proc/self/fd")


def test_process() -> None:
    """CPU, memory, descriptors, threads and start are this process's."""
    found = {metric: (labels, value) for metric, labels, value in SelfMetrics().readings()}
    usage = resource.getrusage(resource.RUSAGE_SELF)
    assert abs(found[metrics.PROCESS_CPU][1] - usage.ru_utime - usage.ru_stime) < 0.5
    assert 5e6 < found[metrics.PROCESS_RESIDENT][1] <= usage.ru_maxrss * 1024
    assert found[metrics.PROCESS_THREADS][1] >= threading.active_count()
    assert found[metrics.PROCESS_FDS][1] in range(3, 1000)
    assert time.time() - 3600 < found[metrics.PROCESS_START][1] <= time.time() + 1
    assert found[metrics.BUILD_INFO][0][0] == __version__


def test_reading_leaves_nothing_open() -> None:
    """Reading does not cost a file descriptor."""
    own = SelfMetrics()
    before = len(list(DESCRIPTORS.iterdir()))
    for _ in range(100):
        own.readings()
    assert len(list(DESCRIPTORS.iterdir())) == before
