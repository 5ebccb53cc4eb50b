"""A namespace of its own on a real cluster, with nodes and gated pods, for tests that act."""

from __future__ import annotations

import secrets
import time
from pathlib import Path
from typing import Any

from agentaflow_advisor.decide.approval import approve
from agentaflow_advisor.decide.journal import Journal
from agentaflow_advisor.decide.policy import Policy
from agentaflow_advisor.decide.proposal import propose
from agentaflow_advisor.model import Decision, PlacePod, Snapshot
from agentaflow_advisor.model.names import GATE, MANAGED
from agentaflow_advisor.observe.cluster import connect, read_cluster
from tests.support.applying import pod_manifest
from tests.support.decisions import placement
from tools.control_plane import MERGE_PATCH, ControlPlane
from tools.processes import eventually


def new_namespace(cluster: ControlPlane) -> str:
    name = f"home-{secrets.token_hex(4)}"
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    cluster.must("POST", "/api/v1/namespaces", body)
    return name


class Scene:
    """One opted-in namespace, also home of its kill switch, and one node that nobody else uses."""

    def __init__(
        self, cluster: ControlPlane, name: str, *, labels: dict[str, str] | None = None
    ) -> None:
        self.cluster, self.namespace, self.node = cluster, name, f"{name}-gpu"
        self.policy = Policy(channels=frozenset({PlacePod.channel}), namespace=name)
        metadata = {"name": name, "labels": {MANAGED: "true"} if labels is None else labels}
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
        cluster.must("POST", "/api/v1/namespaces", body)
        cluster.add_node(self.node, gpus=8)
        account = f"/api/v1/namespaces/{name}/serviceaccounts/default"  # pods are refused before
        eventually(lambda: cluster.request("GET", account)[0] == 200, what=account)
        eventually(self._node_ready, what=f"node {self.node} ready")

    def path(self, pod: str = "train") -> str:
        return f"/api/v1/namespaces/{self.namespace}/pods/{pod}"

    def add_pod(
        self, name: str = "train", *, gates: tuple[str, ...] = (GATE,), gpus: int = 2
    ) -> Any:
        manifest = pod_manifest(name, namespace=self.namespace, gpus=gpus, gates=gates)
        return self.cluster.must("POST", self.path().rpartition("/")[0], manifest)

    def pod(self, name: str = "train") -> Any:
        return self.cluster.must("GET", self.path(name))

    def patch(self, body: object, name: str = "train") -> Any:
        """What someone else does to the pod."""
        return self.cluster.must("PATCH", self.path(name), body, content_type=MERGE_PATCH)

    def delete_pod(self, name: str = "train") -> None:
        self.cluster.must("DELETE", f"{self.path(name)}?gracePeriodSeconds=0")
        eventually(lambda: self.cluster.request("GET", self.path(name))[0] == 404, what="pod gone")

    def replace_pod(self) -> Any:
        """As a StatefulSet does: another pod of the same name."""
        self.delete_pod()
        return self.add_pod()

    def stop(self) -> None:
        """Pull the kill switch."""
        metadata = {"name": "agentaflow-kill-switch"}
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {}}
        path = f"/api/v1/namespaces/{self.namespace}/configmaps"
        self.cluster.must("POST", path, {**body, "data": {"stop": "true"}})

    def approved(self, journal: Journal, pod: str = "train") -> Decision:
        """Observed, proposed for the scene's node, and approved by alice."""
        now = time.time()
        with connect(self.cluster.kubeconfig, None) as client:
            state = read_cluster(client)
        (found,) = (w for w in state.workloads if (w.namespace, w.name) == (self.namespace, pod))
        seen = Snapshot(now, 3600.0, 0.95, (), state.nodes, state.workloads, state.namespaces)
        made = journal.add(propose(placement(found, self.node), seen, now))
        return approve(journal, made.id, actor="alice", now=now, policy=self.policy)

    def bound_to(self, pod: str = "train") -> str:
        """The node that kube-scheduler bound the pod to, once it did."""
        return str(eventually(lambda: self.pod(pod)["spec"].get("nodeName"), what="pod bound"))

    def kubeconfig(self, server: str) -> Path:
        """The admin's, by way of a proxy."""
        return self.cluster.write_kubeconfig(
            f"{self.namespace}-proxied", self.cluster.token, server=server
        )

    def _node_ready(self) -> bool:
        node = self.cluster.must("GET", f"/api/v1/nodes/{self.node}")
        conditions = node["status"].get("conditions", [])
        ready = any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
        return ready and not node["spec"].get("taints")
