"""The cluster that is acted on: pods, Jobs and nodes in batches, and the people who change them."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
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
    PlacePod,
    ReleaseJob,
    Target,
)
from agentaflow_advisor.model.names import GATE, MANAGED
from agentaflow_advisor.observe.cluster import connect
from bench.chaos.faults import STALE_SECONDS
from bench.chaos.worker import POLICY, UNDONE
from tests.support.applying import pod_manifest
from tools.control_plane import MERGE_PATCH, ControlPlane
from tools.processes import eventually

STALE_EVERY = 20  # one decision in so many rests on evidence that is too old
MIX = (PlacePod,) * 9 + (EvictPod,) * 4 + (ReleaseJob,) * 3 + (LabelNode, CordonNode)


class World:
    """One namespace and its nodes; each batch has objects of its own."""

    def __init__(self, cluster: ControlPlane, seed: int) -> None:
        self.cluster, self.namespace = cluster, "chaos"
        self.random = random.Random(seed)
        self.numbers = itertools.count()
        self.replaced: set[str] = set()  # uids of pods that took the place of others
        labels = {"name": self.namespace, "labels": {MANAGED: "true"}}
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": labels}
        cluster.must("POST", "/api/v1/namespaces", body)
        account = f"/api/v1/namespaces/{self.namespace}/serviceaccounts/default"
        eventually(lambda: cluster.request("GET", account)[0] == 200, what=account)
        self.nodes = cluster.add_nodes(12, gpus=1000, labels={MANAGED: "true"}, prefix="chaos")
        eventually(lambda: all(map(self._ready, self.nodes)), 60, what="nodes ready")

    @property
    def pods(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/pods"

    @property
    def jobs(self) -> str:
        return f"/apis/batch/v1/namespaces/{self.namespace}/jobs"

    def _ready(self, node: str) -> bool:
        seen = self.cluster.must("GET", f"/api/v1/nodes/{node}")
        conditions = seen["status"].get("conditions", [])
        return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions) and not seen[
            "spec"
        ].get("taints")

    def batch(self, size: int) -> Iterator[Action]:
        """New objects, and an action on each; two actions on one node never meet."""
        free = list(self.nodes)
        self.random.shuffle(free)
        for _ in range(size):
            kind = self.random.choice(MIX)
            if kind in (LabelNode, CordonNode) and not free:
                kind = PlacePod
            yield self._made(kind, free)

    def _made(self, kind: type[Action], free: list[str]) -> Action:
        name, node = f"w-{next(self.numbers)}", self.random.choice(self.nodes)
        at: dict[str, Any] = {"uid": "", "resource_version": ""}
        inside: dict[str, Any] = {"namespace": self.namespace, "name": name, "node": node}
        if kind is PlacePod:
            self._add_pod(name, (GATE,))
            return PlacePod(**at, **inside, gate=GATE, hostname=node)
        if kind is EvictPod:
            self._add_pod(name, (), node)
            return EvictPod(**at, **inside)
        if kind is ReleaseJob:
            self._add_job(name)
            return ReleaseJob(**at, **inside, hostname=node)
        mine = free.pop()
        if kind is LabelNode:
            return LabelNode(**at, name=mine, node=mine, labels={"agentaflow.io/chaos": name})
        return CordonNode(**at, name=mine, node=mine)

    def _add_pod(self, name: str, gates: tuple[str, ...], node: str = "") -> Any:
        manifest = pod_manifest(name, namespace=self.namespace, gates=gates)
        manifest["spec"] |= {"terminationGracePeriodSeconds": 0}
        manifest["spec"] |= {"nodeName": node} if node else {}
        return self.cluster.must("POST", self.pods, manifest)

    def _add_job(self, name: str) -> None:
        template = pod_manifest(name, namespace=self.namespace, gates=())["spec"]
        template = {**template, "restartPolicy": "Never"}
        del template["schedulingGates"]
        metadata = {"name": name, "labels": {MANAGED: "true"}}
        spec = {"suspend": True, "template": {"spec": template}}
        body = {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}
        self.cluster.must("POST", self.jobs, body)

    def decided(self, journal: Journal, action: Action, number: int) -> Decision:
        """Proposed and approved for the object as it is now; some on evidence that is too old."""
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
        stale = number % STALE_EVERY == 0
        evidence = Evidence(("up",), now - STALE_SECONDS * stale, 1.0, 100)
        undone = CHANNELS[action.channel].reversible and action.kind == "Node"
        strategy = "stale" if stale else UNDONE if undone else "chaos"
        made = journal.add(
            Decision(uuid7(now), now, strategy, action, evidence, "because", state_at=now)
        )
        return approve(journal, made.id, actor="alice", now=now, policy=POLICY)

    def meddle(self, path: str) -> None:
        """What somebody else does to the object of that request, right before it arrives."""
        path = path.partition("?")[0].removesuffix("/eviction")
        if "/pods/" not in path or path.count("/") != self.pods.count("/") + 1:
            return
        chance = self.random.random()
        if chance < 0.15:
            self._replace(path)
        elif chance < 0.2:
            self._edit(path, {"metadata": {"labels": {MANAGED: "false"}}})
        else:
            self._edit(path, {"metadata": {"labels": {"touched": str(next(self.numbers))}}})

    def _edit(self, path: str, body: object) -> None:
        self.cluster.request("PATCH", path, body, content_type=MERGE_PATCH)

    def _replace(self, path: str) -> None:
        """As a StatefulSet does: the same name, another pod, which nobody decided about."""
        status, old = self.cluster.request("GET", path)
        if status != 200:
            return
        self.cluster.request("DELETE", f"{path}?gracePeriodSeconds=0")
        gates = tuple(gate["name"] for gate in old["spec"].get("schedulingGates", ()))
        node = "" if gates else old["spec"].get("nodeName", "")
        manifest = pod_manifest(old["metadata"]["name"], namespace=self.namespace, gates=gates)
        manifest["spec"] |= {"nodeName": node} if node else {}
        status, new = self.cluster.request("POST", self.pods, manifest)
        if status == 201:
            self.replaced.add(new["metadata"]["uid"])

    def refill(self, actions: list[Action]) -> None:
        """Pods that were evicted come back under their names, as their controllers would see to."""
        for action in actions:
            if not isinstance(action, EvictPod):
                continue
            path = f"{self.pods}/{action.name}"
            if self.cluster.request("GET", path)[0] == 404:
                manifest = pod_manifest(action.name, namespace=self.namespace, gates=())
                manifest["spec"] |= {"nodeName": action.node}
                status, new = self.cluster.request("POST", self.pods, manifest)
                if status == 201:
                    self.replaced.add(new["metadata"]["uid"])

    def clear(self) -> None:
        """The batch's objects go, so that lists stay short; the nodes' labels stay."""
        for path in (self.jobs, self.pods):
            where = f"{path}?gracePeriodSeconds=0&propagationPolicy=Background"
            self.cluster.request("DELETE", where)

    def uids(self) -> dict[str, str]:
        """Of all pods there are: uid → the decision that it carries."""
        listed = self.cluster.must("GET", self.pods)["items"]
        return {
            pod["metadata"]["uid"]: pod["metadata"]
            .get("annotations", {})
            .get("agentaflow.io/decision", "")
            for pod in listed
        }


def audit_policy(folder: Path) -> tuple[str, ...]:
    """The API server's flags for a log of every write with its body, and where that is."""
    policy = folder / "audit-policy.yaml"
    policy.write_text(
        '{"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],'
        ' "rules": [{"level": "Request", "verbs": ["patch", "create"],'
        ' "resources": [{"group": ""}, {"group": "batch"}]}]}'
    )
    return (f"--audit-policy-file={policy}", f"--audit-log-path={folder / 'audit.log'}")
