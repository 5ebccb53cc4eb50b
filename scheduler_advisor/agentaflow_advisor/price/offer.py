"""Where a node is rented and how: provider, region and capacity, as its labels tell it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from agentaflow_advisor.model import Node

Capacity = Literal["on_demand", "spot", "own"]

INSTANCE = "node.kubernetes.io/instance-type"
REGION = ("topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region")
PROVIDERS: Mapping[str, tuple[str, ...]] = {
    "AWS": ("eks.amazonaws.com/", "karpenter.k8s.aws/", "alpha.eksctl.io/", "topology.k8s.aws/"),
    "GCP": ("cloud.google.com/", "topology.gke.io/", "karpenter.k8s.gcp/"),
    "Azure": ("kubernetes.azure.com/", "karpenter.azure.com/"),
}
"""Provider → beginnings of the labels that only its clusters have."""

SPOT: frozenset[tuple[str, str]] = frozenset(
    {
        ("karpenter.sh/capacity-type", "spot"),
        ("eks.amazonaws.com/capacitytype", "spot"),
        ("cloud.google.com/gke-spot", "true"),
        ("cloud.google.com/gke-preemptible", "true"),
        ("cloud.google.com/gke-provisioning", "spot"),
        ("cloud.google.com/gke-provisioning", "preemptible"),
        ("kubernetes.azure.com/scalesetpriority", "spot"),
        ("node.kubernetes.io/lifecycle", "spot"),
    }
)
"""Labels, in lower case, each of which says that the node may be taken back at any time."""


def provider_of(node: Node) -> str | None:
    """Whose cluster the node is in; None where no label, or labels of several, tell it."""
    found = {
        provider
        for provider, prefixes in PROVIDERS.items()
        if any(label.startswith(prefixes) for label in node.labels)
    }
    return found.pop() if len(found) == 1 else None


def region_of(node: Node) -> str | None:
    """The cloud's region, from the well-known label."""
    return next((node.labels[label] for label in REGION if node.labels.get(label)), None)


def capacity_of(node: Node) -> Capacity:
    """On demand, unless a label says spot."""
    said = {(label.lower(), value.lower()) for label, value in node.labels.items()}
    return "spot" if said & SPOT else "on_demand"
