"""Whose metrics a real Prometheus has: those that are there, and those that were in the window."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentaflow_advisor.observe import Prometheus
from agentaflow_advisor.observe.detect import AUTO, Detected, detect
from tests.support.history import History, always, until
from tools.prometheus import PrometheusServer

HOUR = 3600
RECORDED = "c.(1) é|"


@pytest.fixture(scope="module")
def server(
    prometheus_binary: Path,  # noqa: ARG001 it skips where there is none
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[PrometheusServer, int]]:
    """Our exporter on two nodes until 2 h ago, nvidia_gpu_exporter on one of them since. Beside it
    a cluster of which rules record ours all the time, and where DCGM was until 2 h ago.
    """
    now = int(time.time())
    history = History(range(now - 12 * HOUR, now + 1, 60))
    for node in ("a", "b"):
        for index in range(4):
            gpu = {"node": node, "gpu": str(index), "uuid": f"GPU-{node}-{index}"}
            history.add("agentaflow_gpu_up", gpu, until(now - 2 * HOUR))
    for index in range(3):
        card = {"instance": "a:9835", "index": str(index), "uuid": f"GPU-a-{index}"}
        history.add("nvidia_smi_gpu_info", card, always(1))
    other = {"cluster": RECORDED, "gpu": "0", "uuid": "GPU-c-0"}
    history.add("agentaflow_gpu_up", other, always(1))
    history.add("DCGM_FI_DEV_GPU_UTIL", other, until(now - 2 * HOUR))
    steps = {"cluster": RECORDED, "exporter": "agentaflow", "step": "1h"}
    history.add("agentaflow:recorded_time:seconds", steps, always(now))
    folder = tmp_path_factory.mktemp("detect")
    blocks = history.write(folder / "history.om")
    with PrometheusServer(folder / "prometheus", blocks_from=blocks) as running:
        yield running, now


def found(server: tuple[PrometheusServer, int], window: float) -> Detected:
    with Prometheus(server[0].url) as prometheus:
        return detect(prometheus, AUTO, window_seconds=window, at=float(server[1]))


def names(detected: Detected) -> list[str]:
    return [dialect.name for dialect in detected.dialects]


def test_an_exporter_that_is_gone_is_found_in_its_window(
    server: tuple[PrometheusServer, int],
) -> None:
    """Its GPUs are counted as eight on each node; of one that is there all are counted."""
    detected = found(server, 12 * HOUR)
    assert names(detected) == ["agentaflow", "dcgm", "nvidia_gpu_exporter"]
    assert detected.found["agentaflow"].series == {"": 16.0, RECORDED: 1.0}
    assert detected.found["dcgm"].series == {RECORDED: 8.0}
    assert detected.found["nvidia_gpu_exporter"].series == {"": 3.0}


def test_it_is_not_found_after_its_window(server: tuple[PrometheusServer, int]) -> None:
    """An hour has nothing of it."""
    detected = found(server, HOUR)
    assert names(detected) == ["agentaflow", "nvidia_gpu_exporter"]
    assert detected.found["agentaflow"].series == {RECORDED: 1.0}


def test_the_window_is_not_asked_about_a_cluster_that_is_recorded_and_there(
    server: tuple[PrometheusServer, int],
) -> None:
    """Of DCGM it is: that one is not there now."""
    text = found(server, 12 * HOUR).queries[-1].promql
    ours, *others = (part for part in text.split("last_over_time") if "__name__" in part)
    assert "agentaflow_gpu_up" in ours
    assert "cluster!~" in ours
    assert not any("cluster!~" in other for other in others)
