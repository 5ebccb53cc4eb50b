"""Each channel on a real API server: what it does there, what stops it, and how it is undone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from agentaflow_advisor.act.apply import Clock, apply_decision
from agentaflow_advisor.act.channels import CHANNELS
from agentaflow_advisor.act.points import Point
from agentaflow_advisor.configuration import load
from agentaflow_advisor.cycle import revert_harmful
from agentaflow_advisor.decide.errors import WrongState
from agentaflow_advisor.decide.journal import Journal
from agentaflow_advisor.model import (
    BindPod,
    CordonNode,
    EvictPod,
    LabelNode,
    PlacePod,
    ReleaseJob,
    State,
    TaintDevice,
)
from agentaflow_advisor.model.names import DECISION, GATE, HOSTNAME, MANAGED, SICK
from agentaflow_advisor.observe.cluster import connect, read_cluster
from tests.support.applying import pod_manifest
from tests.support.fault_proxy import Fault, FaultProxy, Kind
from tests.support.stage import Stage, harm_of, harmless, to
from tools.control_plane import MERGE_PATCH, ControlPlane
from tools.processes import eventually


@pytest.fixture
def stage(cluster: ControlPlane, tmp_path: Path) -> Iterator[Stage]:
    with Journal(tmp_path / "journal.db") as journal:
        yield Stage(cluster, journal)


@pytest.mark.parametrize("how", ["affinity", "preference"])
def test_a_gated_pod_is_sent_by_affinity(stage: Stage, how: str) -> None:
    """Required or preferred, beside no nodeSelector; kube-scheduler binds it there."""
    stage.add_pod()
    made = stage.carried_out(to(PlacePod, stage, gate=GATE, hostname=stage.node, how=how))
    assert made.state is State.APPLIED, made.reason
    assert "nodeSelector" not in stage.pod()["spec"]
    assert stage.verified(made) == f"pod {stage.namespace}/train was bound to {stage.node}"


def test_an_affinity_that_is_there_is_kept(stage: Stage) -> None:
    """Each of its terms has to hold beside ours."""
    manifest = pod_manifest("train", namespace=stage.namespace)
    term = {"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
    manifest["spec"]["affinity"] = {"nodeAffinity": required}
    stage.cluster.must("POST", stage.path().rpartition("/")[0], manifest)
    made = stage.carried_out(to(PlacePod, stage, gate=GATE, hostname=stage.node, how="affinity"))
    assert made.state is State.APPLIED, made.reason
    (found,) = stage.pod()["spec"]["affinity"]["nodeAffinity"][
        "requiredDuringSchedulingIgnoredDuringExecution"
    ]["nodeSelectorTerms"]
    assert [one["key"] for one in found["matchExpressions"]] == ["tier", HOSTNAME]


def test_a_suspended_job_is_pinned_and_started_and_can_be_suspended_again(stage: Stage) -> None:
    """Its pod is bound to the node; taken back, the Job waits again."""
    stage.add_job()
    with connect(stage.cluster.kubeconfig, None) as client:
        (seen,) = (w for w in read_cluster(client).workloads if w.namespace == stage.namespace)
    assert (seen.kind, seen.released_by, seen.gpus) == ("Job", "suspended-job", 2)
    made = stage.carried_out(to(ReleaseJob, stage, "fit", hostname=stage.node))
    assert made.state is State.APPLIED, made.reason
    assert stage.verified(made).endswith(f"runs on {stage.node}") or "ran" in stage.verified(made)
    assert stage.reverted(made).state is State.REVERTED
    assert stage.job()["spec"]["suspend"] is True
    assert DECISION not in stage.job()["metadata"]["annotations"]


def test_a_suspended_job_starts_with_fewer_gpus_where_that_is_the_advice(stage: Stage) -> None:
    """The count of the template is changed in the same write, which room is judged by."""
    stage.add_job(gpus=16)
    made = stage.carried_out(to(ReleaseJob, stage, "fit", hostname=stage.node, gpus=1))
    assert made.state is State.APPLIED, made.reason
    (container,) = stage.job()["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"


def test_suspended_jobs_of_one_jobset_start_together_or_not_at_all(stage: Stage) -> None:
    """With one of two agreed to neither starts; with both, both do."""
    label = "jobset.sigs.k8s.io/jobset-name"
    names = ("train-driver-0", "train-workers-0")
    for name in names:
        stage.add_job(name, gpus=1, **{label: "train"})
    with connect(stage.cluster.kubeconfig, None) as client:
        seen = [w for w in read_cluster(client).workloads if w.namespace == stage.namespace]
    (gang,) = {one.gang for one in seen}
    assert gang == f"{stage.namespace}/{label}=train"
    actions = [to(ReleaseJob, stage, name, hostname=stage.node, gang=gang) for name in names]
    made = stage.carried_out(actions[0])
    assert made.state is State.VETOED
    assert made.reason == "gang_whole: the rest of its gang is not approved: train-workers-0"
    assert [stage.job(name)["spec"]["suspend"] for name in names] == [True, True]
    decided = [stage.decided(action) for action in actions]
    with connect(stage.actor_kubeconfig, None) as client:
        apply_decision(stage.applier(client), decided[0])
    assert [stage.job(name)["spec"]["suspend"] for name in names] == [False, False]


def test_a_job_that_someone_else_started_is_left_alone(stage: Stage) -> None:
    """Whoever unsuspended it has decided."""
    stage.add_job()
    action = to(ReleaseJob, stage, "fit", hostname=stage.node)
    made = stage.decided(action)
    body = {"spec": {"suspend": False}}
    stage.cluster.must("PATCH", f"{stage.jobs}/fit", body, content_type=MERGE_PATCH)
    with connect(stage.cluster.kubeconfig, None) as client:
        ended = apply_decision(stage.applier(client), made)
    assert (ended.state, ended.reason) == (
        State.SUPERSEDED,
        f"Job {stage.namespace}/fit is not suspended any more",
    )


def test_a_pod_is_evicted_once(stage: Stage) -> None:
    """The very pod of the decision goes, and is verified to be gone."""
    stage.running_pod()
    made = stage.carried_out(to(EvictPod, stage))
    assert made.state is State.APPLIED, made.reason
    assert stage.verified(made) == f"pod {stage.namespace}/train is gone"
    with pytest.raises(WrongState, match="cannot be taken back"):
        stage.reverted(made)


def test_a_pod_that_took_the_name_is_not_evicted(stage: Stage) -> None:
    """The decision was about the one before it."""
    stage.running_pod()
    made = stage.decided(to(EvictPod, stage))
    stage.delete_pod()
    fresh = stage.running_pod()
    with connect(stage.cluster.kubeconfig, None) as client:
        ended = apply_decision(stage.applier(client), made)
    assert ended.state is State.SUPERSEDED
    assert stage.pod()["metadata"]["uid"] == fresh["metadata"]["uid"]
    assert "deletionTimestamp" not in stage.pod()["metadata"]


def test_an_eviction_that_was_refused_by_a_false_answer_is_told_as_done(stage: Stage) -> None:
    """A 422 that did not come from the API server: the pod of that uid is gone all the same."""
    manifest = pod_manifest("train", namespace=stage.namespace, gates=())
    manifest["spec"] |= {"nodeName": stage.node, "terminationGracePeriodSeconds": 0}
    stage.cluster.must("POST", stage.path().rpartition("/")[0], manifest)
    made = stage.decided(to(EvictPod, stage))
    false = Fault(Kind.FORWARD_THEN_ANSWER, 422, method="POST")
    with FaultProxy(stage.cluster.url, stage.cluster.ca_file) as proxy:
        proxy.inject(false)
        with connect(stage.kubeconfig(proxy.url), None) as client:
            ended = apply_decision(stage.applier(client), made)
        assert proxy.struck == [false.kind]
    assert (ended.state, ended.reason) == (
        State.APPLIED,
        f"pod {stage.namespace}/train of that uid is gone",
    )


def keep(stage: Stage, name: str = "keep") -> None:
    """A PodDisruptionBudget that allows nothing, and is counted."""
    body = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {MANAGED: "true"}}},
    }
    stage.cluster.must("POST", budgets(stage), body)
    eventually(
        lambda: (
            stage.cluster.must("GET", f"{budgets(stage)}/{name}")
            .get("status", {})
            .get("expectedPods")
        ),
        what="the budget counted",
    )


def budgets(stage: Stage) -> str:
    return f"/apis/policy/v1/namespaces/{stage.namespace}/poddisruptionbudgets"


def evicted_while(stage: Stage, late: Callable[[], None], sleep: Callable[[float], None]) -> Any:
    """The decision, where that happens after the guards have looked."""
    stage.running_pod()
    made = stage.decided(to(EvictPod, stage))

    def reached(point: Point) -> None:
        if point is Point.AFTER_REHEARSAL:
            late()

    with connect(stage.cluster.kubeconfig, None) as client:
        acting = replace(stage.applier(client), reached=reached, clock=Clock(sleep=sleep))
        return apply_decision(acting, made)


def test_a_disruption_budget_keeps_a_pod(stage: Stage) -> None:
    """A budget that allows nothing vetoes, by its name."""
    stage.running_pod()
    keep(stage)
    ended = stage.carried_out(to(EvictPod, stage))
    assert ended.state is State.VETOED
    assert "PodDisruptionBudget keep allows no disruption now" in ended.reason
    assert "deletionTimestamp" not in stage.pod()["metadata"]


def test_a_budget_that_the_guard_did_not_see_yet_fails_it_in_the_servers_words(
    stage: Stage,
) -> None:
    """The API server's own 429 is the reason; nothing was evicted."""
    slept: list[float] = []
    ended = evicted_while(stage, partial(keep, stage), slept.append)
    assert (ended.state, len(slept)) == (State.FAILED, 1)
    assert ended.reason.startswith("pdb: Kubernetes API: 429 Cannot evict pod")
    assert "disruption budget keep" in ended.reason
    assert "deletionTimestamp" not in stage.pod()["metadata"]


def test_a_budget_that_lets_go_in_time_lets_the_eviction_through(stage: Stage) -> None:
    """What was refused with 429 is asked again, as late as the API server said."""
    path = f"{budgets(stage)}/keep"

    def gone(_: float) -> None:
        stage.cluster.must("DELETE", path)
        eventually(lambda: stage.cluster.request("GET", path)[0] == 404, what="no budget")

    ended = evicted_while(stage, partial(keep, stage), gone)
    assert ended.state is State.APPLIED, ended.reason


def test_two_budgets_for_one_pod_fail_its_eviction_at_once(stage: Stage) -> None:
    """The API server answers 500, and would again."""

    def two() -> None:
        for name in ("keep", "hold"):
            keep(stage, name)

    slept: list[float] = []
    ended = evicted_while(stage, two, slept.append)
    assert (ended.state, slept) == (State.FAILED, [])
    assert ended.reason.startswith("pdb: Kubernetes API: 500")
    assert "more than one PodDisruptionBudget" in ended.reason


def test_a_young_pod_is_not_evicted(stage: Stage) -> None:
    """It has not had the time to show what it does."""
    stage.running_pod()
    stage.policy = replace(stage.policy, min_pod_age_seconds=600.0)
    ended = stage.carried_out(to(EvictPod, stage))
    assert ended.state is State.VETOED
    assert "the least is 600 s" in ended.reason


def test_a_pod_of_a_daemonset_is_not_evicted(stage: Stage) -> None:
    """It would only be made again, on the same node."""
    template = pod_manifest("agent", namespace=stage.namespace, gates=())
    labels = {MANAGED: "true", "app": "agent"}
    spec = {**template["spec"], "nodeSelector": {HOSTNAME: stage.node}}
    body = {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "agent"},
        "spec": {
            "selector": {"matchLabels": {"app": "agent"}},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }
    del spec["schedulingGates"]
    stage.cluster.must("POST", f"/apis/apps/v1/namespaces/{stage.namespace}/daemonsets", body)
    pods = stage.path().rpartition("/")[0]
    (pod,) = eventually(lambda: stage.cluster.must("GET", pods)["items"], what="its pod")
    ended = stage.carried_out(to(EvictPod, stage, pod["metadata"]["name"]))
    assert ended.state is State.VETOED
    assert "pod_of_its_own" in ended.reason


def test_a_static_pods_mirror_is_not_evicted(stage: Stage) -> None:
    """Its node's own file makes it."""
    manifest = pod_manifest("train", namespace=stage.namespace, gates=())
    manifest["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "6f1e"}
    manifest["spec"] |= {"nodeName": stage.node}
    stage.cluster.must("POST", stage.path().rpartition("/")[0], manifest)
    ended = stage.carried_out(to(EvictPod, stage))
    assert ended.state is State.VETOED
    assert "pod_of_its_own" in ended.reason


def test_half_a_gang_is_not_evicted(stage: Stage) -> None:
    """The other half would wait for it, and hold its GPUs."""
    labels = {MANAGED: "true", "agentaflow.io/gang": "ring"}
    for name in ("train", "other"):
        stage.running_pod(name, labels=labels)
    ended = stage.carried_out(to(EvictPod, stage))
    assert ended.state is State.VETOED
    assert "the rest of its gang is not approved: other" in ended.reason


def test_labels_of_ours_are_written_on_a_node_and_taken_back(stage: Stage) -> None:
    """The node's other labels stay as they are."""
    made = stage.carried_out(
        to(LabelNode, stage, stage.node, labels={"agentaflow.io/tier": "cheap"})
    )
    assert made.state is State.APPLIED, made.reason
    assert stage.node_now()["metadata"]["labels"]["agentaflow.io/tier"] == "cheap"
    assert stage.verified(made) == f"node {stage.node} carries the labels"
    assert stage.reverted(made).state is State.REVERTED
    labels = stage.node_now()["metadata"]["labels"]
    assert "agentaflow.io/tier" not in labels
    assert labels[HOSTNAME] == stage.node


@pytest.mark.parametrize("how", ["taint", "cordon"])
def test_a_sick_node_takes_no_new_pods_until_that_is_taken_back(stage: Stage, how: str) -> None:
    """A pod that asks for the node waits; what ran there goes on; then the node is open again."""
    before = stage.running_pod("before")
    made = stage.carried_out(to(CordonNode, stage, stage.node, how=how))
    assert made.state is State.APPLIED, made.reason
    assert stage.verified(made) == f"node {stage.node} takes no new pods"
    manifest = pod_manifest("late", namespace=stage.namespace, gates=())
    manifest["spec"]["nodeSelector"] = {HOSTNAME: stage.node}
    stage.cluster.must("POST", stage.path().rpartition("/")[0], manifest)
    eventually(
        lambda: any(
            one["reason"] == "Unschedulable"
            for one in stage.pod("late")["status"].get("conditions", ())
        ),
        what="the late pod refused",
    )
    assert stage.pod("before")["metadata"]["uid"] == before["metadata"]["uid"]
    assert stage.reverted(made).state is State.REVERTED
    assert stage.bound_to("late") == stage.node


@pytest.mark.parametrize("how", ["taint", "cordon"])
def test_what_others_write_on_the_node_meanwhile_does_not_keep_it_closed(
    stage: Stage, cluster: ControlPlane, how: str
) -> None:
    """The API server answers 409: the node is read and judged anew, and their write stays."""
    made = stage.carried_out(to(CordonNode, stage, stage.node, how=how))
    theirs = {"metadata": {"labels": {"team": "vision"}}}
    with FaultProxy(cluster.url, cluster.ca_file) as proxy:
        stage.actor_kubeconfig = stage.kubeconfig(proxy.url)
        edited = Fault(Kind.EDIT_THEN_FORWARD, edit=lambda: stage.change_node(theirs))
        proxy.inject(edited)
        assert stage.reverted(made).state is State.REVERTED
    node = f"/api/v1/nodes/{stage.node}"
    statuses = [each.status for each in proxy.seen if each.method == "PATCH" and node in each.path]
    assert statuses == [409, 200]
    assert stage.node_now()["metadata"]["labels"]["team"] == "vision"
    assert stage.bound_to(stage.running_pod()["metadata"]["name"]) == stage.node


def test_a_node_that_never_holds_still_is_left_as_it_is(
    stage: Stage, cluster: ControlPlane
) -> None:
    """The attempts are bounded, and the answer says why it still stands."""
    made = stage.carried_out(to(CordonNode, stage, stage.node))
    with FaultProxy(cluster.url, cluster.ca_file) as proxy:
        stage.actor_kubeconfig = stage.kubeconfig(proxy.url)
        proxy.inject(*[Fault(Kind.ANSWER, status=409)] * 100)
        still = stage.reverted(made)
    assert (still.state, "409" in still.reason) == (State.APPLIED, True)
    assert [one["key"] for one in stage.node_now()["spec"]["taints"]] == [SICK]


def test_taints_of_others_stay(stage: Stage) -> None:
    """Only ours is added, and only ours is taken away."""
    theirs = {"key": "team", "value": "vision", "effect": "PreferNoSchedule"}
    stage.change_node({"spec": {"taints": [theirs]}})
    made = stage.carried_out(to(CordonNode, stage, stage.node))
    assert [one["key"] for one in stage.node_now()["spec"]["taints"]] == ["team", SICK]
    stage.reverted(made)
    assert stage.node_now()["spec"]["taints"] == [theirs]


def test_no_more_nodes_are_closed_than_the_settings_allow(stage: Stage) -> None:
    """A fault that many nodes show is not a reason to close the cluster."""
    stage.policy = replace(stage.policy, max_closed_ratio=0.0)
    ended = stage.carried_out(to(CordonNode, stage, stage.node))
    assert ended.state is State.VETOED
    assert "enough_nodes_left" in ended.reason


def test_a_node_that_did_not_opt_in_is_left_alone(stage: Stage) -> None:
    """Its label says so, as a pod's does."""
    stage.change_node({"metadata": {"labels": {MANAGED: None}}})
    ended = stage.carried_out(to(CordonNode, stage, stage.node))
    assert ended.state is State.VETOED
    assert "target_opted_in" in ended.reason


def test_a_device_is_tainted_without_effect_first_then_with_it(stage: Stage) -> None:
    """The rule's own status tells what the taint would do; taken back, it has no effect again."""
    rule = f"agentaflow-{stage.namespace}-gpu-0"
    at = {"driver": "gpu.nvidia.com", "pool": stage.node, "device": "gpu-0", "uid": rule}
    path = f"/apis/resource.k8s.io/v1/devicetaintrules/{rule}"
    first = stage.carried_out(to(TaintDevice, stage, rule, **at))
    assert first.state is State.APPLIED, first.reason
    assert "has effect None" in stage.verified(first)
    now = stage.cluster.must("GET", path)
    assert now["spec"]["taint"]["effect"] == "None"
    selected = {name: at[name] for name in ("driver", "pool", "device")}
    assert now["spec"]["deviceSelector"] == selected
    second = stage.carried_out(
        to(TaintDevice, stage, rule, **{**at, "effect": "NoSchedule", "marker": first.id})
    )
    assert second.state is State.APPLIED, second.reason
    assert stage.cluster.must("GET", path)["spec"]["taint"]["effect"] == "NoSchedule"
    assert stage.reverted(second).state is State.REVERTED
    assert stage.cluster.must("GET", path)["spec"]["taint"]["effect"] == "None"


def test_a_pod_of_our_own_scheduler_is_bound(stage: Stage) -> None:
    """Nobody else would have; the decision's id comes onto the pod with the binding."""
    manifest = pod_manifest("train", namespace=stage.namespace, gates=())
    manifest["spec"]["schedulerName"] = "agentaflow"
    stage.cluster.must("POST", stage.path().rpartition("/")[0], manifest)
    with connect(stage.cluster.kubeconfig, None) as client:
        (seen,) = (w for w in read_cluster(client).workloads if w.namespace == stage.namespace)
    assert seen.released_by == "binding"
    made = stage.carried_out(to(BindPod, stage, hostname=stage.node))
    assert made.state is State.APPLIED, made.reason
    assert stage.bound_to() == stage.node
    assert stage.pod()["metadata"]["annotations"][DECISION] == made.id


def test_a_binding_does_not_overfill_a_node(stage: Stage) -> None:
    """No filter of kube-scheduler would stop it, so our guard does."""
    manifest = pod_manifest("train", namespace=stage.namespace, gpus=9, gates=())
    manifest["spec"]["schedulerName"] = "agentaflow"
    stage.cluster.must("POST", stage.path().rpartition("/")[0], manifest)
    ended = stage.carried_out(to(BindPod, stage, hostname=stage.node))
    assert ended.state is State.VETOED
    assert "node_has_room" in ended.reason


def test_a_closed_node_that_a_waiting_pod_would_fit_on_is_opened_again(stage: Stage) -> None:
    """Harm is a pod that waits in vain and would have a place there; a pod elsewhere is none."""
    made = stage.carried_out(to(CordonNode, stage, stage.node))
    harm = CHANNELS["cordon"].harm
    assert harm is not None
    with connect(stage.cluster.kubeconfig, None) as client:
        assert harm(client, made.action, 0.0) is None
        manifest = pod_manifest("late", namespace=stage.namespace, gates=())
        manifest["spec"]["nodeSelector"] = {HOSTNAME: stage.node}
        stage.cluster.must("POST", stage.path().rpartition("/")[0], manifest)
        why = eventually(lambda: harm(client, made.action, 0.0) or "", what="harm")
        assert f"pod {stage.namespace}/late has found no node" in why
        assert harm(client, made.action, 600.0) is None
        settings = load(None, {"channels": ["cordon"], "harm_patience_seconds": 0.0})
        settings = settings.model_copy(update={"namespace": stage.namespace})
        (undone,) = revert_harmful(
            settings, stage.journal, client, time.time, actor="test", now=time.time()
        )
    assert undone.state is State.REVERTED
    assert f"it did harm: pod {stage.namespace}/late" in undone.reason
    assert stage.bound_to("late") == stage.node


def test_a_label_that_keeps_a_pod_from_the_only_node_that_has_room_is_harm(stage: Stage) -> None:
    """The pod has to avoid what we wrote; taken back, it is bound."""
    made = stage.carried_out(to(LabelNode, stage, stage.node, labels={"agentaflow.io/tier": "x"}))
    assert harmless(stage, made.action)
    manifest = pod_manifest("late", namespace=stage.namespace, gates=())
    manifest["spec"]["nodeSelector"] = {HOSTNAME: stage.node}
    term = {"matchExpressions": [{"key": "agentaflow.io/tier", "operator": "DoesNotExist"}]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
    manifest["spec"]["affinity"] = {"nodeAffinity": required}
    stage.cluster.must("POST", stage.path().rpartition("/")[0], manifest)
    assert f"would fit on {stage.node}" in harm_of(stage, made.action)
    assert stage.reverted(made).state is State.REVERTED
    assert stage.bound_to("late") == stage.node


def test_a_tainted_device_whose_lack_keeps_a_pod_waiting_is_harm(stage: Stage) -> None:
    """Without effect it keeps nobody waiting."""
    claims = f"/apis/resource.k8s.io/v1/namespaces/{stage.namespace}/resourceclaims"
    kinds = "/apis/resource.k8s.io/v1/deviceclasses"
    kind = f"gpu-{stage.namespace}"
    stage.cluster.must(
        "POST",
        kinds,
        {
            "apiVersion": "resource.k8s.io/v1",
            "kind": "DeviceClass",
            "metadata": {"name": kind},
            "spec": {"selectors": [{"cel": {"expression": "device.driver == 'gpu.nvidia.com'"}}]},
        },
    )
    asked = {"requests": [{"name": "gpu", "exactly": {"deviceClassName": kind}}]}
    stage.cluster.must(
        "POST",
        claims,
        {
            "apiVersion": "resource.k8s.io/v1",
            "kind": "ResourceClaim",
            "metadata": {"name": "gpu"},
            "spec": {"devices": asked},
        },
    )
    device = {"driver": "gpu.nvidia.com", "pool": stage.node, "device": "gpu-0", "uid": "gpu-0"}
    silent = to(TaintDevice, stage, f"agentaflow-{stage.namespace}", **device)
    tainted = replace(silent, effect="NoSchedule")
    assert harmless(stage, tainted)
    manifest = pod_manifest("late", namespace=stage.namespace, gates=())
    manifest["spec"] |= {
        "nodeSelector": {HOSTNAME: stage.node},
        "resourceClaims": [{"name": "gpu", "resourceClaimName": "gpu"}],
    }
    container = {"name": "main", "image": "x", "resources": {"claims": [{"name": "gpu"}]}}
    manifest["spec"]["containers"] = [container]
    stage.cluster.must("POST", stage.path().rpartition("/")[0], manifest)
    assert f"pod {stage.namespace}/late has found no node" in harm_of(stage, tainted)
    assert harmless(stage, silent)
