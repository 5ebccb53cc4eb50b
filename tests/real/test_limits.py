"""What RBAC would let the applier write, and the admission policies of the manifests do not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentaflow_advisor.decide.journal import Journal
from agentaflow_advisor.model import CordonNode, State
from agentaflow_advisor.model.names import MANAGED
from tests.support.rights import Bound, apply_manifests
from tests.support.stage import to
from tools.control_plane import MERGE_PATCH, ControlPlane
from tools.processes import eventually

RULES = "/apis/resource.k8s.io/v1/devicetaintrules"


@pytest.fixture(scope="module")
def limited(own_cluster: ControlPlane) -> ControlPlane:
    """A cluster with every manifest applied."""
    apply_manifests(own_cluster)
    return own_cluster


@pytest.fixture(scope="module")
def stage(limited: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bound]:
    """One for all: what is refused changes nothing."""
    with Journal(tmp_path_factory.mktemp("limits") / "journal.db") as journal:
        made = Bound(limited, journal)
        made.add_job(gpus=2)
        made.add_pod("gated")
        yield made


def refusal(stage: Bound, method: str, url: str, body: Any, *, token: str | None = None) -> str:
    """What the API server says; a policy is in force only a moment after it was made."""
    how = {"content_type": MERGE_PATCH} if method == "PATCH" else {}

    def refused() -> str:
        status, answer = stage.cluster.request(
            method, f"{url}?dryRun=All", body, token=token or stage.token, **how
        )
        return str(answer["message"]) if status == 422 else ""

    return eventually(refused, what="refused by the policy")


def taint(key: str, effect: str) -> dict[str, Any]:
    return {"spec": {"taints": [{"key": key, "effect": effect}]}}


NODES = "only the taint agentaflow.io/sick with NoSchedule"


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        ({"metadata": {"labels": {"team": "mine"}}}, "only labels"),
        ({"metadata": {"labels": {MANAGED: None}}}, "opt in"),
        ({"metadata": {"annotations": {"note": "x"}}}, "only the annotations"),
        ({"metadata": {"annotations": {"agentaflow.io/gang": "x"}}}, "only the annotations"),
        ({"metadata": {"finalizers": ["example.test/stay"]}}, "finalizers"),
        ({"spec": {"podCIDR": "10.9.0.0/24", "podCIDRs": ["10.9.0.0/24"]}}, "only taints and"),
        (taint("agentaflow.io/sick", "NoExecute"), NODES),
        (taint("node.kubernetes.io/evil", "NoExecute"), NODES),
        (taint("node.kubernetes.io/unschedulable", "NoSchedule"), NODES),
        (taint("other", "NoSchedule"), NODES),
    ],
)
def test_of_a_node_only_our_label_taint_and_cordon_may_be_written(
    stage: Bound, patch: dict[str, Any], message: str
) -> None:
    """A taint with NoExecute would evict pods past every PodDisruptionBudget."""
    assert message in refusal(stage, "PATCH", f"/api/v1/nodes/{stage.node}", patch)


def test_our_taint_goes_beside_those_that_are_there(stage: Bound) -> None:
    """One that evicts carries the time at which it was put there, which has to stay as it is."""
    there = {"key": "example.test/broken", "effect": "NoExecute"}
    there["timeAdded"] = "2026-01-01T00:00:00Z"
    stage.change_node({"spec": {"taints": [there]}})
    made = stage.carried_out(to(CordonNode, stage, stage.node))
    assert made.state is State.APPLIED, made.reason
    assert there in stage.node_now()["spec"]["taints"]
    assert stage.reverted(made).state is State.REVERTED
    assert stage.node_now()["spec"]["taints"] == [there]


def template(**spec: Any) -> dict[str, Any]:
    return {"spec": {"template": {"spec": spec}}}


def containers(**resources: Any) -> dict[str, Any]:
    amounts = {"limits": resources, "requests": resources}
    return template(
        containers=[{"name": "main", "image": "example.test/none", "resources": amounts}]
    )


JOBS = "of the spec only suspend"
GPUS = "of resources only the number of GPUs may be changed, to fewer"


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        ({"metadata": {"labels": {"team": "mine"}}}, "labels, finalizers"),
        ({"metadata": {"annotations": {"note": "x"}}}, "only the annotations"),
        ({"spec": {"activeDeadlineSeconds": 1}}, JOBS),
        ({"spec": {"parallelism": 0}}, JOBS),
        ({"spec": {"ttlSecondsAfterFinished": 0}}, JOBS),
        ({"spec": {"template": {"metadata": {"labels": {"app": "other"}}}}}, JOBS),
        (template(tolerations=[{"operator": "Exists"}]), "of the template only"),
        (template(nodeSelector={"example.test/zone": "a"}), "only kubernetes.io/hostname"),
        (containers(**{"nvidia.com/gpu": "4"}), GPUS),
        (containers(**{"nvidia.com/gpu": "2", "cpu": "1"}), GPUS),
    ],
)
def test_of_a_job_only_suspend_node_and_fewer_gpus_may_be_written(
    stage: Bound, patch: dict[str, Any], message: str
) -> None:
    """The rest of a Job is its owner's."""
    assert message in refusal(stage, "PATCH", f"{stage.jobs}/fit", patch)


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        ({"spec": {"nodeSelector": {"example.test/zone": "a"}}}, "only kubernetes.io/hostname"),
        ({"spec": {"activeDeadlineSeconds": 60}}, "nor anything but gate and node"),
    ],
)
def test_of_a_gated_pod_only_gate_and_node_may_be_written(
    stage: Bound, patch: dict[str, Any], message: str
) -> None:
    """Together with the removal of our gate, which would be allowed by itself."""
    patch["spec"]["schedulingGates"] = None
    assert message in refusal(stage, "PATCH", stage.path("gated"), patch)


def workload(name: str, **spec: Any) -> dict[str, Any]:
    container = {"name": "main", "image": "example.test/none", **spec.pop("container", {})}
    return {
        "apiVersion": "agentaflow.io/v1alpha1",
        "kind": "GPUWorkload",
        "metadata": {"name": name, "labels": {MANAGED: "true"}},
        "spec": {"gpus": 1, "template": {"containers": [container], **spec}},
    }


def workloads(stage: Bound) -> str:
    return f"/apis/agentaflow.io/v1alpha1/namespaces/{stage.namespace}/gpuworkloads"


ESCAPES = [
    ({"hostNetwork": True}, "hostNetwork"),
    ({"hostPID": True}, "hostPID"),
    ({"volumes": [{"name": "root", "hostPath": {"path": "/"}}]}, "hostPath"),
    ({"serviceAccountName": "powerful"}, "service account default"),
    ({"nodeName": "node-0"}, "does not name its node"),
    ({"container": {"securityContext": {"privileged": True}}}, "privileged"),
    ({"container": {"securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}}}, "capabilities"),
]


@pytest.mark.parametrize(("spec", "message"), ESCAPES)
def test_a_gpuworkload_asks_for_nothing_that_its_user_could_not_have(
    stage: Bound, spec: dict[str, Any], message: str
) -> None:
    """Its Job is made with the applier's rights: not even an admin gets these through."""
    body = workload("escape", **spec)
    told = refusal(stage, "POST", workloads(stage), body, token=stage.cluster.token)
    assert message in told


def job(owner: Any = None, **spec: Any) -> dict[str, Any]:
    """The Job that the applier would make for a GPUWorkload."""
    container = {"name": "main", "image": "example.test/none", **spec.pop("container", {})}
    pod = {"restartPolicy": "Never", "containers": [container], **spec}
    metadata: dict[str, Any] = {"name": "mine", "labels": {MANAGED: "true"}}
    if owner is not None:
        identity = {"name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"]}
        kind = {"apiVersion": "agentaflow.io/v1alpha1", "kind": "GPUWorkload", "controller": True}
        metadata["ownerReferences"] = [{**kind, **identity}]
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {"suspend": True, "parallelism": 1, "template": {"spec": pod}},
    }


@pytest.fixture(scope="module")
def owner(stage: Bound) -> Any:
    return stage.cluster.must("POST", workloads(stage), workload("mine"))


@pytest.mark.parametrize(("spec", "message"), ESCAPES)
def test_a_job_that_the_applier_makes_asks_for_no_more_either(
    stage: Bound, owner: Any, spec: dict[str, Any], message: str
) -> None:
    """As its GPUWorkload: so it holds for those that were there before the policy."""
    assert message in refusal(stage, "POST", stage.jobs, job(owner, **spec))


def test_the_job_of_a_gpuworkload_may_be_made(stage: Bound, owner: Any) -> None:
    """Suspended, owned, with its containers: that is what the suspended-job channel waits for."""

    def accepted() -> bool:
        url = f"{stage.jobs}?dryRun=All"
        return stage.cluster.request("POST", url, job(owner), token=stage.token)[0] == 201

    eventually(accepted, what="accepted")


def test_a_job_without_its_gpuworkload_is_not_made(stage: Bound, owner: Any) -> None:
    """Neither one of nobody, nor one of another name, nor a running one."""
    assert "one of a GPUWorkload" in refusal(stage, "POST", stage.jobs, job())
    other = {"metadata": {**owner["metadata"], "name": "other"}}
    assert "one of a GPUWorkload" in refusal(stage, "POST", stage.jobs, job(other))
    running = job(owner)
    running["spec"]["suspend"] = False
    assert "has to be suspended" in refusal(stage, "POST", stage.jobs, running)


def rule(**changes: Any) -> dict[str, Any]:
    selector = {"driver": "gpu.nvidia.com", "pool": "node-0", "device": "gpu-0"}
    body: dict[str, Any] = {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "DeviceTaintRule",
        "metadata": {"name": changes.pop("name", "agentaflow-x")},
    }
    taint = {"key": "agentaflow.io/sick", "effect": changes.pop("effect", "NoSchedule")}
    chosen = {key: value for key, value in {**selector, **changes}.items() if value}
    return {**body, "spec": {"deviceSelector": chosen, "taint": taint}}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (rule(effect="NoExecute"), "only the effects None and NoSchedule"),
        (rule(device=None), "select one device"),
        (rule(device=None, pool=None), "select one device"),
        (rule(name="other"), "has to be named agentaflow-"),
    ],
)
def test_a_device_rule_is_about_one_device_and_evicts_nothing(
    stage: Bound, body: dict[str, Any], message: str
) -> None:
    """NoExecute ignores disruption budgets; a whole driver is a whole fleet."""
    assert message in refusal(stage, "POST", RULES, body)


def test_a_device_rule_stays_with_its_device_and_effect(stage: Bound) -> None:
    """A rule that is there can be given neither another device nor NoExecute."""
    stage.cluster.must("POST", RULES, rule(name="agentaflow-there"))
    url = f"{RULES}/agentaflow-there"
    other = {"spec": {"deviceSelector": {"device": "gpu-1"}}}
    assert "stays with its device" in refusal(stage, "PATCH", url, other)
    evicting = {"spec": {"taint": {"effect": "NoExecute"}}}
    assert "only the effects" in refusal(stage, "PATCH", url, evicting)


def eviction(stage: Bound, **options: Any) -> tuple[str, dict[str, Any]]:
    metadata = {"name": "gated", "namespace": stage.namespace}
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
    return f"{stage.path('gated')}/eviction", {**body, "deleteOptions": options}


def test_an_eviction_names_the_uid_and_leaves_the_pod_its_time(stage: Bound) -> None:
    """Without the uid it may hit a pod that took the name; without grace work is lost."""
    uid = {"preconditions": {"uid": stage.pod("gated")["metadata"]["uid"]}}
    assert "name the pod's uid" in refusal(stage, "POST", *eviction(stage))
    hasty = eviction(stage, **uid, gracePeriodSeconds=0)
    assert "its time to stop" in refusal(stage, "POST", *hasty)


def test_a_binding_names_the_uid_and_brings_nothing_along(stage: Bound) -> None:
    """Its labels and annotations would be merged into the pod."""
    url = f"{stage.path('gated')}/binding"
    target = {"apiVersion": "v1", "kind": "Node", "name": stage.node}
    metadata = {"name": "gated", "namespace": stage.namespace}
    body = {"apiVersion": "v1", "kind": "Binding", "metadata": metadata, "target": target}
    assert "name the pod's uid" in refusal(stage, "POST", url, body)
    metadata |= {"uid": stage.pod("gated")["metadata"]["uid"]}
    noted = {**body, "metadata": {**metadata, "annotations": {"note": "x"}}}
    assert "nothing else" in refusal(stage, "POST", url, noted)


def test_nothing_is_written_in_a_namespace_that_opted_out(
    limited: ControlPlane, tmp_path: Path
) -> None:
    """Though the channels' roles are still bound there."""
    with Journal(tmp_path / "journal.db") as journal:
        stage = Bound(limited, journal)
        stage.add_pod("gated")
        stage.add_job()
        closed = {"metadata": {"labels": {MANAGED: None}}}
        path = f"/api/v1/namespaces/{stage.namespace}"
        limited.must("PATCH", path, closed, content_type=MERGE_PATCH)
        uid = {"preconditions": {"uid": stage.pod("gated")["metadata"]["uid"]}}
        resumed = {"spec": {"suspend": False}}
        assert "opt in" in refusal(stage, "POST", *eviction(stage, **uid))
        assert "opt in" in refusal(stage, "PATCH", f"{stage.jobs}/fit", resumed)
        ungated = {"spec": {"schedulingGates": None}}
        assert "opt in" in refusal(stage, "PATCH", stage.path("gated"), ungated)


def test_of_kueue_only_the_answer_to_our_check_may_be_written(stage: Bound) -> None:
    """Neither another's check nor the conditions, which are Kueue's."""
    other, ours = stage.add_kueue_workload()
    url = f"{stage.kueue}/fit/status"
    answered = {"status": {"admissionChecks": [{**other, "state": "Ready"}, ours]}}
    assert "only the check agentaflow" in refusal(stage, "PATCH", url, answered)
    admitted = {"type": "Admitted", "status": "True", "reason": "x", "message": ""}
    condition = {**admitted, "lastTransitionTime": other["lastTransitionTime"]}
    conditions = {"status": {"conditions": [condition]}}
    assert "only the answer to our check" in refusal(stage, "PATCH", url, conditions)
