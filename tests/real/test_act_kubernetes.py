"""Acting and verifying on a real API server, with the rights that the manifests grant."""

from __future__ import annotations

import secrets
import time
from pathlib import Path

import pytest

from agentaflow_advisor.act import events
from agentaflow_advisor.act.apply import Applier, apply_decision
from agentaflow_advisor.decide.journal import Journal
from agentaflow_advisor.decide.policy import Policy
from agentaflow_advisor.model import Decision, State
from agentaflow_advisor.model.names import DECISION, GATE, HOSTNAME, MANAGED
from agentaflow_advisor.observe.cluster import connect
from agentaflow_advisor.verify import verify, verify_applied
from tests.support.fake_cluster import merged
from tests.support.scene import Scene
from tools.control_plane import MERGE_PATCH, ControlPlane
from tools.processes import eventually

MANIFESTS = Path(__file__).parents[2] / "scheduler_advisor" / "manifests"


@pytest.fixture
def scene(cluster: ControlPlane) -> Scene:
    return Scene(cluster, f"act-{secrets.token_hex(4)}")


def run(
    scene: Scene, journal: Journal, made: Decision, *, policy: Policy | None = None
) -> Decision:
    with connect(scene.cluster.kubeconfig, None) as client:
        return apply_decision(
            Applier(journal, client, policy or scene.policy, prometheus_now=time.time), made
        )


def test_an_applied_decision_is_bound_by_the_scheduler_and_verified(
    scene: Scene, journal: Journal
) -> None:
    """Ungated and pinned by one patch, bound by kube-scheduler, found there by `verify`."""
    scene.add_pod()
    made = run(scene, journal, scene.approved(journal))
    assert made.state is State.APPLIED
    assert scene.bound_to() == scene.node
    with connect(scene.cluster.kubeconfig, None) as client:
        ((verified, found),) = verify_applied(journal, client, now=time.time())
    assert verified.state is State.VERIFIED
    assert found.reason == f"pod {scene.namespace}/train was bound to {scene.node}"


def test_what_became_of_a_decision_is_an_event_of_its_pod(scene: Scene, journal: Journal) -> None:
    """As `kubectl describe` shows it; told twice, it is there once."""
    scene.add_pod()
    made = run(scene, journal, scene.approved(journal))
    with connect(scene.cluster.kubeconfig, None) as client:
        assert events.tell(client, made) is None
        assert events.tell(client, made) is None
    path = f"/apis/events.k8s.io/v1/namespaces/{scene.namespace}/events"
    (event,) = (
        one
        for one in scene.cluster.must("GET", path)["items"]
        if one.get("reportingController") == "agentaflow.io/applier"
    )
    assert (event["reason"], event["type"]) == ("Applied", "Normal")
    assert (event["note"], event["action"]) == (made.reason, "scheduling-gate")
    assert event["regarding"]["uid"] == made.action.uid
    assert event["metadata"]["annotations"] == {DECISION: made.id}
    described = scene.cluster.kubectl("describe", "pod", "train", f"--namespace={scene.namespace}")
    assert "Applied" in described.stdout


def test_gates_of_others_stay_and_keep_the_pod_waiting(scene: Scene, journal: Journal) -> None:
    """Only our gate goes; verification says that the pod is not bound yet."""
    scene.add_pod(gates=("example.test/quota", GATE))
    made = run(scene, journal, scene.approved(journal))
    assert scene.pod()["spec"]["schedulingGates"] == [{"name": "example.test/quota"}]
    with connect(scene.cluster.kubeconfig, None) as client:
        found = verify(made, client)
    assert (found.state, found.reason) == (
        State.APPLIED,
        f"pod {scene.namespace}/train is not bound yet",
    )


def test_the_kill_switch_vetoes(scene: Scene, journal: Journal) -> None:
    """Approved or not, nothing is written while the ConfigMap says stop."""
    scene.add_pod()
    made = scene.approved(journal)
    scene.stop()
    ended = run(scene, journal, made)
    assert ended.state is State.VETOED
    assert journal.events(made.id)[-1].vetoes == (
        ("kill_switch", f"ConfigMap {scene.namespace}/agentaflow-kill-switch says stop"),
    )
    assert scene.pod()["spec"]["schedulingGates"] == [{"name": GATE}]


def test_a_namespace_that_did_not_opt_in_vetoes(cluster: ControlPlane, journal: Journal) -> None:
    """Without the label nothing is written, whatever the pod says."""
    scene = Scene(cluster, f"out-{secrets.token_hex(4)}", labels={})
    scene.add_pod()
    ended = run(scene, journal, scene.approved(journal))
    assert ended.state is State.VETOED
    assert [guard for guard, _ in journal.events(ended.id)[-1].vetoes] == ["namespace_opted_in"]


def test_a_node_that_earlier_decisions_filled_vetoes(scene: Scene, journal: Journal) -> None:
    """Two pods of 5 GPUs do not fit on 8, even before the first is bound."""
    scene.add_pod("first", gpus=5)
    scene.add_pod("second", gpus=5)
    one, two = scene.approved(journal, "first"), scene.approved(journal, "second")
    assert run(scene, journal, one).state is State.APPLIED
    ended = run(scene, journal, two)
    assert [guard for guard, _ in journal.events(ended.id)[-1].vetoes] == ["node_has_room"]


def test_a_pod_that_someone_else_ungated_is_left_alone(scene: Scene, journal: Journal) -> None:
    """Whoever took the gate off has decided."""
    scene.add_pod()
    made = scene.approved(journal)
    scene.patch({"spec": {"schedulingGates": None}})
    ended = run(scene, journal, made)
    assert ended.state is State.SUPERSEDED
    assert DECISION not in scene.pod()["metadata"].get("annotations", {})


# -- the rights that the manifests grant ------------------------------------------------------


@pytest.fixture(scope="session")
def granted(cluster: ControlPlane) -> ControlPlane:
    """The cluster with all manifests applied but the pulled kill switch."""
    for name in ("namespace", "advisor", "applier", "channels", "applier-limits", "opt-in"):
        applied = cluster.kubectl("apply", "-f", str(MANIFESTS / f"{name}.yaml"))
        assert applied.returncode == 0, applied.stderr
    return cluster


def token(cluster: ControlPlane, account: str) -> str:
    made = cluster.kubectl("create", "token", account, "--namespace=agentaflow", "--duration=1h")
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


@pytest.mark.parametrize(
    ("account", "verb", "resource", "namespace", "allowed"),
    [
        ("advisor", "list", "pods", "research", True),
        ("advisor", "list", "nodes", "", True),
        ("advisor", "patch", "pods", "research", False),
        ("advisor", "get", "secrets", "agentaflow", False),
        ("applier", "get", "pods", "kube-system", True),
        ("applier", "patch", "pods", "research", True),
        ("applier", "get", "configmaps/agentaflow-kill-switch", "agentaflow", True),
        ("applier", "patch", "pods", "default", False),
        ("applier", "patch", "pods", "kube-system", False),
        ("applier", "patch", "configmaps/agentaflow-kill-switch", "agentaflow", False),
        ("applier", "get", "configmaps/other", "agentaflow", False),
        ("applier", "delete", "pods", "research", False),
        ("applier", "create", "pods", "research", False),
        ("applier", "create", "pods/eviction", "research", False),
        ("applier", "create", "pods/binding", "research", False),
        ("applier", "patch", "nodes", "", False),
        ("applier", "get", "secrets", "research", False),
        ("applier", "impersonate", "users", "", False),
    ],
)
def test_each_account_may_do_what_it_needs_and_no_more(
    granted: ControlPlane, account: str, verb: str, resource: str, namespace: str, allowed: bool
) -> None:
    """`kubectl auth can-i` as the service accounts of the manifests."""
    who = f"--as=system:serviceaccount:agentaflow:agentaflow-{account}"
    where = [f"--namespace={namespace}"] if namespace else ["--all-namespaces"]
    answer = granted.kubectl("auth", "can-i", verb, resource, who, *where)
    assert answer.stdout.strip() == ("yes" if allowed else "no"), answer.stderr


class Research(Scene):
    """The namespace of opt-in.yaml, as the applier's account sees it."""

    def __init__(self, cluster: ControlPlane) -> None:
        name = f"place-{secrets.token_hex(4)}"
        super().__init__(cluster, name)
        manifest = (MANIFESTS / "opt-in.yaml").read_text().replace("research", name)
        applied = cluster.kubectl("apply", "-f", "-", stdin=manifest)
        assert applied.returncode == 0, applied.stderr
        self.policy = Policy(channels=self.policy.channels)  # the kill switch of the manifests
        self.token = token(cluster, "agentaflow-applier")


def test_the_appliers_account_is_enough(granted: ControlPlane, journal: Journal) -> None:
    """All that applying and verifying do is done with the rights of the manifests alone."""
    scene = Research(granted)
    scene.add_pod()
    made = scene.approved(journal)
    kubeconfig = granted.write_kubeconfig("applier", scene.token)
    with connect(kubeconfig, None) as client:
        room = Applier(journal, client, scene.policy, prometheus_now=time.time)
        assert apply_decision(room, made).state is State.APPLIED
        assert scene.bound_to() == scene.node
        assert verify(made, client).state is State.VERIFIED


def test_an_account_without_the_right_fails_with_the_servers_reason(
    granted: ControlPlane, scene: Scene, journal: Journal
) -> None:
    """In a namespace without the RoleBinding the dry run is refused, and nothing is written."""
    scene.add_pod()
    made = scene.approved(journal)
    kubeconfig = granted.write_kubeconfig("applier", token(granted, "agentaflow-applier"))
    policy = Policy(channels=scene.policy.channels)
    with connect(kubeconfig, None) as client:
        ended = apply_decision(Applier(journal, client, policy, prometheus_now=time.time), made)
    assert ended.state is State.FAILED
    assert "403" in ended.reason
    assert 'cannot patch resource "pods"' in ended.reason


def refusal_by_policy(scene: Research, body: object) -> str:
    """What the applier is told; a policy is in force only a moment after it was made."""

    def refused() -> str:
        status, answer = scene.cluster.request(
            "PATCH",
            f"{scene.path()}?dryRun=All",
            body,
            content_type=MERGE_PATCH,
            token=scene.token,
        )
        return str(answer["message"]) if status == 422 else ""

    return eventually(refused, what="refused by the policy")


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        ({"spec": {"containers": [{"name": "main", "image": "evil.test/x"}]}}, "containers"),
        ({"metadata": {"labels": {"team": "mine"}}}, "labels, finalizers"),
        ({"metadata": {"annotations": {"note": "x"}}}, "only the annotation"),
        ({"spec": {"activeDeadlineSeconds": 1}}, "deadline may not"),
        ({"spec": {"schedulingGates": [{"name": GATE}]}}, "and no other, has to be removed"),
    ],
)
def test_the_admission_policy_holds_the_applier_to_placements(
    granted: ControlPlane, patch: dict[str, object], message: str
) -> None:
    """RBAC's patch on pods is cut down to gate, nodeSelector and our annotation."""
    scene = Research(granted)
    scene.add_pod(gates=("example.test/quota", GATE))
    good = {
        "metadata": {"annotations": {DECISION: "x"}},
        "spec": {
            "schedulingGates": [{"name": "example.test/quota"}],
            "nodeSelector": {HOSTNAME: scene.node},
        },
    }
    assert message in refusal_by_policy(scene, merged(good, patch))
    status, _ = granted.request(
        "PATCH", scene.path(), good, content_type=MERGE_PATCH, token=scene.token
    )
    assert status == 200


def test_the_admission_policy_holds_to_the_opt_in(granted: ControlPlane) -> None:
    """Even a full placement patch is refused where the pod did not opt in."""
    scene = Research(granted)
    scene.add_pod()
    scene.patch({"metadata": {"labels": {MANAGED: "false"}}})
    body = {"spec": {"schedulingGates": None, "nodeSelector": {HOSTNAME: scene.node}}}
    assert "have to opt in" in refusal_by_policy(scene, body)
