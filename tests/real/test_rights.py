"""Least privilege: what the manifests grant is what the advisor and the applier use, no more."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from lightkube import Client

from agentaflow_advisor.act import events
from agentaflow_advisor.act.resources import nodes, recommendations, workloads
from agentaflow_advisor.act.resources.approvals import guarded_since
from agentaflow_advisor.act.resources.kinds import installed
from agentaflow_advisor.decide.journal import Journal
from agentaflow_advisor.lease import Lease
from agentaflow_advisor.model import (
    AdmitWorkload,
    BindPod,
    CordonNode,
    EvictPod,
    LabelNode,
    PlacePod,
    ReleaseJob,
    State,
    TaintDevice,
)
from agentaflow_advisor.model.names import CHECK, GATE, MANAGED
from agentaflow_advisor.observe.cluster import connect, read_cluster
from agentaflow_advisor.observe.devices import read_devices
from agentaflow_advisor.observe.view import ClusterView
from tests.support.applying import pod_manifest
from tests.support.parts import need
from tests.support.stage import EVERYTHING, Stage, install_kueue, to
from tools.control_plane import MERGE_PATCH, ControlPlane
from tools.processes import eventually
from tools.programs import has_cluster

MANIFESTS = Path(__file__).parents[2] / "scheduler_advisor" / "manifests"
GRANTS = (
    "crds",
    "approvals",
    "namespace",
    "advisor",
    "applier",
    "channels",
    "applier-limits",
    "opt-in-nodes",
)
NAMESPACED = ("scheduling-gate", "suspended-job", "eviction", "admission-check", "binding")
ACCOUNT = "system:serviceaccount:agentaflow:agentaflow-"
Right = tuple[str, str]  # verb, resource


@dataclass(frozen=True)
class Audited:
    """A cluster that writes down who did what."""

    cluster: ControlPlane
    log: Path

    def used(self, account: str) -> set[Right]:
        """The verbs that an account used, with the resource or subresource."""
        rights = set()
        for line in self.log.read_text().splitlines():
            event = json.loads(line)
            if event["user"]["username"] != f"{ACCOUNT}{account}" or "objectRef" not in event:
                continue
            at = event["objectRef"]
            resource = "/".join(filter(None, (at["resource"], at.get("subresource"))))
            rights.add((event["verb"], resource))
        return rights


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Audited]:
    """With every manifest applied and Kueue's Workloads installed."""
    need("the Kubernetes control plane", has_cluster())
    folder = tmp_path_factory.mktemp("audit")
    policy, log = folder / "policy.yaml", folder / "audit.log"
    rule = {"level": "Metadata", "omitStages": ["RequestReceived"]}
    policy.write_text(
        json.dumps({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": [rule]})
    )
    arguments = (f"--audit-policy-file={policy}", f"--audit-log-path={log}")
    with ControlPlane(apiserver_arguments=arguments) as cluster:
        install_kueue(cluster)
        for name in GRANTS:
            applied = cluster.kubectl("apply", "-f", str(MANIFESTS / f"{name}.yaml"))
            assert applied.returncode == 0, applied.stderr
        for plural in ("gpurecommendations", "gpunodes", "gpuworkloads"):
            path = f"/apis/agentaflow.io/v1alpha1/{plural}"
            eventually(partial(served, cluster, path), what=path)
        yield Audited(cluster, log)


def served(cluster: ControlPlane, path: str) -> bool:
    return cluster.request("GET", path)[0] == 200


def token(cluster: ControlPlane, account: str) -> str:
    name = f"agentaflow-{account}"
    made = cluster.kubectl("create", "token", name, "--namespace=agentaflow", "--duration=1h")
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


def granted(account: str) -> set[Right]:
    """What the manifests give to it, were it bound to every channel's role."""
    files = {"advisor": ("advisor",), "applier": ("advisor", "applier", "channels")}[account]
    return {
        (verb, resource)
        for name in files
        for document in yaml.safe_load_all((MANIFESTS / f"{name}.yaml").read_text())
        for rule in document.get("rules", ())
        for verb in rule["verbs"]
        for resource in rule["resources"]
    }


class Bound(Stage):
    """Where the applier's account is bound to every channel's role, and acts."""

    def __init__(self, cluster: ControlPlane, journal: Journal) -> None:
        super().__init__(cluster, journal)
        self.policy = replace(EVERYTHING)  # the kill switch of the manifests
        for channel in NAMESPACED:
            made = cluster.kubectl(
                "create",
                "rolebinding",
                f"agentaflow-{channel}",
                f"--clusterrole=agentaflow-{channel}",
                "--serviceaccount=agentaflow:agentaflow-applier",
                f"--namespace={self.namespace}",
            )
            assert made.returncode == 0, made.stderr
        self.actor_kubeconfig = cluster.write_kubeconfig("applier", token(cluster, "applier"))


@pytest.fixture
def stage(audited: Audited, tmp_path: Path) -> Iterator[Bound]:
    with Journal(tmp_path / "journal.db") as journal:
        yield Bound(audited.cluster, journal)


def prepared(stage: Bound) -> list[Any]:
    """One thing to do for each channel."""
    stage.add_pod("gated", gpus=1)
    stage.add_job(gpus=1)
    stage.running_pod("running")
    stage.add_kueue_workload()
    manifest = pod_manifest("ours", namespace=stage.namespace, gates=())
    manifest["spec"]["schedulerName"] = "agentaflow"
    stage.cluster.must("POST", stage.path().rpartition("/")[0], manifest)
    here = {"hostname": stage.node}
    device = {"driver": "gpu.nvidia.com", "pool": stage.node, "device": "gpu-0", "uid": "device"}
    return [
        to(PlacePod, stage, "gated", gate=GATE, **here),
        to(ReleaseJob, stage, "fit", gpus=1, **here),
        to(EvictPod, stage, "running"),
        to(AdmitWorkload, stage, "fit", check=CHECK, **here),
        to(BindPod, stage, "ours", **here),
        to(LabelNode, stage, stage.node, labels={"agentaflow.io/tier": "cheap"}),
        to(TaintDevice, stage, f"agentaflow-{stage.namespace}", **device),
    ]


def look(kubeconfig: Path) -> None:
    """What each cycle of `serve` looks at."""
    with connect(kubeconfig, None) as client, ClusterView(client) as view:
        read_cluster(client)
        read_devices(client)
        eventually(lambda: view.fresh, what="pods and nodes followed")


def mirrored(cluster: ControlPlane, stage: Bound, client: Client) -> None:
    """Our own resources made, changed and deleted."""
    (made, *_) = stage.journal.list()
    assert installed(client)
    recommendations.publish(client, "agentaflow", [made], stage.policy)
    assert isinstance(guarded_since(client), float)
    recommendations.forget(client, "agentaflow", [])
    nodes.publish(client, {"one": {"gpus": 1, "free": 1, "health": "Unknown"}})
    nodes.publish(client, {})
    body = {
        "apiVersion": "agentaflow.io/v1alpha1",
        "kind": "GPUWorkload",
        "metadata": {"name": "submitted", "labels": {MANAGED: "true"}},
        "spec": {"gpus": 1, "template": {"containers": [{"name": "main", "image": "x"}]}},
    }
    path = f"/apis/agentaflow.io/v1alpha1/namespaces/{stage.namespace}/gpuworkloads"
    cluster.must("POST", path, body)
    workloads.reconcile(client)
    workloads.reconcile(client)
    assert cluster.must("GET", f"{path}/submitted")["status"]["phase"] == "Pending"


def test_what_the_manifests_grant_is_what_is_used_and_no_more(
    audited: Audited, stage: Bound
) -> None:
    """Every channel carried out, verified and undone by the applier; the cluster read by both."""
    for action in prepared(stage):
        made = stage.carried_out(action)
        assert made.state is State.APPLIED, (action.channel, made.reason)
        with connect(stage.actor_kubeconfig, None) as client:
            assert events.tell(client, made) is None
        if action.channel != "admission-check":
            stage.verified(made)
        if action.channel in ("node-label", "device-taint", "suspended-job", "admission-check"):
            assert stage.reverted(made).state is State.REVERTED, action.channel
    made = stage.carried_out(to(CordonNode, stage, stage.node))
    assert made.state is State.APPLIED, made.reason
    assert stage.reverted(made).state is State.REVERTED
    with connect(stage.actor_kubeconfig, None) as client:
        lease = Lease(client, "agentaflow", "one")
        lease.tick()
        lease.tick()
        assert lease.follower() is None
        mirrored(audited.cluster, stage, client)
    advisor = audited.cluster.write_kubeconfig("advisor", token(audited.cluster, "advisor"))
    for kubeconfig in (advisor, stage.actor_kubeconfig):
        look(kubeconfig)
    eventually(lambda: audited.used("advisor") == granted("advisor"), what="the advisor's rights")
    eventually(lambda: audited.used("applier") == granted("applier"), what="the applier's rights")


@pytest.mark.parametrize(
    ("path", "patch", "message"),
    [
        ("job", {"metadata": {"labels": {"team": "mine"}}}, "labels, finalizers"),
        ("job", {"metadata": {"annotations": {"note": "x"}}}, "only annotations"),
        ("node", {"metadata": {"labels": {"team": "mine"}}}, "only labels"),
        ("node", {"metadata": {"labels": {"agentaflow.io/managed": None}}}, "opt in"),
        ("node", {"metadata": {"annotations": {"note": "x"}}}, "only annotations"),
        (
            "node",
            {"spec": {"taints": [{"key": "agentaflow.io/sick", "effect": "NoExecute"}]}},
            "NoSchedule may be written",
        ),
        (
            "node",
            {"spec": {"taints": [{"key": "other", "effect": "NoSchedule"}]}},
            "NoSchedule may be written",
        ),
    ],
)
def test_the_applier_is_held_to_what_its_channels_change(
    audited: Audited, stage: Bound, path: str, patch: dict[str, Any], message: str
) -> None:
    """Patches that RBAC alone would allow are refused by the admission policies."""
    if path == "job":
        stage.add_job()
        url = f"{stage.jobs}/fit"
    else:
        url = f"/api/v1/nodes/{stage.node}"

    def refused() -> str:
        status, answer = audited.cluster.request(
            "PATCH",
            f"{url}?dryRun=All",
            patch,
            content_type=MERGE_PATCH,
            token=token(audited.cluster, "applier"),
        )
        return str(answer["message"]) if status == 422 else ""

    assert message in eventually(refused, what="refused by the policy")
