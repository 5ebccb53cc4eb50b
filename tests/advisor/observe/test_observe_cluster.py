"""Kubernetes objects become nodes and workloads; each way of not reading them has one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lightkube import Client, KubeConfig
from lightkube.config.models import Cluster, User
from lightkube.models.core_v1 import PodSpec
from lightkube.resources.core_v1 import Pod

from agentaflow_advisor.model import ClusterState, Taint, Toleration, Workload
from agentaflow_advisor.model.names import GANG, GANG_SIZE, GATE, MANAGED
from agentaflow_advisor.observe import connect, kubernetes, read_cluster
from agentaflow_advisor.observe.errors import ClusterUnreachable
from agentaflow_advisor.observe.resources import quantity, requests
from tests.support.fault_http import FaultServer, answer, refused_url

GPU = "nvidia.com/gpu"
ANSWERS = Callable[[httpx2.Request], httpx2.Response]


def client(handler: ANSWERS) -> Client:
    """lightkube itself, over answers made here."""
    config = KubeConfig.from_one(cluster=Cluster(server="http://kubernetes.test"), user=User())
    return Client(config=config, transport=httpx2.MockTransport(handler))


def listing(items: list[dict[str, Any]], token: str | None = None) -> httpx2.Response:
    meta = {"resourceVersion": "1", **({"continue": token} if token else {})}
    return httpx2.Response(200, json={"kind": "List", "metadata": meta, "items": items})


def read(**lists: list[dict[str, Any]]) -> ClusterState:
    def handler(request: httpx2.Request) -> httpx2.Response:
        return listing(lists.get(request.url.path.rpartition("/")[2], []))

    return read_cluster(client(handler))


def pod(spec: dict[str, Any] | None = None, /, **changes: Any) -> dict[str, Any]:
    """A pod that is bound to node n."""
    meta = {
        "name": "p",
        "namespace": "ns",
        "uid": "u",
        "resourceVersion": "7",
        "creationTimestamp": "2026-01-01T00:00:00Z",
        **changes.pop("metadata", {}),
    }
    body = {"nodeName": "n", "containers": [{"name": "c"}], **(spec or {})}
    return {"metadata": meta, "spec": body, "status": {"phase": "Running"}, **changes}


def container(**amounts: str) -> dict[str, Any]:
    named = {GPU if name == "gpu" else name: amount for name, amount in amounts.items()}
    return {"name": "c", "resources": {"requests": named}}


def only(*pods: dict[str, Any]) -> Workload:
    (workload,) = read(pods=list(pods)).workloads
    return workload


def test_a_node() -> None:
    """Allocatable, not capacity; labels, taints, readiness and cordon as they are."""
    (node,) = read(
        nodes=[
            {
                "metadata": {"name": "n", "labels": {"kubernetes.io/hostname": "host-n"}},
                "spec": {
                    "unschedulable": True,
                    "taints": [{"key": GPU, "value": "yes", "effect": "NoSchedule"}],
                },
                "status": {
                    "capacity": {GPU: "8", "cpu": "96", "memory": "1Ti", "pods": "200"},
                    "allocatable": {GPU: "7", "cpu": "95500m", "memory": "1000Gi", "pods": "99"},
                    "conditions": [{"type": "Ready", "status": "True"}],
                },
            }
        ]
    ).nodes
    assert (node.name, node.hostname, node.gpus, node.pods) == ("n", "host-n", 7, 99)
    assert (node.cpu_cores, node.memory_bytes) == (95.5, 1000 * 2.0**30)
    assert node.taints == (Taint(GPU, "yes", "NoSchedule"),)
    assert (node.ready, node.schedulable, node.known) == (True, False, True)


@pytest.mark.parametrize("status", ["False", "Unknown", None])
def test_a_node_is_ready_only_when_it_says_so(status: str | None) -> None:
    """Unknown is not ready, nor is silence."""
    conditions = [{"type": "Ready", "status": status}] if status else []
    (node,) = read(nodes=[{"metadata": {"name": "n"}, "status": {"conditions": conditions}}]).nodes
    assert not node.ready


def test_a_workload() -> None:
    """Identity, state and wishes of a pod as the API server has them."""
    workload = only(
        pod(
            {
                "nodeName": None,
                "priority": 5,
                "containers": [container(gpu="2", cpu="500m", memory="1Gi")],
                "schedulingGates": [{"name": "agentaflow.io/placement"}],
                "nodeSelector": {"zone": "a"},
                "tolerations": [{"key": GPU, "operator": "Exists"}, {"key": "x", "value": "y"}],
            },
            metadata={
                "labels": {"agentaflow.io/managed": "true"},
                "annotations": {"note": "1"},
                "deletionTimestamp": "2026-01-02T00:00:00Z",
                "ownerReferences": [
                    {"kind": "Job", "name": "j", "controller": True, "apiVersion": "v1", "uid": "x"}
                ],
            },
            status={"phase": "Pending"},
        )
    )
    assert workload == Workload(
        namespace="ns",
        name="p",
        uid="u",
        resource_version="7",
        phase="Pending",
        node=None,
        gpus=2,
        cpu_cores=0.5,
        memory_bytes=2.0**30,
        priority=5,
        created_at=1_767_225_600.0,
        labels={"agentaflow.io/managed": "true"},
        annotations={"note": "1"},
        gates=("agentaflow.io/placement",),
        node_selector={"zone": "a"},
        tolerations=(
            Toleration(GPU, "Exists", None, None),
            Toleration("x", "Equal", "y", None),
        ),
        owner="Job/j",
        deleting=True,
        deletes_at=1_767_312_000.0,
    )


@pytest.mark.parametrize(
    ("one", "matters"),
    [
        (pod(), True),
        (pod(status={"phase": "Failed"}), False),
        (pod(status={"phase": "Succeeded"}), False),
        (pod({"nodeName": None}), False),
        (pod({"nodeName": None, "containers": [container(gpu="1")]}), True),
        (pod({"nodeName": None, "schedulingGates": [{"name": "agentaflow.io/placement"}]}), True),
        (pod({"nodeName": None, "schedulingGates": [{"name": "other"}]}), False),
        (pod({"nodeName": None}, metadata={"labels": {"agentaflow.io/managed": "true"}}), True),
    ],
)
def test_which_pods_matter(one: dict[str, Any], matters: bool) -> None:
    """Those that hold room, wait for a GPU, or wait for us; never those that have ended."""
    assert len(read(pods=[one]).workloads) == matters


@pytest.mark.parametrize(
    ("spec", "cores"),
    [
        ({"containers": [container(cpu="1"), container(cpu="500m")]}, "1.5"),
        ({"containers": [container(cpu="1")], "initContainers": [container(cpu="3")]}, "3"),
        (
            {
                "containers": [container(cpu="1")],
                "initContainers": [{**container(cpu="2"), "restartPolicy": "Always"}],
            },
            "3",
        ),
        (
            {
                "containers": [container(cpu="1")],
                "initContainers": [
                    {**container(cpu="2"), "restartPolicy": "Always"},
                    container(cpu="4"),
                ],
            },
            "6",
        ),
        (
            {
                "containers": [container(cpu="1")],
                "initContainers": [
                    container(cpu="4"),
                    {**container(cpu="2"), "restartPolicy": "Always"},
                ],
            },
            "4",
        ),
        ({"containers": [container(cpu="1")], "overhead": {"cpu": "250m"}}, "1.25"),
        ({"containers": [{"name": "c", "resources": {"limits": {"cpu": "2"}}}]}, "2"),
        ({"containers": [container(cpu="1")], "resources": {"requests": {"cpu": "5"}}}, "5"),
        ({"containers": [{"name": "c"}]}, "0"),
    ],
    ids=[
        "sum",
        "init peak",
        "sidecar stays",
        "sidecar under init",
        "init before sidecar",
        "overhead",
        "limit only",
        "pod level",
        "nothing",
    ],
)
def test_requests_as_the_scheduler_counts_them(spec: dict[str, Any], cores: str) -> None:
    """Sum of what runs together, peak of what runs before, and overhead on top."""
    made = cast(PodSpec, PodSpec.from_dict(spec))
    assert requests(made).get("cpu", Decimal(0)) == Decimal(cores)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", "0"),
        ("100m", "0.1"),
        ("1.5", "1.5"),
        ("2k", "2000"),
        ("3M", "3000000"),
        ("1Ki", "1024"),
        ("1.5Gi", "1610612736"),
        ("1e3", "1000"),
        ("1E3", "1000"),
        ("12e-1", "1.2"),
        ("1E", "1e18"),
        ("1Ei", "1152921504606846976"),
        ("500u", "0.0005"),
        ("5n", "0.000000005"),
    ],
)
def test_quantities(text: str, number: str) -> None:
    """Every spelling that Kubernetes has."""
    assert quantity(text) == Decimal(number)


@given(st.integers(0, 10**9), st.sampled_from(["Ki", "Mi", "k", "M", "", "m"]))
def test_more_of_a_unit_is_more(amount: int, unit: str) -> None:
    """Quantities keep their order."""
    assert quantity(f"{amount}{unit}") < quantity(f"{amount + 1}{unit}")


def test_mig_profiles_and_shares_are_counted_by_their_names() -> None:
    """As a node offers them and as a pod asks for them, whole GPUs apart; none is no resource."""
    profile, share = "nvidia.com/mig-1g.10gb", "nvidia.com/gpu.shared"
    offered = {GPU: "2", profile: "7", share: "0", "cpu": "1", "rdma/ib": "4"}
    (node,) = read(nodes=[{"metadata": {"name": "n"}, "status": {"allocatable": offered}}]).nodes
    assert (node.gpus, node.extended) == (2, {profile: 7})
    workload = only(pod({"containers": [container(**{profile: "2"}), container(**{share: "1"})]}))
    assert (workload.gpus, workload.extended) == (0, {profile: 2, share: 1})
    assert workload.unmodelled == ()


def test_a_pod_that_waits_for_a_slice_is_one_that_waits_for_a_gpu() -> None:
    """Without our label or gate it is looked at, as one that asks for a whole GPU is."""
    spec = {"nodeName": None, "containers": [container(**{"nvidia.com/mig-1g.10gb": "1"})]}
    assert only(pod(spec)).extended == {"nvidia.com/mig-1g.10gb": 1}
    spec = {"nodeName": None, "containers": [container(cpu="1")]}
    assert read(pods=[pod(spec)]).workloads == ()


def term(key: str) -> dict[str, Any]:
    return {"topologyKey": key, "labelSelector": {}}


REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
SELECTOR = {"nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "Exists"}]}]}
PREFERRED: dict[str, Any] = {"preferredDuringSchedulingIgnoredDuringExecution": []}


@pytest.mark.parametrize(
    ("spec", "names"),
    [
        ({"affinity": {"nodeAffinity": {REQUIRED: SELECTOR}}}, ("node affinity",)),
        ({"affinity": {"podAffinity": {REQUIRED: [term("zone")]}}}, ("pod affinity",)),
        ({"affinity": {"podAntiAffinity": {REQUIRED: [term("x")]}}}, ("pod anti-affinity",)),
        ({"affinity": {"nodeAffinity": PREFERRED}}, ()),
        (
            {
                "topologySpreadConstraints": [
                    {"maxSkew": 1, "topologyKey": "z", "whenUnsatisfiable": "DoNotSchedule"}
                ]
            },
            ("topology spread",),
        ),
        (
            {
                "topologySpreadConstraints": [
                    {"maxSkew": 1, "topologyKey": "z", "whenUnsatisfiable": "ScheduleAnyway"}
                ]
            },
            (),
        ),
        ({"resourceClaims": [{"name": "gpu"}]}, ("resource claims",)),
        (
            {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]},
            ("persistent volumes",),
        ),
        ({"volumes": [{"name": "v", "emptyDir": {}}]}, ()),
        (
            {"containers": [{"name": "c", "ports": [{"containerPort": 1, "hostPort": 1}]}]},
            ("host ports",),
        ),
        ({"schedulerName": "volcano"}, ("scheduler volcano",)),
        ({"schedulerName": "default-scheduler"}, ()),
        (
            {"containers": [container(gpu="1", **{"rdma/ib": "1"})]},
            ("resource rdma/ib",),
        ),
    ],
)
def test_constraints_that_we_do_not_evaluate_are_named(
    spec: dict[str, Any], names: tuple[str, ...]
) -> None:
    """A placement can only be careful about what it knows of; what is merely preferred is none."""
    workload = only(pod(spec))
    assert workload.unmodelled == names
    assert workload.has_affinity == any("affinity" in name for name in names)


def test_lists_are_read_page_by_page() -> None:
    """Large clusters come in pages; finished pods are left out by the API server."""
    asked: list[httpx2.QueryParams] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        if not request.url.path.endswith("/pods"):
            return listing([])
        asked.append(request.url.params)
        second = "continue" in request.url.params
        return listing([pod()], None if second else "next")

    assert len(read_cluster(client(handler)).workloads) == 2
    assert [params.get("continue") for params in asked] == [None, "next"]
    assert {params["limit"] for params in asked} == {"500"}
    assert {params["fieldSelector"] for params in asked} == {"status.phase!=Succeeded"}


def test_members_that_ended_well_are_asked_for_where_a_gang_waits() -> None:
    """Of its namespace alone, and only where it says how many pods it has."""
    asked: list[tuple[str, str]] = []
    ring = {"labels": {GANG: "ring", MANAGED: "true", GANG_SIZE: "2"}}
    gated = {"schedulingGates": [{"name": GATE}], "nodeName": None}

    def handler(request: httpx2.Request) -> httpx2.Response:
        if not request.url.path.endswith("/pods"):
            return listing([])
        selector = request.url.params["fieldSelector"]
        asked.append((request.url.path, selector))
        if selector == "status.phase=Succeeded":
            return listing([pod(metadata=ring, status={"phase": "Succeeded"}), pod()])
        return listing([pod(gated, metadata=ring, status={"phase": "Pending"})])

    state = read_cluster(client(handler))
    assert [one.phase for one in state.succeeded] == ["Succeeded"]
    assert [one.phase for one in state.workloads] == ["Pending"]
    assert asked == [
        ("/api/v1/pods", "status.phase!=Succeeded"),
        ("/api/v1/namespaces/ns/pods", "status.phase=Succeeded"),
    ]


def test_expired_pages_are_read_at_once() -> None:
    """410 Gone in the middle of a list is no failure."""
    status = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}

    def handler(request: httpx2.Request) -> httpx2.Response:
        if not request.url.path.endswith("/namespaces"):
            return listing([])
        if "continue" in request.url.params:
            return httpx2.Response(410, json=status)
        labels = {"metadata": {"name": "ns", "labels": {"a": "b"}}}
        return listing([labels], "next" if "limit" in request.url.params else None)

    assert read_cluster(client(handler)).namespaces == {"ns": {"a": "b"}}


@pytest.mark.parametrize(
    ("response", "what"),
    [
        (httpx2.Response(401, json={"code": 401, "message": "Unauthorized"}), "renew the token"),
        (httpx2.Response(403, json={"code": 403, "message": "forbidden"}), "list nodes, pods"),
        (httpx2.Response(500, json={"code": 500, "message": "etcd"}), "answered 500"),
        (httpx2.Response(404, text="nope"), "answered 404"),
        (httpx2.Response(200, text="<html>"), "cannot read the Kubernetes API"),
    ],
)
def test_a_refusing_api_is_one_line(response: httpx2.Response, what: str) -> None:
    """Who answered what, and what to do about it."""
    with pytest.raises(ClusterUnreachable) as caught:
        read_cluster(client(lambda _: response))
    line = str(caught.value)
    assert "http://kubernetes.test" in line
    assert what in line
    assert "\n" not in line


def write(path: Path, server: str, **user: str) -> Path:
    config = {
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [
            {"name": "ctx", "context": {"cluster": "c", "user": "u"}},
            {"name": "bare", "context": {"cluster": "c"}},
        ],
        "current-context": "ctx",
    }
    path.write_text(json.dumps(config))
    return path


def test_a_kubeconfig_with_a_token(tmp_path: Path) -> None:
    """The file's server is asked with the file's token."""
    empty = answer({"metadata": {}, "items": []})
    with FaultServer([empty]) as server:
        with connect(write(tmp_path / "config", server.url, token="secret"), None) as api:
            assert read_cluster(api) == ClusterState()
        assert b"authorization: bearer secret" in server.requests[0].lower()


def test_a_context_without_a_user(tmp_path: Path) -> None:
    """As kubectl proxy needs none, a context may name none."""
    empty = answer({"metadata": {}, "items": []})
    with (
        FaultServer([empty]) as server,
        connect(write(tmp_path / "config", server.url), "bare") as api,
    ):
        assert read_cluster(api) == ClusterState()


def test_nobody_answers_for_kubernetes(tmp_path: Path) -> None:
    """A refused connection names the server."""
    url = refused_url()
    with (
        connect(write(tmp_path / "config", url), None) as api,
        pytest.raises(ClusterUnreachable, match=f"cannot read the Kubernetes API at {url}"),
    ):
        read_cluster(api)


@pytest.mark.parametrize(
    "text", [None, "", "[]", "a: [", "clusters: 1", "apiVersion: v1", '{"current-context": "x"}']
)
def test_an_unusable_kubeconfig(tmp_path: Path, text: str | None) -> None:
    """Missing, empty or broken: named, with what to do."""
    path = tmp_path / "config"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ClusterUnreachable) as caught:
        connect(path, None)
    line = str(caught.value)
    assert str(path) in line
    assert "--kubeconfig" in line
    assert "\n" not in line


def test_an_unknown_context(tmp_path: Path) -> None:
    """A context that the file lacks is named."""
    with pytest.raises(ClusterUnreachable, match="Context 'other' not found"):
        connect(write(tmp_path / "config", "http://127.0.0.1:1"), "other")


def test_kubeconfig_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a path, $KUBECONFIG is used."""
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("KUBECONFIG", str(write(tmp_path / "env", "http://from-env.test")))
    with connect(None, None) as api:
        assert api.config.cluster.server == "http://from-env.test"


def test_a_pod_without_a_spec_does_not_matter() -> None:
    """What the API server would never send is not placed."""
    assert not kubernetes.matters(Pod())
    with pytest.raises(ValueError, match="without metadata or spec"):
        kubernetes.workload(Pod())
