"""GPUs that nobody can use, stranded or held by a ghost, on a real API server and Prometheus."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import Cli
from tests.support.history import History, always
from tools.control_plane import ControlPlane
from tools.processes import eventually
from tools.prometheus import PrometheusServer

NAME = "waste"
NODE = f"{NAME}-node"
HOUR = 3600
GPUS = 8
TRAINER, GHOST = 0, 7  # indices of the GPUs that pods hold


def bound(name: str, **requests: str) -> dict[str, Any]:
    resources = {"requests": requests, "limits": requests}
    container = {"name": "main", "image": "example.test/none", "resources": resources}
    spec = {"nodeName": NODE, "containers": [container], "terminationGracePeriodSeconds": 0}
    metadata = {"name": name, "namespace": NAME}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


@pytest.fixture(scope="module")
def seen_by_kubernetes(own_cluster: ControlPlane) -> ControlPlane:
    """A node of 192 cores: a training pod with a GPU and 8 of them, a web pod with 180."""
    labels = {"node.kubernetes.io/instance-type": "p5.48xlarge"}
    own_cluster.add_node(NODE, gpus=GPUS, labels=labels)
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAME}}
    own_cluster.must("POST", "/api/v1/namespaces", namespace)
    account = f"/api/v1/namespaces/{NAME}/serviceaccounts/default"
    eventually(lambda: own_cluster.request("GET", account)[0] == 200, what=account)
    pods = f"/api/v1/namespaces/{NAME}/pods"
    gpu = {"nvidia.com/gpu": "1", "cpu": "8", "memory": "64Gi"}
    for pod in (bound("trainer", **gpu), bound("web", cpu="180", memory="100Gi")):
        own_cluster.must("POST", pods, pod)

    def running() -> bool:
        phases = [pod["status"].get("phase") for pod in own_cluster.must("GET", pods)["items"]]
        return phases == ["Running"] * 2

    eventually(running, what="both pods run")
    return own_cluster


@pytest.fixture(scope="module")
def prometheus(
    prometheus_binary: Path,  # noqa: ARG001 it skips where there is none
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[PrometheusServer]:
    """A day in which the trainer worked, and a pod that is gone did nothing."""
    now = int(time.time())
    history = History(range(now - 25 * HOUR, now + 1, 60))
    target = {"job": "agentaflow-exporter", "instance": f"{NODE}:9837", "node": NODE}
    for index in range(GPUS):
        gpu = {**target, "gpu": str(index), "uuid": f"GPU-{NAME}-{index}"}
        history.add("agentaflow_gpu_up", gpu, always(1))
        name = {**gpu, "name": "NVIDIA H100 80GB HBM3"}
        history.add("agentaflow_gpu_info", name, always(1))
        use = {**gpu, "engine": "gpu"}
        busy = 0.9 if index == TRAINER else 0.0
        history.add("agentaflow_gpu_utilization_ratio", use, always(busy))
        history.add("agentaflow_gpu_processes", {**gpu, "type": "compute"}, always(float(busy > 0)))
    for index, pod in ((TRAINER, "trainer"), (GHOST, "ghost")):
        gpu = {**target, "gpu": str(index), "uuid": f"GPU-{NAME}-{index}"}
        holder = {"namespace": NAME, "pod": pod, "container": "main"}
        history.add("agentaflow_gpu_pod_info", {**gpu, **holder}, always(1))
    folder = tmp_path_factory.mktemp("prometheus")
    blocks = history.write(folder / "history.om")
    with PrometheusServer(folder / "prometheus", blocks_from=blocks) as server:
        yield server


@pytest.fixture
def found(
    seen_by_kubernetes: ControlPlane,
    prometheus: PrometheusServer,
    capsys: pytest.CaptureFixture[str],
) -> dict[str, list[dict[str, Any]]]:
    """What `recommend` says of the node, by kind."""
    where = (f"--prometheus-url={prometheus.url}", f"--kubeconfig={seen_by_kubernetes.kubeconfig}")
    ran = Cli(capsys)("recommend", *where, "--window=24h", "--no-record", "-o", "json")
    assert ran.code == 0, ran.err
    kinds: dict[str, list[dict[str, Any]]] = {}
    for each in json.loads(ran.out)["recommendations"]:
        kinds.setdefault(each["kind"], []).append(each)
    return kinds


def test_gpus_without_cpu_beside_them_are_stranded(found: dict[str, list[dict[str, Any]]]) -> None:
    """4 cores are left, the pods of this cluster ask for 8 a GPU: the web pod is in the way."""
    (stranded,) = [each for each in found["stranded-gpus"] if each["where"]["node"] == NODE]
    assert "it lacks CPU (4 cores" in stranded["what"]
    assert f"moving {NAME}/web (180 cores, 100.0 GiB) elsewhere makes 7 of use" in stranded["what"]
    inputs = stranded["saves"]["inputs"]
    assert (inputs["stranded_gpus"], inputs["free_gpus"]) == ("7", "7")
    assert stranded["enforceable"] == "node"


def test_a_gpu_of_a_pod_that_is_gone_is_told_once(found: dict[str, list[dict[str, Any]]]) -> None:
    """As what still holds it, not as idle."""
    (ended,) = found["ended-pod"]
    assert (ended["where"]["gpu"], ended["where"]["pod"]) == (str(GHOST), "ghost")
    idle = {each["where"]["gpu"] for each in found.get("unallocated-gpu", [])}
    assert idle == {str(index) for index in range(1, 7)}
    assert "idle-gpu" not in found
