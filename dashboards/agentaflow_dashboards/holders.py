"""What a GPU is, and the pods and containers that hold the GPUs of a node."""

from __future__ import annotations

from agentaflow_dashboards.frame import BUSY_IS_GOOD
from agentaflow_dashboards.kinds import Column, wide_table
from agentaflow_dashboards.modern import Viz, override
from agentaflow_dashboards.names import OURS
from agentaflow_dashboards.nodes import link_to_gpu, link_to_namespace, link_to_pod
from agentaflow_dashboards.promql import gpu


def identity(chosen: str) -> Viz:
    labels = {
        "uuid": "UUID",
        "name": "Model",
        "serial": "Serial",
        "pci_bus_id": "PCI bus",
        "vbios_version": "VBIOS",
        "architecture": "Architecture",
    }
    return wide_table(
        "Identity",
        "What the driver says it is; the vendor asks for the serial. Good: what was bought.",
        labels,
        [Column("GPU", f"max by ({', '.join(labels)}) ({gpu('info', chosen)})")],
        hidden={"Value": True},
        overrides=[override("UUID", {"custom.width": 340})],
        size=(24, 4),
    )


def holders_of_gpu(chosen: str) -> Viz:
    labels = {
        "cluster": "Cluster",
        "namespace": "Namespace",
        "pod": "Pod",
        "container": "Container",
    }
    return wide_table(
        "Held by",
        "The containers that hold it, as the kubelet says; several share it. Good: one that works. "
        "Missing where the exporter does not know the pods.",
        labels,
        [
            Column(
                "GPU works",
                f"avg by ({', '.join(labels)}) ({_busy_while_held(chosen)})",
                "percentunit",
            )
        ],
        overrides=[link_to_namespace(), link_to_pod()],
        size=(24, 5),
    )


def _busy_while_held(chosen: str) -> str:
    each = "max by (cluster, node, gpu, uuid, namespace, pod, container)"
    return (
        f"{each} ({gpu('pod_info', chosen)})"
        f" * on (cluster, node, gpu, uuid) group_left () {OURS('utilization', chosen)}"
    )


def pods_of_node() -> Viz:
    return wide_table(
        "Pods on this node",
        "Which container holds which GPU, as the kubelet says. Good: every GPU has a pod, and each "
        "pod's GPU works. Missing where the exporter does not know the pods.",
        {
            "cluster": "Cluster",
            "node": "Node",
            "gpu": "GPU",
            "namespace": "Namespace",
            "pod": "Pod",
        },
        [
            Column(
                "Utilisation of the GPU",
                "max by (cluster, node, gpu, uuid, namespace, pod) "
                f"({gpu('pod_info')}) * on (cluster, node, gpu, uuid) group_left ()"
                f" {OURS('utilization')}",
                "percentunit",
                BUSY_IS_GOOD,
                {"decimals": 0},
            )
        ],
        hidden={"uuid": True},
        overrides=[link_to_gpu(), link_to_namespace(), link_to_pod()],
        size=(24, 7),
    )
