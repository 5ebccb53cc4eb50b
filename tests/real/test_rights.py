"""Least privilege: what the manifests grant is what the advisor and the applier use, no more."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from lightkube import Client
from lightkube.models.authorization_v1 import ResourceAttributes, SelfSubjectAccessReviewSpec
from lightkube.resources.authorization_v1 import SelfSubjectAccessReview

from agentaflow_advisor.act.resources import nodes, recommendations
from agentaflow_advisor.act.resources.approvals import guarded_since
from agentaflow_advisor.decide.journal import Journal
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
from agentaflow_advisor.model.names import CHECK, GATE
from agentaflow_advisor.observe.cluster import connect
from agentaflow_advisor.observe.devices import read_devices
from tests.support.applying import pod_manifest
from tests.support.audit import GRANTING, Audited, unlike
from tests.support.line import Line, running_line
from tests.support.parts import need
from tests.support.rights import MANIFESTS, NAMESPACED, Bound, apply_manifests, serving, token
from tests.support.stage import to
from tools.control_plane import ControlPlane
from tools.processes import NotInTime, eventually
from tools.programs import has_cluster

EVERYONES = {  # by Kubernetes' own roles for every service account
    ("authentication.k8s.io", "selfsubjectreviews"),
    ("authorization.k8s.io", "selfsubjectaccessreviews"),
    ("authorization.k8s.io", "selfsubjectrulesreviews"),
    ("certificates.k8s.io", "clustertrustbundles"),
}
SERVED = ("scheduling-gate", "suspended-job", "admission-check", "binding", "device-taint")
"""Channels whose decisions `serve` makes of what waits, and one that looks at devices."""


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Audited]:
    """With every manifest applied and Kueue's kinds installed."""
    need("the Kubernetes control plane", has_cluster())
    folder = tmp_path_factory.mktemp("audit")
    policy, log = folder / "policy.yaml", folder / "audit.log"
    rule = {"level": "Metadata", "omitStages": ["RequestReceived"]}
    policy.write_text(
        json.dumps({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": [rule]})
    )
    arguments = (f"--audit-policy-file={policy}", f"--audit-log-path={log}")
    with ControlPlane(apiserver_arguments=arguments) as cluster:
        apply_manifests(cluster)
        yield Audited(cluster, log)


@pytest.fixture
def stage(audited: Audited, tmp_path: Path) -> Iterator[Bound]:
    with Journal(tmp_path / "journal.db") as journal:
        yield Bound(audited.cluster, journal)


def prepared(stage: Bound) -> list[Any]:
    """One thing to do for each channel."""
    add_waiting(stage)
    stage.running_pod("running")
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


def add_waiting(stage: Bound) -> None:
    """Something that waits for each channel that lets things go."""
    stage.add_pod("gated", gpus=1)
    stage.add_job()
    stage.add_kueue_workload()
    manifest = pod_manifest("ours", namespace=stage.namespace, gates=())
    manifest["spec"]["schedulerName"] = "agentaflow"
    stage.cluster.must("POST", stage.path().rpartition("/")[0], manifest)


def carry_out_each_channel(stage: Bound) -> None:
    """Applied, verified and undone, by the applier's account."""
    for action in prepared(stage):
        made = stage.carried_out(action)
        assert made.state is State.APPLIED, (action.channel, made.reason)
        if action.channel != "admission-check":
            stage.verified(made)
        if action.channel in ("node-label", "device-taint", "suspended-job", "admission-check"):
            assert stage.reverted(made).state is State.REVERTED, action.channel
    made = stage.carried_out(to(CordonNode, stage, stage.node))
    assert made.state is State.APPLIED, made.reason
    assert stage.reverted(made).state is State.REVERTED


def forget(stage: Bound) -> None:
    """What `serve` does with approvals in the API, and with its own resources after an hour or
    where a node is gone.
    """
    (made, *_) = stage.journal.list()
    with connect(stage.actor_kubeconfig, None) as client:
        assert isinstance(guarded_since(client), float)
        recommendations.publish(client, "agentaflow", [made], stage.policy)
        recommendations.forget(client, "agentaflow", [])
        nodes.publish(client, {})


def serve_as_the_applier(line: Line, stage: Bound) -> None:
    """`agentaflow serve` finds what waits, acts by standing approvals and tells of it."""
    add_waiting(stage)
    submitted = {
        "apiVersion": "agentaflow.io/v1alpha1",
        "kind": "GPUWorkload",
        "metadata": {"name": "submitted", "labels": {"agentaflow.io/managed": "true"}},
        "spec": {"gpus": 1, "template": {"containers": [{"name": "main", "image": "x"}]}},
    }
    path = f"/apis/agentaflow.io/v1alpha1/namespaces/{stage.namespace}/gpuworkloads"
    stage.cluster.must("POST", path, submitted)
    check = "/apis/kueue.x-k8s.io/v1beta2/admissionchecks/agentaflow"
    with serving(line, stage.actor_kubeconfig, SERVED) as journal:

        def acted() -> bool:
            done = {
                (each.action.channel, each.action.name)
                for each in journal.list((State.APPLIED, State.VERIFIED))
                if each.action.namespace == stage.namespace
            }
            return done >= {
                ("scheduling-gate", "gated"),
                ("suspended-job", "fit"),
                ("suspended-job", "submitted"),
                ("admission-check", "fit"),
                ("binding", "ours"),
            }

        eventually(acted, 90, what="everything that waited was let go")
        eventually(lambda: phase(stage, f"{path}/submitted"), what="its phase")
    (condition,) = stage.cluster.must("GET", check)["status"]["conditions"]
    assert (condition["type"], condition["status"]) == ("Active", "True")


def phase(stage: Bound, path: str) -> str:
    return str(stage.cluster.must("GET", path).get("status", {}).get("phase", ""))


def test_what_the_manifests_grant_is_what_is_used_and_no_more(
    audited: Audited,
    stage: Bound,
    prometheus_binary: Path,  # noqa: ARG001 it skips where there is none
    tmp_path: Path,
) -> None:
    """`serve` as either account, and each channel: every right is used, and none is missed."""
    cluster = audited.cluster
    off = (MANIFESTS / "kill-switch.yaml").read_text().replace('stop: "true"', 'stop: "false"')
    assert cluster.kubectl("apply", "-f", "-", stdin=off).returncode == 0
    carry_out_each_channel(stage)
    with running_line(cluster, "served", tmp_path) as line:
        served = Bound(cluster, stage.journal)
        serve_as_the_applier(line, served)
        advisor = cluster.write_kubeconfig("advisor", token(cluster, "advisor"))
        with connect(advisor, None) as client:
            read_devices(client)  # as `agentaflow propose --channel device-taint` does
        with serving(line, advisor, ()), suppress(NotInTime):
            eventually(lambda: not unlike(audited, "advisor"), 60, what="the same rights")
    forget(stage)
    with suppress(NotInTime):
        eventually(lambda: not unlike(audited, "applier"), 10, what="the same rights")
    assert unlike(audited, "advisor") == unlike(audited, "applier") == set()
    assert audited.forbidden("advisor") == audited.forbidden("applier") == set()


def served(cluster: ControlPlane) -> Iterator[tuple[str, str, str, bool]]:
    """Group, resource or subresource, verb and whether namespaced: all that the server knows."""
    groups = cluster.must("GET", "/apis")["groups"]
    versions = [("", "/api/v1")]
    for group in groups:
        versions += [(group["name"], f"/apis/{one['groupVersion']}") for one in group["versions"]]
    for group, path in versions:
        for resource in cluster.must("GET", path)["resources"]:
            for verb in {*resource["verbs"], "delete", "patch", "update", "create", "escalate"}:
                yield group, resource["name"], verb, resource["namespaced"]


def rules(account: str, *, bound: bool) -> set[tuple[str, str, str]]:
    """Group, resource and verb that it has there without naming an object."""
    away = set() if bound else {f"agentaflow-{channel}" for channel in NAMESPACED}
    return {
        (group, resource, verb)
        for name in GRANTING[account]
        for document in yaml.safe_load_all((MANIFESTS / f"{name}.yaml").read_text())
        if document["kind"] == "ClusterRole" and document["metadata"]["name"] not in away
        for rule in document["rules"]
        if "resourceNames" not in rule
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


@pytest.mark.parametrize(
    ("account", "bound"), [("advisor", True), ("applier", True), ("applier", False)]
)
def test_everything_else_is_refused(
    audited: Audited, stage: Bound, account: str, bound: bool
) -> None:
    """Each verb on each resource that the API server serves, asked as `kubectl auth can-i` does."""
    cluster = audited.cluster
    mine = rules(account, bound=bound)
    kubeconfig = cluster.write_kubeconfig(f"asks-{account}", token(cluster, account))
    namespace = stage.namespace if bound else "kube-system"
    asked, wrong = 0, []
    with connect(kubeconfig, None) as client:
        for group, resource, verb, namespaced in set(served(cluster)):
            if (group, resource) in EVERYONES:
                continue
            where = namespace if namespaced else None
            may = can_i(client, group, resource, verb, where)
            asked += 1
            if may != ((group, resource, verb) in mine):
                wrong.append((may, group, resource, verb))
    assert wrong == []
    assert asked > 500


def can_i(client: Client, group: str, resource: str, verb: str, where: str | None) -> bool:
    name, _, sub = resource.partition("/")
    asks = ResourceAttributes(
        group=group, resource=name, subresource=sub, verb=verb, namespace=where
    )
    review = SelfSubjectAccessReview(spec=SelfSubjectAccessReviewSpec(resourceAttributes=asks))
    answer = client.create(review)
    assert answer.status is not None
    return answer.status.allowed
