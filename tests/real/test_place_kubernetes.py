"""`agentaflow place` on a real API server: a MIG profile, a gang, and why not the other nodes."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentaflow_advisor.model.names import GANG, GANG_SIZE, GATE, HOSTNAME, MANAGED
from tests.support.cli import Cli
from tests.support.fake_prometheus import Card, fake_prometheus
from tools.control_plane import ControlPlane
from tools.processes import eventually

SLICE, CLIQUE = "nvidia.com/mig-1g.10gb", "nvidia.com/gpu.clique"
NODES = {"place-a0": "a", "place-b0": "b", "place-b1": "b"}


@pytest.fixture(scope="module")
def kubernetes(own_cluster: ControlPlane) -> ControlPlane:
    """Three nodes of 8 GPUs in two NVLink domains, and two that are cut into MIG profiles."""
    for name, clique in NODES.items():
        own_cluster.add_node(name, gpus=8, labels={CLIQUE: clique})
    own_cluster.add_node("place-mig7", extended={SLICE: 7})
    own_cluster.add_node("place-mig3", extended={SLICE: 3})
    for name in (*NODES, "place-mig7", "place-mig3"):
        eventually(partial(_ready, own_cluster, name), what=f"{name} is ready")
    return own_cluster


def _ready(cluster: ControlPlane, name: str) -> bool:
    node = cluster.must("GET", f"/api/v1/nodes/{name}")
    conditions = node["status"].get("conditions", ())
    ready = any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
    return ready and not node["spec"].get("taints")


@pytest.fixture
def agentaflow(
    kubernetes: ControlPlane,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[Cli]:
    for name in [name for name in os.environ if name.startswith(("AGENTAFLOW_", "KUBE"))]:
        monkeypatch.delenv(name)
    with fake_prometheus(Card("elsewhere", 0, busy=0.1)) as prometheus:
        options = ("--prometheus-url", prometheus.url, "--kubeconfig", str(kubernetes.kubeconfig))
        yield Cli(capsys, ("--journal", str(tmp_path / "journal.db"), *options))


def manifest(name: str, resource: str, amount: int, **metadata: Any) -> dict[str, Any]:
    resources = {"limits": {resource: str(amount), "cpu": "1", "memory": "1Gi"}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", **metadata},
        "spec": {
            "schedulingGates": [{"name": GATE}],
            "containers": [{"name": "main", "image": "example.test/none", "resources": resources}],
        },
    }


def test_a_pod_of_a_file_that_asks_for_a_slice_is_explained(
    agentaflow: Cli, tmp_path: Path
) -> None:
    """The node, the runner-up, what was compared, and the reasons with their numbers of nodes."""
    file = tmp_path / "pod.yaml"
    file.write_text(yaml.safe_dump(manifest("sliced", SLICE, 2)))
    (placed,) = agentaflow("place", "-f", str(file), "-o", "json").json["placements"]
    assert (placed["node"], placed["runner_up"]) == ("place-mig3", "place-mig7")
    assert placed["refused"] == {"not known to Kubernetes": 1, f"too few free {SLICE}": 3}
    assert placed["parts"]["extended_resources_left"] == -1
    assert placed["runner_up_parts"]["extended_resources_left"] == -5
    text = agentaflow("place", "-f", str(file)).out
    assert f"place-mig3 would keep 0 GPUs and 191 cores free, 1 {SLICE} left" in text
    assert f"runner-up place-mig7 would keep 0 GPUs and 191 cores free, 5 {SLICE} left" in text
    file.write_text(yaml.safe_dump(manifest("sliced", SLICE, 8)))
    text = agentaflow("place", "-f", str(file)).out
    assert f"no node can take it: 5 nodes: too few free {SLICE}; 1 node: not known" in text


def opened(cluster: ControlPlane) -> str:
    """A namespace of its own that has opted in."""
    namespace = f"place-{secrets.token_hex(4)}"
    body = {"metadata": {"name": namespace, "labels": {MANAGED: "true"}}}
    cluster.must("POST", "/api/v1/namespaces", body)
    account = f"/api/v1/namespaces/{namespace}/serviceaccounts/default"
    eventually(lambda: cluster.request("GET", account)[0] == 200, what=account)
    return namespace


def emptied(cluster: ControlPlane, namespace: str, *names: str) -> None:
    """Those pods are gone."""
    for name in names:
        path = f"/api/v1/namespaces/{namespace}/pods/{name}"
        cluster.must("DELETE", f"{path}?gracePeriodSeconds=0")
        eventually(partial(_gone, cluster, path), what=f"{name} gone")


def _gone(cluster: ControlPlane, path: str) -> bool:
    return bool(cluster.request("GET", path)[0] == 404)


def test_a_gang_that_lost_its_room_after_the_approval_is_not_released_in_half(
    agentaflow: Cli, kubernetes: ControlPlane
) -> None:
    """A node is taken between the yes and the apply: both stay gated; later both are bound."""
    namespace, gang = opened(kubernetes), ("pair-0", "pair-1")
    pods = f"/api/v1/namespaces/{namespace}/pods"
    told = {"namespace": namespace, "labels": {MANAGED: "true", GANG: "pair"}}
    for name in gang:
        kubernetes.must("POST", pods, manifest(name, "nvidia.com/gpu", 8, **told))
    _agree(agentaflow)
    late = manifest("late", "nvidia.com/gpu", 1, namespace=namespace)
    late["spec"] |= {"schedulingGates": [], "nodeSelector": {HOSTNAME: "place-b1"}}
    kubernetes.must("POST", pods, late)
    bound = partial(_node, kubernetes, f"{pods}/late")
    eventually(lambda: bound() == "place-b1", what="late bound")
    refused = agentaflow("apply", "--channel", "scheduling-gate")
    assert (refused.code, refused.out.count("gang_whole: it goes whole or not at all")) == (5, 1)
    assert refused.out.count("node_has_room: node place-b1: too few free GPUs") == 2
    for name in gang:
        pod = kubernetes.must("GET", f"{pods}/{name}")
        assert pod["spec"]["schedulingGates"] == [{"name": GATE}]
    emptied(kubernetes, namespace, "late")
    _agree(agentaflow)
    assert agentaflow("apply", "--channel", "scheduling-gate", "--wait", "30").code == 0
    nodes = {_node(kubernetes, f"{pods}/{name}") for name in gang}
    assert nodes == {"place-b0", "place-b1"}
    emptied(kubernetes, namespace, *gang)


def _agree(agentaflow: Cli) -> None:
    placed = agentaflow("place", "-o", "json").json["placements"]
    assert {each["node"] for each in placed} == {"place-b0", "place-b1"}
    assert agentaflow("approve", *(each["decision"] for each in placed)).code == 0


def _node(cluster: ControlPlane, path: str) -> str:
    return str(cluster.must("GET", path)["spec"].get("nodeName", ""))


def ring_member(name: str, namespace: str, gpus: int) -> dict[str, Any]:
    """One of a gang of two, behind our gate."""
    labels, annotations = {MANAGED: "true", GANG: "ring"}, {GANG_SIZE: "2"}
    return manifest(
        name, "nvidia.com/gpu", gpus, namespace=namespace, labels=labels, annotations=annotations
    )


def test_a_gang_of_the_cluster_gets_one_nvlink_domain_or_nothing(
    agentaflow: Cli, kubernetes: ControlPlane
) -> None:
    """Created by the API server, gated: first one pod of two, then both."""
    namespace = opened(kubernetes)
    pods = f"/api/v1/namespaces/{namespace}/pods"
    kubernetes.must("POST", pods, ring_member("ring-0", namespace, 8))
    (refusal,) = agentaflow("place", "--dry-run", "-o", "json").json["refusals"]
    assert refusal["reason"].endswith("placed whole or not at all: 1 of its 2 pods is there")
    kubernetes.must("POST", pods, ring_member("ring-1", namespace, 8))
    placements = agentaflow("place", "--dry-run", "-o", "json").json["placements"]
    assert {each["node"] for each in placements} == {"place-b0", "place-b1"}
    assert all(
        each["why"].endswith("in the NVLink domain of the other one of its gang")
        for each in placements
    )


def test_members_that_have_run_are_not_missing(agentaflow: Cli, kubernetes: ControlPlane) -> None:
    """Of two one has ended well, and nothing of the gang runs: the other is placed."""
    namespace = opened(kubernetes)
    pods = f"/api/v1/namespaces/{namespace}/pods"
    kubernetes.must("POST", pods, ring_member("ring-0", namespace, 1))
    look = ("place", "--dry-run", "-o", "json")
    refusals = agentaflow(*look).json["refusals"]
    (reason,) = [one["reason"] for one in refusals if one["subject"] == f"{namespace}/ring-0"]
    assert reason.endswith("1 of its 2 pods is there")
    done = ring_member("ring-1", namespace, 1)
    done["spec"] |= {"schedulingGates": [], "nodeSelector": {HOSTNAME: "place-a0"}}
    kubernetes.must("POST", pods, done)
    bound = partial(_node, kubernetes, f"{pods}/ring-1")
    eventually(lambda: bound() == "place-a0", what="ring-1 bound")
    status = {"status": {"phase": "Succeeded"}}
    merge = "application/merge-patch+json"
    kubernetes.must("PATCH", f"{pods}/ring-1/status", status, content_type=merge)
    placements = agentaflow(*look).json["placements"]
    assert [one["pod"] for one in placements if one["namespace"] == namespace] == ["ring-0"]
    emptied(kubernetes, namespace, "ring-0", "ring-1")


def test_a_pod_of_a_file_that_the_quota_would_refuse(
    agentaflow: Cli, kubernetes: ControlPlane, tmp_path: Path
) -> None:
    """What is there counts; a quota for some pods only does not, and one pod less is placed."""
    namespace = opened(kubernetes)
    quotas = f"/api/v1/namespaces/{namespace}/resourcequotas"
    for name, spec in (
        ("gpus", {"hard": {"requests.nvidia.com/gpu": "3"}}),
        ("scoped", {"hard": {"requests.nvidia.com/gpu": "0"}, "scopes": ["Terminating"]}),
    ):
        kubernetes.must("POST", quotas, {"metadata": {"name": name}, "spec": spec})
    eventually(lambda: _used(kubernetes, quotas) == "0", what="the quota counts")
    pods = f"/api/v1/namespaces/{namespace}/pods"
    kubernetes.must("POST", pods, manifest("there", "nvidia.com/gpu", 1, namespace=namespace))
    eventually(lambda: _used(kubernetes, quotas) == "1", what="the pod is counted")
    file = tmp_path / "pods.yaml"
    asked = [manifest(f"new-{n}", "nvidia.com/gpu", n, namespace=namespace) for n in (2, 3)]
    file.write_text(yaml.safe_dump_all(asked))
    told = agentaflow("place", "-f", str(file), "-o", "json").json
    assert [each["pod"] for each in told["placements"]] == ["new-2"]
    (refusal,) = told["refusals"]
    assert refusal["reason"] == (
        f"the ResourceQuota gpus of namespace {namespace} would not let it in: it asks for 3 "
        "nvidia.com/gpu, and 0 of 3 are left"
    )
    emptied(kubernetes, namespace, "there")


def _used(cluster: ControlPlane, quotas: str) -> str:
    status = cluster.must("GET", f"{quotas}/gpus").get("status", {})
    return str(status.get("used", {}).get("requests.nvidia.com/gpu", ""))


def test_who_would_have_to_go_is_named_unless_its_budget_keeps_it(
    agentaflow: Cli, kubernetes: ControlPlane
) -> None:
    """A pod of a real ReplicaSet, of lower priority; then a PodDisruptionBudget covers it."""
    namespace = opened(kubernetes)
    high = f"high-{namespace}"
    body: dict[str, Any] = {"metadata": {"name": high}, "value": 100}
    kubernetes.must("POST", "/apis/scheduling.k8s.io/v1/priorityclasses", body)
    labels, pods = {MANAGED: "true", "app": "web"}, f"/api/v1/namespaces/{namespace}/pods"
    one = manifest("web", "nvidia.com/gpu", 8, namespace=namespace, labels=labels)
    one["spec"] |= {"schedulingGates": [], "nodeSelector": {HOSTNAME: "place-a0"}}
    template = {"metadata": {"labels": labels}, "spec": one["spec"]}
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    sets = f"/apis/apps/v1/namespaces/{namespace}/replicasets"
    kubernetes.must("POST", sets, {"metadata": {"name": "web"}, "spec": spec})

    def running() -> str:
        items = kubernetes.must("GET", pods)["items"]
        names = [each["metadata"]["name"] for each in items if each["status"]["phase"] == "Running"]
        return str(names[0]) if names else ""

    victim = eventually(running, what="the pod of the ReplicaSet runs")
    urgent = manifest("urgent", "nvidia.com/gpu", 8, namespace=namespace, labels={MANAGED: "true"})
    urgent["spec"] |= {"priorityClassName": high, "nodeSelector": {HOSTNAME: "place-a0"}}
    kubernetes.must("POST", pods, urgent)
    look = ("place", "--strategy", "priority", "--dry-run", "-o", "json")
    (refusal,) = [one for one in agentaflow(*look).json["refusals"] if namespace in one["subject"]]
    assert (refusal["node"], refusal["victims"]) == ("place-a0", [f"{namespace}/{victim}"])
    budget = {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}}
    budgets = f"/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets"
    kubernetes.must("POST", budgets, {"metadata": {"name": "keep"}, "spec": budget})
    eventually(
        lambda: kubernetes.must("GET", f"{budgets}/keep").get("status", {}).get("expectedPods"),
        what="the budget counted",
    )
    (refusal,) = [one for one in agentaflow(*look).json["refusals"] if namespace in one["subject"]]
    assert "victims" not in refusal
    kubernetes.must("DELETE", f"{sets}/web?propagationPolicy=Background")
