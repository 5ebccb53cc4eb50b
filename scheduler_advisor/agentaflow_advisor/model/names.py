"""What things are called in the cluster: the names that people and other programs see."""

from __future__ import annotations

GATE = "agentaflow.io/placement"
MANAGED = "agentaflow.io/managed"  # label of namespaces and pods that opt in
DECISION = "agentaflow.io/decision"  # annotation: the decision that placed the pod
KILL_SWITCH = "agentaflow-kill-switch"  # ConfigMap in the advisor's namespace
FIELD_MANAGER = "agentaflow"
HOSTNAME = "kubernetes.io/hostname"
