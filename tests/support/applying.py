"""An applier on a journal and a cluster, real or fake, whose clock never makes a test wait."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from lightkube import Client

from agentaflow_advisor.act.apply import Applier, Clock
from agentaflow_advisor.decide.approval import approve
from agentaflow_advisor.decide.journal import Journal
from agentaflow_advisor.decide.policy import Policy
from agentaflow_advisor.model import Decision, Workload
from agentaflow_advisor.model.names import GATE, HOSTNAME, MANAGED
from tests.support.decisions import ACTING, NOW, decision

POD_PATH = "/api/v1/namespaces/research/pods/train"
NODE_PATH = "/api/v1/nodes/node-0"
NAMESPACE_PATH = "/api/v1/namespaces/research"
SWITCH_PATH = "/api/v1/namespaces/agentaflow/configmaps/agentaflow-kill-switch"


@dataclass(slots=True)
class Stopwatch:
    """Time that passes only while someone sleeps."""

    seconds: float = 0.0
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds

    def clock(self) -> Clock:
        return Clock(
            now=lambda: NOW + self.seconds, monotonic=lambda: self.seconds, sleep=self.sleep
        )


def applier(
    journal: Journal, client: Client, policy: Policy = ACTING, watch: Stopwatch | None = None
) -> Applier:
    """Prometheus says that it is the time of the decisions of tests.support.decisions."""
    clock = (watch or Stopwatch()).clock()
    return Applier(journal, client, policy, prometheus_now=lambda: NOW, clock=clock)


def approved(journal: Journal, pod: Workload) -> Decision:
    """A decision about the pod that alice has approved just now."""
    made = journal.add(decision(pod))
    return approve(journal, made.id, actor="alice", now=NOW, policy=ACTING)


def pod_manifest(
    name: str, *, namespace: str = "research", gpus: int = 1, gates: tuple[str, ...] = (GATE,)
) -> dict[str, Any]:
    """A pod that opted in and waits behind our gate."""
    resources = {"limits": {"nvidia.com/gpu": str(gpus)}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {MANAGED: "true"}},
        "spec": {
            "schedulingGates": [{"name": gate} for gate in gates],
            "containers": [{"name": "main", "image": "example.test/none", "resources": resources}],
        },
    }


def objects() -> dict[str, dict[str, Any]]:
    """One opted-in namespace, one node of 8 GPUs and one gated pod, by their API paths."""
    pod = pod_manifest("train")
    pod["metadata"] |= {"uid": "uid-train", "resourceVersion": "1"}
    room = {"cpu": "64", "memory": "512Gi", "pods": "110", "nvidia.com/gpu": "8"}
    ready = [{"type": "Ready", "status": "True"}]
    return {
        POD_PATH: pod,
        NODE_PATH: {
            "metadata": {"name": "node-0", "labels": {HOSTNAME: "node-0"}},
            "status": {"allocatable": room, "conditions": ready},
        },
        NAMESPACE_PATH: {"metadata": {"name": "research", "labels": {MANAGED: "true"}}},
    }


def changed(path: str, **changes: Any) -> dict[str, dict[str, Any]]:
    """Those objects with one of them changed, or removed by None; keys are dotted paths."""
    result: dict[str, Any] = json.loads(json.dumps(objects()))
    for dotted, value in changes.items():
        *parents, last = dotted.split("__")
        target = result[path]
        for parent in parents:
            target = target.setdefault(parent, {})
        target[last] = value
    return result
