"""`make demo-kubernetes`: the fleet's pods in a real Kubernetes, and gated ones placed."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

from tools.control_plane import ControlPlane
from tools.processes import eventually
from tools.prometheus import PrometheusServer
from tools.terminal import BIN, WINDOW, agentaflow, say

MANAGED = {"agentaflow.io/managed": "true"}
GATE = "agentaflow.io/placement"
MANIFESTS = Path(__file__).parents[1] / "scheduler_advisor" / "manifests"
SETTINGS = """# The pods of this demo are seconds old: they need not grow old to be evicted.
eviction_min_age_seconds: 0
eviction_cooldown_seconds: 0
standing_approvals:
  - name: submitted-work
    channels: [suspended-job]
    namespaces: [research]
    max_per_day: 100
"""
NOTEBOOKS = "research"  # the one namespace that lets us act
SUBMITTED = "nightly-eval"
PLACED = ("Placed", "Running", "Succeeded")
INSTANCE_TYPES = {
    "NVIDIA H100 80GB HBM3": "p5.48xlarge",
    "NVIDIA A100-SXM4-80GB": "p4de.24xlarge",
    "NVIDIA L4": "g6.48xlarge",
}
WAITING = (  # namespace, name, GPUs
    ("research", "protein-folding", 1),
    ("research", "ablation-17", 1),
    ("research", "reward-model", 1),
    ("serving", "chat-canary", 1),
)


def show(
    stack: contextlib.ExitStack, prometheus: PrometheusServer, where: list[str]
) -> tuple[list[str], ControlPlane]:
    """Pods wait behind their gates; the advisor proposes, a person approves, Kubernetes binds.

    `where` names Prometheus and the journal; the flags that name the cluster are returned.
    """
    say("starting etcd, kube-apiserver, kube-scheduler, kube-controller-manager (real), kwok")
    cluster = stack.enter_context(ControlPlane())
    populate(cluster, prometheus)
    for namespace, name, gpus in WAITING:
        create_gated_pod(cluster, namespace, name, gpus)
    in_cluster = [f"--kubeconfig={cluster.kubeconfig}"]
    observed = [*where, *in_cluster, f"--window={WINDOW}"]
    journal = where[1]

    agentaflow("recommend", *observed)
    look = ("get", "pods", "-A", "--selector=agentaflow.io/managed", "-o=wide")
    kubectl(cluster, *look)
    agentaflow("place", *observed, "--strategy=best_fit")
    agentaflow("approve", journal, *proposed(journal, "scheduling-gate"))
    agentaflow("apply", *where, *in_cluster, "--channel=scheduling-gate", "--wait=30")
    kubectl(cluster, *look)
    say("an idle notebook is evicted by hand: what waited for its GPU gets it")
    config = settle(cluster, Path(journal.removeprefix("--journal=")).parent)
    acting = [*where, *in_cluster, f"--config={config}"]
    evicting = [*acting, "--channel=eviction"]
    agentaflow("propose", *evicting, f"--window={WINDOW}")
    if waiting := proposed(journal):
        agentaflow("approve", journal, waiting[0])
        agentaflow("apply", *evicting, "--wait=30")
    agentaflow("place", *observed, "--strategy=best_fit")
    agentaflow("approve", journal, *proposed(journal, "scheduling-gate"))
    agentaflow("apply", *where, *in_cluster, "--channel=scheduling-gate", "--wait=30")
    kubectl(cluster, *look)
    agentaflow("journal", "list", journal)
    agentaflow("journal", "verify", journal)
    channels = ("scheduling-gate", "suspended-job", "eviction", "cordon")
    acting = [*in_cluster, f"--config={config}", *(f"--channel={name}" for name in channels)]
    return acting, cluster


def follow(cluster: ControlPlane, journal: str) -> None:
    """What `serve` does with work that is submitted: its place needs no person's yes."""
    say("work is submitted while `serve` runs, and told why it waits:")
    into = (f"--into={NOTEBOOKS}", f"--kubeconfig={cluster.kubeconfig}")
    agentaflow("submit", SUBMITTED, "--image=example.test/none", *into)
    path = f"/apis/agentaflow.io/v1alpha1/namespaces/{NOTEBOOKS}/gpuworkloads/{SUBMITTED}"

    def judged() -> bool:
        said = cluster.must("GET", path).get("status", {}).get("conditions", ())
        return any("no node can take it" in one["message"] for one in said) or placed()

    def placed() -> bool:
        return cluster.must("GET", path).get("status", {}).get("phase") in PLACED

    eventually(judged, 120, what="submitted work judged")
    why = "NAME:.metadata.name,PHASE:.status.phase,WHY:.status.conditions[0].message"
    kubectl(cluster, "get", "gpuworkloads", f"--namespace={NOTEBOOKS}", f"-o=custom-columns={why}")
    if waiting := proposed(journal, "eviction"):
        say("a person agrees to one more eviction, a standing approval to what follows from it:")
        agentaflow("approve", journal, waiting[0])
        eventually(placed, 120, what="submitted work placed")
    for made in decisions(journal, "suspended-job", "applied", "verified"):
        agentaflow("journal", "show", journal, made)
    kubectl(cluster, "get", "gpuworkloads,jobs,pods", f"--namespace={NOTEBOOKS}")
    kubectl(cluster, "get", "gpunodes,gpurecommendations", "--all-namespaces")
    say(f"export KUBECONFIG={cluster.kubeconfig}   # kubectl: {cluster.programs['kubectl']}")
    say(f"agentaflow approve {journal} ID   # what `agentaflow journal list` shows as proposed")


def settle(cluster: ControlPlane, folder: Path) -> Path:
    """Our own resources, nodes that opt in, and settings: what is approved in advance."""
    for name in ("crds", "approvals"):
        applied = cluster.kubectl("apply", "-f", str(MANIFESTS / f"{name}.yaml"))
        if applied.returncode:
            raise RuntimeError(applied.stderr)
    cluster.kubectl(
        "label", "nodes", "--all", *(f"{key}={value}" for key, value in MANAGED.items())
    )
    path = "/apis/agentaflow.io/v1alpha1/gpuworkloads"
    eventually(lambda: cluster.request("GET", path)[0] == 200, what=path)
    config = folder / "agentaflow.yaml"
    config.write_text(SETTINGS)
    return config


def populate(cluster: ControlPlane, prometheus: PrometheusServer) -> None:
    """What the simulated fleet says of itself, as nodes and running pods."""
    gpus = Counter[str]()
    models: dict[str, str] = {}
    for row in prometheus.query("agentaflow_gpu_info"):
        gpus[row["metric"]["node"]] += 1
        models[row["metric"]["node"]] = row["metric"]["name"]
    for node, count in sorted(gpus.items()):
        labels = {"node.kubernetes.io/instance-type": INSTANCE_TYPES[models[node]]}
        cluster.add_node(node, gpus=count, labels=labels)
    held = Counter[tuple[str, str, str]]()
    for row in prometheus.query("agentaflow_gpu_pod_info"):
        held[row["metric"]["namespace"], row["metric"]["pod"], row["metric"]["node"]] += 1
    namespaces = {"agentaflow", *(pod[0] for pod in held), *(pod[0] for pod in WAITING)}
    for namespace in sorted(namespaces - {"default"}):
        metadata: dict[str, Any] = {"name": namespace}
        if namespace == NOTEBOOKS:
            metadata["labels"] = MANAGED
        cluster.must("POST", "/api/v1/namespaces", {"metadata": metadata})
    for namespace in sorted(namespaces):
        account = f"/api/v1/namespaces/{namespace}/serviceaccounts/default"
        eventually(lambda path=account: cluster.request("GET", path)[0] == 200, what=account)  # type: ignore[misc]
    for (namespace, name, node), count in sorted(held.items()):
        mine = MANAGED if namespace == NOTEBOOKS else None
        create_pod(cluster, namespace, name, count, spec={"nodeName": node}, labels=mine)
    say(f"{len(gpus)} nodes, {sum(gpus.values())} GPUs, {len(held)} running pods")


def create_gated_pod(cluster: ControlPlane, namespace: str, name: str, gpus: int) -> None:
    spec: dict[str, Any] = {"schedulingGates": [{"name": GATE}]}
    create_pod(cluster, namespace, name, gpus, spec=spec, labels=MANAGED)


def create_pod(
    cluster: ControlPlane,
    namespace: str,
    name: str,
    gpus: int,
    *,
    spec: dict[str, Any],
    labels: dict[str, str] | None = None,
) -> None:
    resources = {"limits": {"nvidia.com/gpu": gpus}, "requests": {"cpu": "2", "memory": "16Gi"}}
    container = {"name": "main", "image": "example.test/none", "resources": resources}
    body = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels or {}},
        "spec": {"containers": [container], **spec},
    }
    cluster.must("POST", f"/api/v1/namespaces/{namespace}/pods", body)


def proposed(journal: str, channel: str = "") -> list[str]:
    """The ids of what waits for an approval, of one channel where it is named."""
    return decisions(journal, channel, "proposed")


def decisions(journal: str, channel: str, *states: str) -> list[str]:
    """The ids of those in one of the states, of one channel where it is named."""
    said = subprocess.run(
        [BIN / "agentaflow", "journal", "list", "--output=json", journal],
        capture_output=True, check=True,
    )  # fmt: skip
    return [
        row["id"]
        for row in json.loads(said.stdout)["decisions"]
        if row["state"] in states and channel in ("", row["action"]["channel"])
    ]


def kubectl(cluster: ControlPlane, *arguments: str) -> None:
    print(f"\n$ kubectl {' '.join(arguments)}", flush=True)
    print(cluster.kubectl(*arguments).stdout, end="", flush=True)
