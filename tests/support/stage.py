"""A scene on which decisions of every channel are made and carried out on a real cluster."""

from __future__ import annotations

import secrets
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from agentaflow_advisor.act.apply import Applier, apply_decision, revert
from agentaflow_advisor.act.channels import CHANNELS
from agentaflow_advisor.decide.approval import approve
from agentaflow_advisor.decide.journal import Journal
from agentaflow_advisor.decide.policy import Policy
from agentaflow_advisor.decide.proposal import uuid7
from agentaflow_advisor.model import (
    Action,
    CordonNode,
    Decision,
    Evidence,
    LabelNode,
    State,
    TaintDevice,
    Target,
)
from agentaflow_advisor.model.names import CHECK, HOSTNAME, MANAGED
from agentaflow_advisor.observe.cluster import connect
from agentaflow_advisor.verify import verify
from tests.support.applying import pod_manifest
from tests.support.parts import need
from tests.support.scene import Scene
from tools.control_plane import MERGE_PATCH, ControlPlane
from tools.processes import eventually
from tools.programs import KUEUE_CRDS, has_kueue_crds, kueue_crds

EVERYTHING = Policy(
    channels=frozenset(CHANNELS), min_pod_age_seconds=0.0, min_replicas=1, max_closed_ratio=1.0
)


class Stage(Scene):
    """A scene on which decisions of every channel are made and carried out."""

    def __init__(self, cluster: ControlPlane, journal: Journal) -> None:
        super().__init__(cluster, f"way-{secrets.token_hex(4)}")
        self.actor_kubeconfig: Path = cluster.kubeconfig
        self.journal = journal
        self.policy = replace(EVERYTHING, namespace=self.namespace)
        label = {"metadata": {"labels": {MANAGED: "true"}}}
        self.node_uid = self.change_node(label)["metadata"]["uid"]

    def change_node(self, body: object) -> Any:
        path = f"/api/v1/nodes/{self.node}"
        return self.cluster.must("PATCH", path, body, content_type=MERGE_PATCH)

    def node_now(self) -> Any:
        return self.cluster.must("GET", f"/api/v1/nodes/{self.node}")

    def running_pod(self, name: str = "train", **metadata: Any) -> Any:
        """A pod that kube-scheduler bound to the node and that kwok runs."""
        manifest = pod_manifest(name, namespace=self.namespace, gates=())
        manifest["metadata"] |= metadata
        manifest["spec"]["nodeSelector"] = {HOSTNAME: self.node}
        self.cluster.must("POST", self.path().rpartition("/")[0], manifest)
        eventually(
            lambda: self.pod(name)["status"].get("phase") == "Running", what=f"{name} running"
        )
        return self.pod(name)

    def add_job(self, name: str = "fit", *, gpus: int = 2, **labels: str) -> Any:
        template = pod_manifest(name, namespace=self.namespace, gpus=gpus, gates=())["spec"]
        template |= {"restartPolicy": "Never"}
        del template["schedulingGates"]
        body = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": name, "labels": {MANAGED: "true", **labels}},
            "spec": {"suspend": True, "template": {"spec": template}},
        }
        return self.cluster.must("POST", self.jobs, body)

    @property
    def jobs(self) -> str:
        return f"/apis/batch/v1/namespaces/{self.namespace}/jobs"

    def job(self, name: str = "fit") -> Any:
        return self.cluster.must("GET", f"{self.jobs}/{name}")

    def decided(self, action: Action) -> Decision:
        """Proposed on fresh evidence and approved by alice, as the object is now."""
        now = time.time()
        with connect(self.actor_kubeconfig, None) as client:
            found = CHANNELS[action.channel].read(client, action)
        assert isinstance(found, Target), found
        action = replace(
            action,
            uid=found.uid or action.uid,
            resource_version=found.resource_version,
            spec_hash=found.spec_hash,
            owner=found.owner,
        )
        evidence = Evidence(("up",), now, 1.0, 100)
        made = Decision(uuid7(now), now, "idle", action, evidence, "because", state_at=now)
        self.journal.add(made)
        return approve(self.journal, made.id, actor="alice", now=now, policy=self.policy)

    def carried_out(self, action: Action) -> Decision:
        made = self.decided(action)
        with connect(self.actor_kubeconfig, None) as client:
            return apply_decision(self.applier(client), made)

    def applier(self, client: Any) -> Applier:
        return Applier(self.journal, client, self.policy, prometheus_now=time.time)

    def verified(self, made: Decision) -> str:
        """The reason of the verification, once there is one."""

        def look() -> str:
            with connect(self.actor_kubeconfig, None) as client:
                found = verify(made, client)
            assert found.state in (State.APPLIED, State.VERIFIED), found
            return found.reason if found.state is State.VERIFIED else ""

        return eventually(look, what="verified")

    def reverted(self, made: Decision) -> Decision:
        with connect(self.actor_kubeconfig, None) as client:
            return revert(self.applier(client), made, "it did harm")

    def add_kueue_workload(self) -> list[dict[str, str]]:
        """A Workload of two pods that waits for another check and for ours; the checks."""
        path = self.kueue
        spec = pod_manifest("x", namespace=self.namespace)["spec"]
        body = {
            "apiVersion": "kueue.x-k8s.io/v1beta2",
            "kind": "Workload",
            "metadata": {"name": "fit", "labels": {MANAGED: "true"}},
            "spec": {"podSets": [{"name": "main", "count": 2, "template": {"spec": spec}}]},
        }
        self.cluster.must("POST", path, body)
        since = "2026-01-01T00:00:00Z"
        pending = {"state": "Pending", "message": "", "lastTransitionTime": since}
        checks = [{"name": name, **pending} for name in ("other", CHECK)]
        status = {"status": {"admissionChecks": checks}}
        self.cluster.must("PATCH", f"{path}/fit/status", status, content_type=MERGE_PATCH)
        return checks

    @property
    def kueue(self) -> str:
        return f"/apis/kueue.x-k8s.io/v1beta2/namespaces/{self.namespace}/workloads"


def to(kind: type[Any], stage: Stage, name: str = "train", **own: Any) -> Any:
    """An action of that kind on the stage; what is read of the object comes later."""
    at = {"name": name, "uid": "", "resource_version": "", "node": stage.node}
    inside = {} if kind in (CordonNode, LabelNode, TaintDevice) else {"namespace": stage.namespace}
    return kind(**{**at, **inside, **own})


def install_kueue(cluster: ControlPlane) -> None:
    """Kueue's own CRDs, which validate what is written; its controllers are not here."""
    need("Kueue's CRDs", has_kueue_crds())
    applied = cluster.kubectl("apply", "--server-side", "-f", str(kueue_crds()))
    assert applied.returncode == 0, applied.stderr
    for plural in KUEUE_CRDS:
        path = f"/apis/kueue.x-k8s.io/v1beta2/{plural}"
        eventually(lambda path=path: cluster.request("GET", path)[0] == 200, what=path)  # type: ignore[misc]


def harm_of(stage: Stage, action: Any) -> str:
    """Why it should be taken back, once there is a reason."""
    harm = CHANNELS[action.channel].harm
    assert harm is not None
    with connect(stage.cluster.kubeconfig, None) as client:
        return eventually(lambda: harm(client, action, 0.0) or "", what="harm")


def harmless(stage: Stage, action: Any) -> bool:
    harm = CHANNELS[action.channel].harm
    assert harm is not None
    with connect(stage.cluster.kubeconfig, None) as client:
        return harm(client, action, 0.0) is None
