"""Defragmentation on a real API server: a waiting pod, the move that lets it in, and budgets."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import Cli, Ran
from tests.support.history import History, always
from tools.control_plane import MERGE_PATCH, ControlPlane
from tools.processes import eventually
from tools.prometheus import PrometheusServer

NAME = "defrag"
NODES = (f"{NAME}-a", f"{NAME}-b")
POOL = {"pool": NAME}
HOUR = 3600


def template(gpus: int, labels: dict[str, str]) -> dict[str, Any]:
    """What runs on the nodes of this test, and nowhere else."""
    amounts = {"nvidia.com/gpu": str(gpus), "cpu": "8", "memory": "64Gi"}
    resources = {"requests": amounts, "limits": amounts}
    spec = {
        "nodeSelector": POOL,
        "tolerations": [{"key": NAME, "operator": "Exists"}],
        "containers": [{"name": "main", "image": "example.test/none", "resources": resources}],
        "terminationGracePeriodSeconds": 0,
    }
    return {"metadata": {"labels": labels}, "spec": spec}


@pytest.fixture(scope="module")
def kubernetes(own_cluster: ControlPlane) -> Iterator[ControlPlane]:
    """Two nodes of 8 GPUs with three pods of a web on 2 GPUs each; a training pod waits for 4."""
    labels = {"node.kubernetes.io/instance-type": "p5.48xlarge", **POOL}
    taint = {"key": NAME, "value": "yes", "effect": "NoSchedule"}
    for name in NODES:
        own_cluster.add_node(name, gpus=8, labels=labels)
        node = f"/api/v1/nodes/{name}"
        eventually(partial(_ready, own_cluster, node), what=f"{name} is ready")
        own_cluster.must("PATCH", node, {"spec": {"taints": [taint]}}, content_type=MERGE_PATCH)
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAME}}
    own_cluster.must("POST", "/api/v1/namespaces", namespace)
    account = f"/api/v1/namespaces/{NAME}/serviceaccounts/default"
    eventually(lambda: own_cluster.request("GET", account)[0] == 200, what=account)
    for name in NODES:  # one after the other, so that each node gets three
        web = template(2, {"app": "web", "on": name})
        web["spec"]["nodeSelector"] = POOL
        _cordon(own_cluster, *(other for other in NODES if other != name))
        spec = {"replicas": 3, "selector": {"matchLabels": {"on": name}}, "template": web}
        body = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": f"web-{name}"}}
        path = f"/apis/apps/v1/namespaces/{NAME}/replicasets"
        own_cluster.must("POST", path, {**body, "spec": spec})
        eventually(partial(_run, own_cluster, 3 * (NODES.index(name) + 1)), what="web pods run")
    _cordon(own_cluster)
    train = {"apiVersion": "v1", "kind": "Pod", **template(4, {"app": "train"})}
    train["metadata"]["name"] = "train"
    own_cluster.must("POST", f"/api/v1/namespaces/{NAME}/pods", train)
    eventually(lambda: _unschedulable(own_cluster), what="kube-scheduler finds no room")
    yield own_cluster
    own_cluster.must("DELETE", f"/api/v1/namespaces/{NAME}")


def _ready(cluster: ControlPlane, path: str) -> bool:
    node = cluster.must("GET", path)
    conditions = node["status"].get("conditions", [])
    ready = any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
    return ready and not node["spec"].get("taints")


def _cordon(cluster: ControlPlane, *closed: str) -> None:
    """These of the nodes take no new pods; the others do."""
    for name in NODES:
        spec = {"spec": {"unschedulable": name in closed}}
        cluster.must("PATCH", f"/api/v1/nodes/{name}", spec, content_type=MERGE_PATCH)


def _running(cluster: ControlPlane) -> list[Any]:
    pods = cluster.must("GET", f"/api/v1/namespaces/{NAME}/pods")["items"]
    web = [pod for pod in pods if pod["metadata"].get("labels", {}).get("app") == "web"]
    return [pod for pod in web if pod["status"].get("phase") == "Running"]


def _run(cluster: ControlPlane, number: int) -> bool:
    return len(_running(cluster)) == number


def _unschedulable(cluster: ControlPlane) -> bool:
    train = cluster.must("GET", f"/api/v1/namespaces/{NAME}/pods/train")
    conditions = train["status"].get("conditions", [])
    return any(one.get("reason") == "Unschedulable" for one in conditions)


@pytest.fixture(scope="module")
def prometheus(
    prometheus_binary: Path,  # noqa: ARG001 it skips where there is none
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[PrometheusServer]:
    """A day of sixteen GPUs that work."""
    now = int(time.time())
    history = History(range(now - 25 * HOUR, now + 1, 60))
    for node in NODES:
        target = {"job": "agentaflow-exporter", "instance": f"{node}:9837", "node": node}
        for index in range(8):
            gpu = {**target, "gpu": str(index), "uuid": f"GPU-{node}-{index}"}
            history.add("agentaflow_gpu_up", gpu, always(1))
            history.add("agentaflow_gpu_info", {**gpu, "name": "NVIDIA H100 80GB HBM3"}, always(1))
    folder = tmp_path_factory.mktemp("prometheus")
    blocks = history.write(folder / "history.om")
    with PrometheusServer(folder / "prometheus", blocks_from=blocks) as server:
        yield server


Ask = Callable[..., Ran]


@pytest.fixture
def ask(
    kubernetes: ControlPlane,
    prometheus: PrometheusServer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Ask:
    """A command, as the admin or by another kubeconfig; pods may be young."""
    monkeypatch.setenv("AGENTAFLOW_DEFRAGMENT_MIN_AGE_SECONDS", "0")
    monkeypatch.setenv("AGENTAFLOW_DEFRAGMENT_MIN_WAITING_SECONDS", "0")

    def run(*arguments: str, kubeconfig: Path = kubernetes.kubeconfig) -> Ran:
        where = (f"--prometheus-url={prometheus.url}", f"--kubeconfig={kubeconfig}")
        ran = Cli(capsys)(*arguments, *where, "--window=24h", "-o", "json")
        assert ran.code == 0, ran.err
        return ran

    return run


def _advice(ask: Ask) -> list[dict[str, Any]]:
    found = ask("recommend", "--no-record").json["recommendations"]
    return [each for each in found if each["kind"] == "defragmentation"]


@pytest.fixture
def budget(kubernetes: ControlPlane) -> Iterator[Callable[[int], None]]:
    """A PodDisruptionBudget over the web, of which so many must run; its controller counts it."""
    path = f"/apis/policy/v1/namespaces/{NAME}/poddisruptionbudgets"

    def make(available: int) -> None:
        spec = {"minAvailable": available, "selector": {"matchLabels": {"app": "web"}}}
        body = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "spec": spec}
        kubernetes.must("POST", path, {**body, "metadata": {"name": "web"}})

        def counted() -> bool:
            status = kubernetes.must("GET", f"{path}/web").get("status", {})
            return bool(status.get("currentHealthy") == 6)

        eventually(counted, what="the budget is counted")

    yield make
    kubernetes.must("DELETE", f"{path}/web")


def _evict(kubernetes: ControlPlane, pod: str, **options: Any) -> int:
    metadata = {"name": pod, "namespace": NAME}
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
    path = f"/api/v1/namespaces/{NAME}/pods/{pod}/eviction"
    return kubernetes.request("POST", path, {**body, "deleteOptions": options})[0]


def test_a_budget_that_forbids_it_is_refused(
    ask: Ask, kubernetes: ControlPlane, budget: Callable[[int], None]
) -> None:
    """All six must run: the API server would not evict one, and we say why none is moved."""
    budget(6)
    pod = _running(kubernetes)[0]["metadata"]["name"]
    assert _evict(kubernetes, pod, dryRun=["All"]) == 429
    told = ask("defragment").json
    assert f"{NAME}/train" in told["waiting"]
    assert told["protected"]["PodDisruptionBudget web allows no disruption now"] == 6
    assert not [step for step in told["steps"] if step["pod"].startswith(f"{NAME}/")]
    refusals = ask("recommend", "--no-record").json["refusals"]
    (refusal,) = [each for each in refusals if each["subject"] == f"{NAME}/train"]
    assert "PodDisruptionBudget web allows no disruption now" in refusal["reason"]


def test_a_reader_without_leave_to_list_budgets(ask: Ask, kubernetes: ControlPlane) -> None:
    """RBAC as it was before there were plans: everything else is told, no move is."""
    rules = [{"apiGroups": [""], "resources": ["nodes", "pods", "namespaces"], "verbs": ["list"]}]
    group = {"apiVersion": "rbac.authorization.k8s.io/v1"}
    roles = "/apis/rbac.authorization.k8s.io/v1"
    reader = {"metadata": {"name": f"{NAME}-reader"}}
    kubernetes.must(
        "POST", f"{roles}/clusterroles", {**group, "kind": "ClusterRole", **reader, "rules": rules}
    )
    subject = {"kind": "ServiceAccount", "name": "default", "namespace": NAME}
    ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", **reader["metadata"]}
    binding = {**group, "kind": "ClusterRoleBinding", **reader, "roleRef": ref}
    kubernetes.must("POST", f"{roles}/clusterrolebindings", {**binding, "subjects": [subject]})
    made = kubernetes.kubectl("create", "token", "default", f"--namespace={NAME}")
    assert made.returncode == 0, made.stderr
    kubeconfig = kubernetes.write_kubeconfig("defrag-reader", made.stdout.strip())
    (refusal,) = ask("defragment", kubeconfig=kubeconfig).json["refusals"]
    assert "does not let us list them (poddisruptionbudgets.policy)" in refusal["reason"]


def test_the_move_lets_the_waiting_pod_in(
    ask: Ask, kubernetes: ControlPlane, budget: Callable[[int], None]
) -> None:
    """The budget spares one. Told by `recommend` in money, and when the move is made through the
    eviction API, as the advice says, kube-scheduler binds the training pod where the plan has it.
    """
    budget(5)
    (advice,) = _advice(ask)
    assert f"room for {NAME}/train (4 on " in advice["what"]
    assert advice["enforceable"] == "node"
    assert float(advice["saves"]["per_month"]["amount"]) > 0
    steps = ask("defragment").json["steps"]
    move, admission = (step for step in steps if step["pod"].startswith(f"{NAME}/"))
    assert (move["step"], admission["step"]) == ("move", "admit")
    assert move["room_for"] == [admission["pod"]] == [f"{NAME}/train"]
    _cordon(kubernetes, admission["node"])
    assert _evict(kubernetes, move["pod"].partition("/")[2]) == 201
    eventually(
        lambda: [p["spec"]["nodeName"] for p in _running(kubernetes)].count(move["to_node"]) == 4,
        what="the moved pod runs on its new node",
    )
    _cordon(kubernetes)
    train = f"/api/v1/namespaces/{NAME}/pods/train"
    bound = eventually(lambda: kubernetes.must("GET", train)["spec"].get("nodeName"), what="bound")
    assert bound == admission["node"]
    assert f"{NAME}/train" not in ask("defragment").json["waiting"]
