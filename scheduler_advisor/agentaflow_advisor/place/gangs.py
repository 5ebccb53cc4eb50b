"""Gangs of a live cluster: pods that run together, by their labels, annotations or controllers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from agentaflow_advisor.model import Workload
from agentaflow_advisor.model.names import GANG, GANG_SIZE

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
REPLICATED = frozenset({"ReplicaSet", "ReplicationController", "StatefulSet"})
"""Controllers whose pods can be replaced one by one; those of any other are a gang."""
OF_THE_NODE = frozenset({"DaemonSet", "Node"})


def gangs(pods: Iterable[Workload]) -> Mapping[str, str]:
    """Uid → name of its gang, for pods that have one of more than one pod; those of one controller
    that are not replaced one by one are one, too.
    """
    named: defaultdict[str, list[str]] = defaultdict(list)
    for pod in pods:
        if name := declared(pod) or _controlled(pod):
            named[name].append(pod.uid)
    return {uid: name for name, uids in named.items() if len(uids) > 1 for uid in uids}


def declared(pod: Workload) -> str:
    """The name of the gang that the pod says it is of; empty where it says none."""
    for label in GANG_LABELS:
        if value := _said(pod, label):
            return f"{pod.namespace}/{label}={value}"
    return ""


def size(pods: Iterable[Workload]) -> int | None:
    """Of how many pods their gang is, by the largest number that one of them says; None without.

    Raises ValueError where that is no number.
    """
    told = [value for pod in pods for label in SIZE_LABELS if (value := _said(pod, label))]
    for value in told:
        if not (value.isascii() and value.isdigit()):
            raise ValueError(f"its size {value!r} is no whole number")
    return max(map(int, told), default=None)


def _said(pod: Workload, label: str) -> str | None:
    return pod.labels.get(label) or pod.annotations.get(label)


def _controlled(pod: Workload) -> str:
    kind = (pod.owner or "").partition("/")[0]
    return "" if kind in REPLICATED | OF_THE_NODE | {""} else f"{pod.namespace}/{pod.owner}"
