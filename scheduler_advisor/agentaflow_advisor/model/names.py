"""What things are called in the cluster: the names that people and other programs see."""

from __future__ import annotations

GATE = "agentaflow.io/placement"
MANAGED = "agentaflow.io/managed"  # label of namespaces and pods that opt in
DECISION = "agentaflow.io/decision"  # annotation: the decision that placed the pod
REVERTED = "agentaflow.io/reverted"  # annotation: the decision that was taken back here
SICK = "agentaflow.io/sick"  # taint of nodes and devices that are better left alone
SUSPECT = "agentaflow.io/suspect"  # label of nodes with a GPU that should be looked at
SCHEDULER = "agentaflow"  # schedulerName of pods that we bind ourselves
CHECK = "agentaflow"  # our AdmissionCheck in Kueue
CONTROLLER = "agentaflow.io/advisor"  # its spec.controllerName
APPROVED = "agentaflow.io/approved"  # annotation of GPURecommendations: the hash that is agreed to
APPROVED_BY = "agentaflow.io/approved-by"  # annotation: the user name of who agreed
GPU = "nvidia.com/gpu"  # resource: whole GPUs
PRODUCT = "nvidia.com/gpu.product"  # label of nodes, by NVIDIA's feature discovery
GANG = "agentaflow.io/gang"  # label or annotation: pods of a namespace that run together
GANG_SIZE = "agentaflow.io/gang-size"  # label or annotation: how many they are
STRATEGY = "agentaflow.io/strategy"  # annotation: how its node is to be chosen
MIN_GPUS = "agentaflow.io/min-gpus"  # annotation of Jobs: enough for each of its pods
KILL_SWITCH = "agentaflow-kill-switch"  # ConfigMap in the advisor's namespace
LEASE = "agentaflow"  # in the advisor's namespace: who of several acts
FIELD_MANAGER = "agentaflow"
HOSTNAME = "kubernetes.io/hostname"

GANG_LABELS = (
    GANG,
    "scheduling.k8s.io/pod-group",
    "scheduling.x-k8s.io/pod-group",
    "pod-group.scheduling.sigs.k8s.io",
    "volcano.sh/group-name",
    "scheduling.volcano.sh/group-name",
    "scheduling.k8s.io/group-name",
    "kueue.x-k8s.io/pod-group-name",
    "jobset.sigs.k8s.io/jobset-uid",
    "jobset.sigs.k8s.io/jobset-name",
    "leaderworkerset.sigs.k8s.io/group-key",
)
"""Labels, or annotations, whose value several pods of a namespace share that run together."""
SIZE_LABELS = (
    GANG_SIZE,
    "kueue.x-k8s.io/pod-group-total-count",
    "leaderworkerset.sigs.k8s.io/size",
)
"""Labels, or annotations, that tell of how many pods a gang is."""
