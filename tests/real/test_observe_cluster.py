"""Nodes and pods of a real API server, read as lightkube hands them over."""

from __future__ import annotations

import pytest

from agentaflow_advisor.observe import connect, read_cluster
from agentaflow_advisor.observe.errors import ClusterUnreachable
from tools.control_plane import ControlPlane

NAMESPACE = "observe-cluster"
GPU = "nvidia.com/gpu"


def gated_pod(name: str) -> dict[str, object]:
    limits = {GPU: "2", "cpu": "1500m", "memory": "1Gi"}
    return {
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"app": "x"}},
        "spec": {
            "schedulingGates": [{"name": "agentaflow.io/placement"}],
            "tolerations": [{"key": GPU, "operator": "Exists"}],
            "containers": [{"name": "c", "image": "i", "resources": {"limits": limits}}],
        },
    }


def test_a_gated_pod_and_its_node(cluster: ControlPlane) -> None:
    """Limits became requests, labels and gate came through, and the node has its room."""
    cluster.add_node("observed", gpus=8, labels={"node.kubernetes.io/instance-type": "p5.48xlarge"})
    namespace = {"metadata": {"name": NAMESPACE, "labels": {"agentaflow.io/managed": "true"}}}
    cluster.must("POST", "/api/v1/namespaces", namespace)
    cluster.must(
        "POST", f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts", {"metadata": {"name": "x"}}
    )
    pod = gated_pod("waiting")
    pod["spec"]["serviceAccountName"] = "x"  # type: ignore[index]
    made = cluster.must("POST", f"/api/v1/namespaces/{NAMESPACE}/pods", pod)
    with connect(cluster.kubeconfig, None) as client:
        state = read_cluster(client)
    (node,) = [node for node in state.nodes if node.name == "observed"]
    assert (node.gpus, node.cpu_cores, node.memory_bytes) == (8, 192.0, 2048 * 2.0**30)
    assert (node.hostname, node.instance_type) == ("observed", "p5.48xlarge")
    (workload,) = [one for one in state.workloads if one.namespace == NAMESPACE]
    assert workload.uid == made["metadata"]["uid"]
    assert workload.resource_version == made["metadata"]["resourceVersion"]
    assert (workload.gpus, workload.cpu_cores, workload.memory_bytes) == (2, 1.5, 2.0**30)
    assert workload.gates == ("agentaflow.io/placement",)
    assert workload.unmodelled == ()
    assert state.namespaces[NAMESPACE]["agentaflow.io/managed"] == "true"


def test_an_unknown_token(cluster: ControlPlane) -> None:
    """A real 401 is one line that says what to do."""
    path = cluster.write_kubeconfig("stranger", "no-such-token")
    with (
        connect(path, None) as client,
        pytest.raises(ClusterUnreachable, match=r"answered 401.*renew the token"),
    ):
        read_cluster(client)
