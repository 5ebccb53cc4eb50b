"""Kueue's Workloads, where its CRDs are installed: those that wait for our AdmissionCheck."""

from __future__ import annotations

from typing import Any, cast

from lightkube.generic_resource import create_global_resource, create_namespaced_resource
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import Pod

from agentaflow_advisor.model import Workload
from agentaflow_advisor.model.names import CHECK
from agentaflow_advisor.observe import kubernetes

ADMISSION_CHECK = create_global_resource(
    "kueue.x-k8s.io", "v1beta2", "AdmissionCheck", "admissionchecks"
)
WORKLOAD = create_namespaced_resource("kueue.x-k8s.io", "v1beta2", "Workload", "workloads")


def check_of(seen: Any, name: str = CHECK) -> dict[str, Any] | None:
    """The state of that check in a Workload's status; None where it is not asked for."""
    checks = (seen.get("status") or {}).get("admissionChecks") or ()
    return next((dict(one) for one in checks if one.get("name") == name), None)


def workload(seen: Any) -> Workload:
    """All pods of all its pod sets as one workload, on one node.

    It waits for us while our check is Pending or asked to Retry.
    """
    meta = seen.metadata or ObjectMeta()
    sets = (seen.get("spec") or {}).get("podSets") or ()
    asks = [(_pod(one), int(one.get("count", 1))) for one in sets]
    check = check_of(seen) or {}
    extended: dict[str, int] = {}
    for pod, count in asks:
        for name, amount in pod.extended.items():
            extended[name] = extended.get(name, 0) + amount * count
    return Workload(
        namespace=meta.namespace or "",
        name=meta.name or "",
        uid=meta.uid or "",
        resource_version=meta.resourceVersion or "",
        kind="Workload",
        phase="Pending" if check.get("state") in ("Pending", "Retry") else "Running",
        gpus=sum(pod.gpus * count for pod, count in asks),
        cpu_cores=sum(pod.cpu_cores * count for pod, count in asks),
        memory_bytes=sum(pod.memory_bytes * count for pod, count in asks),
        priority=int((seen.get("spec") or {}).get("priority") or 0),
        extended=extended,
        created_at=meta.creationTimestamp.timestamp() if meta.creationTimestamp else 0.0,
        labels=meta.labels or {},
        annotations=meta.annotations or {},
        node_selector={key: value for pod, _ in asks for key, value in pod.node_selector.items()},
        tolerations=tuple({one for pod, _ in asks for one in pod.tolerations}),
        has_affinity=any(pod.has_affinity for pod, _ in asks),
        unmodelled=tuple(sorted({name for pod, _ in asks for name in pod.unmodelled})),
        deleting=meta.deletionTimestamp is not None,
    )


def _pod(pod_set: dict[str, Any]) -> Workload:
    spec = (pod_set.get("template") or {}).get("spec") or {"containers": []}
    return kubernetes.workload(cast(Pod, Pod.from_dict({"metadata": {}, "spec": spec})))
