"""`agentaflow what-if` over a real Prometheus that holds a day as kube-state-metrics tells it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import Cli
from tests.support.dask_workers import dask_workers
from tests.support.history import History, Value, always
from tools.prometheus import PrometheusServer

HOUR = 3600
STEP = 60


def between(start: float, end: float, value: float = 1.0) -> Value:
    return lambda at: value if start <= at <= end else None


def pod(past: History, name: str, gpus: int, created: int, started: int, ended: int) -> None:
    """Seconds since the beginning of the past; one that ends at 8 h still runs."""
    created, started, ended = (past.times[0] + at for at in (created, started, ended))
    node = "n1" if name == "small-1" else "n0"
    own = {"uid": f"uid-{name}", "namespace": "ml", "pod": name}
    if started > created:
        past.add("kube_pod_info", {**own, "node": ""}, between(created, started - STEP))
    past.add("kube_pod_info", {**own, "node": node}, between(started, ended))
    past.add("kube_pod_created", own, between(created, ended, created))
    past.add("kube_pod_status_scheduled_time", own, between(started, ended, started))
    past.add("kube_pod_status_phase", {**own, "phase": "Running"}, between(started, ended))
    for resource, amount in (("nvidia_com_gpu", gpus), ("cpu", 4), ("memory", 2**30)):
        labels = {**own, "container": "main", "resource": resource}
        past.add("kube_pod_container_resource_requests", labels, between(created, ended, amount))


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(capsys)


@pytest.fixture(scope="module")
def server(
    prometheus_binary: Path,  # noqa: ARG001 it skips where there is none
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[PrometheusServer]:
    """Two pods of 2 GPUs on a node each, for 6 h; one of 8 GPUs came after 1 h and had to wait."""
    folder = tmp_path_factory.mktemp("whatif")
    end = int(time.time()) // 60 * 60 - 60  # now, not when the file was collected
    past = History(range(end - 8 * HOUR, end + 1, STEP))
    for node in ("n0", "n1"):
        has: Mapping[str, float] = {"nvidia_com_gpu": 8, "cpu": 64, "memory": 2.0**38}
        for resource, amount in has.items():
            labels = {"node": node, "resource": resource}
            past.add("kube_node_status_allocatable", labels, always(amount))
    for number in range(2):
        pod(past, f"small-{number}", 2, 600, 600, 6 * HOUR)
    pod(past, "big", 8, HOUR, 6 * HOUR + 60, 8 * HOUR)
    blocks = past.write(folder / "history.om")
    with PrometheusServer(folder / "prometheus", blocks_from=blocks) as running:
        yield running


def test_the_gpus_that_would_have_run_more(cli: Cli, server: PrometheusServer) -> None:
    """By hand: 8 GPUs five hours earlier are 5 of 8 h x 8 GPUs, some 5 GPUs on the mean."""
    ran = cli(
        *("what-if", "--prometheus-url", server.url, "--window", "8h", "--jobs", "1"),
        *("--strategy", "fragmentation", "--strategy", "least_utilized", "-o", "json"),
    )
    assert ran.code == 0, ran.err
    told = ran.json
    assert told["size"] == {"pods": 3, "nodes": 2, "gpus": 16}
    assert told["more_gpus"]["fragmentation"] == pytest.approx(5 * 8 / 8, abs=0.15)
    assert told["more_gpus"]["least_utilized"] == pytest.approx(0.0, abs=0.15)
    assert told["really"]["waited_max_seconds"] == pytest.approx(5 * HOUR + 60, abs=1)
    (packed, spread) = told["outcomes"]
    assert packed["overall"]["waited_max_seconds"]["mean"] == 0.0
    assert spread["overall"]["waited_max_seconds"]["mean"] == pytest.approx(5 * HOUR, abs=400)
    assert (told["assumed_durations"], told["unfinished"]) == (0, 1)


def test_workers_of_dask_give_the_same_figures(
    cli: Cli, server: PrometheusServer, tmp_path: Path
) -> None:
    """The past is read here and placed there; the window moves on between the two looks."""
    asked = ("what-if", "--prometheus-url", server.url, "--window", "8h", "-o", "json")
    here = cli(*asked, "--jobs", "1").json
    with dask_workers(tmp_path) as address:
        ran = cli(*asked, "--dask", address)
    assert ran.code == 0, ran.err
    assert ran.json["size"] == here["size"]
    there = means(ran.json)
    assert set(there) == {"least_waste", "fragmentation", "best_fit"}
    for strategy, figures in means(here).items():
        assert there[strategy] == pytest.approx(figures, rel=0.01)


def means(told: Any) -> dict[str, dict[str, float]]:
    """Every figure's mean over the seeds, by strategy."""
    return {
        one["strategy"]: {name: spread["mean"] for name, spread in one["overall"].items()}
        for one in told["outcomes"]
    }


def test_the_sentence_that_says_it(cli: Cli, server: PrometheusServer) -> None:
    """The row of what really was, one for each strategy, and the bottom line."""
    ran = cli("what-if", "--prometheus-url", server.url, "--window", "8h", "--jobs", "1")
    assert ran.code == 0, ran.err
    lines = ran.out.splitlines()
    assert lines[1].startswith("as it was")
    assert any(line.startswith("With ") and "more GPUs' worth of pods" in line for line in lines)
    assert "Not known: node selectors" in ran.out


def test_without_kube_state_metrics(cli: Cli, prometheus_binary: Path, tmp_path: Path) -> None:
    """One line that says what to scrape."""
    assert prometheus_binary
    with PrometheusServer(tmp_path / "empty") as empty:
        ran = cli("what-if", "--prometheus-url", empty.url)
    assert ran.code == 3
    assert "kube-state-metrics" in ran.err
    assert ran.err.count("\n") == 1
