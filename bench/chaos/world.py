"""The cluster that is acted on: what waits, runs and is sick there, in batches."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from agentaflow_advisor.act.channels import CHANNELS
from agentaflow_advisor.decide.approval import approve
from agentaflow_advisor.decide.journal import Journal
from agentaflow_advisor.decide.proposal import uuid7
from agentaflow_advisor.model import (
    Action,
    CordonNode,
    Decision,
    EvictPod,
    Evidence,
    LabelNode,
    TaintDevice,
    Target,
)
from agentaflow_advisor.model.names import CHECK, GATE, MANAGED
from agentaflow_advisor.observe.cluster import connect
from bench.chaos.worker import POLICY
from tests.support.applying import pod_manifest
from tests.support.stage import install_kueue
from tools.control_plane import MERGE_PATCH, ControlPlane
from tools.processes import eventually

WAITS = ("pod", "job", "kueue", "ours", "pod", "pod", "job", "pod")
"""What waits for us, one after the other; where it goes, the advisor itself finds out."""
DECIDED = (EvictPod, LabelNode, CordonNode, TaintDevice, EvictPod)
"""What is decided here, as analyses would."""
RULES = "/apis/resource.k8s.io/v1/devicetaintrules"


class World:
    """One namespace and the nodes; each batch has objects of its own."""

    def __init__(self, cluster: ControlPlane, seed: int, nodes: list[str], gpus: int) -> None:
        self.cluster, self.namespace, self.nodes = cluster, "chaos", nodes
        self.random = random.Random(seed)
        self.numbers = itertools.count()
        self.waits, self.decided_on = itertools.cycle(WAITS), itertools.cycle(DECIDED)
        install_kueue(cluster)
        labels = {"name": self.namespace, "labels": {MANAGED: "true"}}
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": labels}
        cluster.must("POST", "/api/v1/namespaces", body)
        account = f"/api/v1/namespaces/{self.namespace}/serviceaccounts/default"
        eventually(lambda: cluster.request("GET", account)[0] == 200, what=account)
        for node in nodes:
            cluster.add_node(node, gpus=gpus, labels={MANAGED: "true"})
        eventually(lambda: all(map(self._ready, nodes)), 60, what="nodes ready")
        inside = f"namespaces/{self.namespace}"
        self.pods = f"/api/v1/{inside}/pods"
        self.jobs = f"/apis/batch/v1/{inside}/jobs"
        self.workloads = f"/apis/kueue.x-k8s.io/v1beta2/{inside}/workloads"

    def _ready(self, node: str) -> bool:
        seen = self.cluster.must("GET", f"/api/v1/nodes/{node}")
        conditions = seen["status"].get("conditions", [])
        return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions) and not seen[
            "spec"
        ].get("taints")

    def batch(self, size: int) -> list[Action]:
        """New objects: what waits, and an action on each other; two on one node never meet."""
        free = list(self.nodes)
        self.random.shuffle(free)
        actions = []
        for number in range(size):
            name = f"w-{next(self.numbers)}"
            if number % 3:
                self._add_waiting(next(self.waits), name)
            else:
                actions.append(self._made(next(self.decided_on), name, free))
        return actions

    def _add_waiting(self, what: str, name: str) -> None:
        make: dict[str, Callable[[], Any]] = {
            "pod": lambda: self._add_pod(name, (GATE,)),
            "job": lambda: self.add_job(name),
            "kueue": lambda: self._add_workload(name),
            "ours": lambda: self._add_pod(name, (), schedulerName="agentaflow"),
        }
        make[what]()

    def _made(self, kind: type[Action], name: str, free: list[str]) -> Action:
        at: dict[str, Any] = {"uid": "", "resource_version": ""}
        if kind is EvictPod or not free:
            node = self.random.choice(self.nodes)
            self._add_pod(name, (), nodeName=node)
            return EvictPod(**at, namespace=self.namespace, name=name, node=node)
        node = free.pop()
        if kind is TaintDevice:
            device: dict[str, Any] = {"driver": "gpu.nvidia.com", "pool": node, "device": name}
            at["uid"] = f"gpu.nvidia.com/{node}/{name}"
            return TaintDevice(**at, name=f"agentaflow-{name}", node=node, **device)
        if kind is LabelNode:
            labels = {"agentaflow.io/chaos": name}
            return LabelNode(**at, name=node, node=node, labels=labels)
        return CordonNode(**at, name=node, node=node)

    def _add_pod(self, name: str, gates: tuple[str, ...], **spec: Any) -> Any:
        gpus = 0 if "nodeName" in spec else 1  # what runs leaves the room to what waits
        manifest = pod_manifest(name, namespace=self.namespace, gates=gates, gpus=gpus)
        manifest["spec"] |= {"terminationGracePeriodSeconds": 0, **spec}
        return self.cluster.must("POST", self.pods, manifest)

    def add_job(self, name: str) -> Any:
        template = pod_manifest(name, namespace=self.namespace, gates=())["spec"]
        template = {**template, "restartPolicy": "Never"}
        del template["schedulingGates"]
        metadata = {"name": name, "labels": {MANAGED: "true"}}
        spec = {"suspend": True, "template": {"spec": template}}
        body = {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}
        return self.cluster.must("POST", self.jobs, body)

    def _add_workload(self, name: str) -> None:
        spec = pod_manifest("x", namespace=self.namespace)["spec"]
        body = {
            "apiVersion": "kueue.x-k8s.io/v1beta2",
            "kind": "Workload",
            "metadata": {"name": name, "labels": {MANAGED: "true"}},
            "spec": {"podSets": [{"name": "main", "count": 1, "template": {"spec": spec}}]},
        }
        self.cluster.must("POST", self.workloads, body)
        pending = {"state": "Pending", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}
        status = {"status": {"admissionChecks": [{"name": CHECK, **pending}]}}
        path = f"{self.workloads}/{name}/status"
        self.cluster.must("PATCH", path, status, content_type=MERGE_PATCH)

    def decided(
        self, journal: Journal, action: Action, evidence: Evidence, *, stale: bool
    ) -> Decision:
        """Proposed and approved for the object as it is now."""
        now = time.time()
        with connect(self.cluster.kubeconfig, None) as client:
            found = CHANNELS[action.channel].read(client, action)
        assert isinstance(found, Target), found
        action = replace(
            action,
            uid=found.uid,
            resource_version=found.resource_version,
            spec_hash=found.spec_hash,
            marker=found.annotations.get("agentaflow.io/decision"),
        )
        strategy = "stale" if stale else "chaos"
        made = Decision(uuid7(now), now, strategy, action, evidence, "because", state_at=now)
        journal.add(made)
        return approve(journal, made.id, actor="alice", now=now, policy=POLICY)

    def clear(self) -> None:
        """The batch's objects go, so that lists stay short; the nodes' labels stay."""
        for path in (self.jobs, self.workloads, self.pods, RULES):
            where = f"{path}?gracePeriodSeconds=0&propagationPolicy=Background"
            self.cluster.request("DELETE", where)
        for node in self.nodes:
            opened = {"spec": {"taints": None, "unschedulable": None}}
            path = f"/api/v1/nodes/{node}"
            self.cluster.request("PATCH", path, opened, content_type=MERGE_PATCH)

    def uids(self) -> dict[str, str]:
        """Of all pods and Jobs there are: uid → the decision that it carries."""
        listed = [one for path in (self.pods, self.jobs) for one in self._items(path)]
        return {
            one["metadata"]["uid"]: one["metadata"]
            .get("annotations", {})
            .get("agentaflow.io/decision", "")
            for one in listed
        }

    def _items(self, path: str) -> list[Any]:
        return list(self.cluster.must("GET", path)["items"])
