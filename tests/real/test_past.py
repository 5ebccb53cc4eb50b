"""A cluster's own past from a real API server by way of kube-state-metrics' series."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from agentaflow_advisor.model import Past, PodRun, Refusal
from agentaflow_advisor.observe import Prometheus
from agentaflow_advisor.observe.past import WITHOUT_STATE, past
from tests.support.cli import Cli
from tests.support.history import History, always, until
from tests.support.kube_state_metrics import kube_state_metrics
from tools.control_plane import ControlPlane
from tools.processes import eventually
from tools.prometheus import PrometheusServer

NAME = "past"
NODE = f"{NAME}-gpu"
WINDOW = 300.0
PODS = f"/api/v1/namespaces/{NAME}/pods"


def pod(name: str, gpus: int, *, cores: int = 2, on: str = "") -> dict[str, Any]:
    """One that only this node may run; with `on`, bound at once."""
    asks = {"cpu": str(cores), "memory": "4Gi"}
    asks |= {"nvidia.com/gpu": str(gpus)} if gpus else {}
    container = {"name": "main", "image": "x.test/none"}
    container["resources"] = {"requests": asks, "limits": asks}  # type: ignore[assignment]
    spec = {"containers": [container], "terminationGracePeriodSeconds": 0}
    spec |= {"nodeName": on} if on else {"nodeSelector": {"kubernetes.io/hostname": NODE}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAME},
        "spec": spec,
    }


def running(cluster: ControlPlane, name: str) -> bool:
    return bool(cluster.must("GET", f"{PODS}/{name}")["status"].get("phase") == "Running")


@pytest.fixture(scope="module")
def lived(
    cluster: ControlPlane,
    prometheus_binary: Path,  # noqa: ARG001 it skips where there is none
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[PrometheusServer, float]]:
    """Of 8 GPUs 4 are held, 4 were until their pod went, 6 are asked for in vain; a web pod."""
    cluster.add_node(NODE, gpus=8)
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAME}}
    cluster.must("POST", "/api/v1/namespaces", namespace)
    account = f"/api/v1/namespaces/{NAME}/serviceaccounts/default"
    eventually(lambda: cluster.request("GET", account)[0] == 200, what=account)
    with kube_state_metrics(cluster) as address:
        target = (address, {"namespace": "monitoring", "pod": "ksm-0", "cluster": "c"})
        folder = tmp_path_factory.mktemp("prometheus")
        with PrometheusServer(folder, targets=[target]) as prometheus:
            for name, gpus in (("stays", 4), ("goes", 4)):
                cluster.must("POST", PODS, pod(name, gpus))
            cluster.must("POST", PODS, pod("web", 0, on=NODE))
            eventually(lambda: all(running(cluster, n) for n in ("stays", "goes", "web")), what="3")
            cluster.must("POST", PODS, pod("waits", 6))
            told = 'count(kube_pod_status_phase{phase="Running"} == 1 and on (uid) kube_pod_info'
            prometheus.wait_for(f'{told}{{exported_namespace="{NAME}"}}) == 3')
            prometheus.wait_for(
                f'kube_pod_info{{exported_pod="waits", exported_namespace="{NAME}"}}'
            )
            cluster.must("DELETE", f"{PODS}/goes?gracePeriodSeconds=0")
            gone = f'absent(kube_pod_info{{exported_pod="goes", exported_namespace="{NAME}"}})'
            (sample,) = prometheus.wait_for(gone)
            later = float(sample["value"][0]) + 3
            prometheus.wait_for(f"vector(time()) > {later}")
            (now,) = prometheus.query("vector(time())")
            yield prometheus, float(now["value"][1])


@pytest.fixture(scope="module")
def told(lived: tuple[PrometheusServer, float]) -> tuple[Past, tuple[Refusal, ...]]:
    server, now = lived
    with Prometheus(server.url) as prometheus:
        return past(prometheus, window_seconds=WINDOW, at=now)


@pytest.fixture
def runs(told: tuple[Past, tuple[Refusal, ...]]) -> Mapping[str, PodRun]:
    return {run.name: run for run in told[0].runs if run.namespace == NAME}


def test_pods_are_told_with_what_they_asked_for(runs: Mapping[str, PodRun]) -> None:
    """By their own names, not those of the pod of kube-state-metrics; one without GPUs too."""
    assert set(runs) == {"stays", "goes", "waits", "web"}
    assert {name: run.gpus for name, run in runs.items()} == {
        "stays": 4, "goes": 4, "waits": 6, "web": 0
    }  # fmt: skip
    assert {run.cluster for run in runs.values()} == {"c"}
    assert (runs["web"].cpu_cores, runs["web"].memory_bytes) == (2.0, 4 * 2.0**30)


def test_who_is_there_who_left_and_who_waits(
    runs: Mapping[str, PodRun], lived: tuple[PrometheusServer, float]
) -> None:
    """Only what left has an end, within the window; only what was bound has a start and a node."""
    now = lived[1]
    assert [runs[name].ended_at for name in ("stays", "waits", "web")] == [None] * 3
    ended = runs["goes"].ended_at
    assert ended is not None
    assert now - WINDOW < ended < now
    assert {name for name, run in runs.items() if run.started_at is None} == {"waits"}
    assert {name: run.node for name, run in runs.items()} == {
        "stays": NODE, "goes": NODE, "waits": "", "web": NODE
    }  # fmt: skip
    for run in runs.values():
        assert now - WINDOW < run.created_at < now
        assert run.started_at is None or run.started_at >= run.created_at - 1


def test_what_if_reads_it(
    lived: tuple[PrometheusServer, float], capsys: pytest.CaptureFixture[str]
) -> None:
    """Three pods with GPUs on the one node; the one that waits would run once room is there."""
    where = ("--prometheus-url", lived[0].url, "--window", "5m", "--cluster", "c")
    ran = Cli(capsys)("what-if", *where, "--strategy=best_fit", "--jobs=1", "-o", "json")
    assert ran.code == 0, ran.err
    assert ran.json["size"]["pods"] >= 3
    assert ran.json["assumed_durations"] >= 1
    assert ran.json["more_gpus"]["best_fit"] > -0.05


def test_nodes_are_told_with_what_they_had(told: tuple[Past, tuple[Refusal, ...]]) -> None:
    """The same that the API server says is allocatable."""
    (node,) = (node for node in told[0].nodes if node.name == NODE)
    assert (node.gpus, node.cpu_cores, node.memory_bytes) == (8, 192.0, 2048 * 2.0**30)
    assert told[1] == ()


def test_without_kube_state_metrics_holders_are_what_is_known(
    prometheus_binary: Path,  # noqa: ARG001 it skips where there is none
    tmp_path: Path,
) -> None:
    """Who held GPUs, how many and how long; that the rest is not told is said."""
    now = int(time.time())
    history = History(range(now - 3600, now + 1, 15))
    for index in range(4):
        gpu = {"instance": "n", "node": "n", "gpu": str(index), "uuid": f"GPU-{index}"}
        pod_name = "train" if index < 3 else "gone"
        holder = {"namespace": "a", "pod": pod_name, "container": "main"}
        held = always(1) if index < 3 else until(now - 1800)
        history.add("agentaflow_gpu_pod_info", {**gpu, **holder}, held)
    blocks = history.write(tmp_path / "history.om")
    with (
        PrometheusServer(tmp_path / "prometheus", blocks_from=blocks) as server,
        Prometheus(server.url) as prometheus,
    ):
        found, refused = past(prometheus, window_seconds=3500.0, at=float(now))
    by_name = {run.name: run for run in found.runs}
    assert {name: run.gpus for name, run in by_name.items()} == {"train": 3, "gone": 1}
    assert by_name["train"].ended_at is None
    assert by_name["gone"].ended_at == pytest.approx(now - 1800, abs=330)
    assert refused == (Refusal("history", WITHOUT_STATE),)
