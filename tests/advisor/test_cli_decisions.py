"""place, approve, reject, apply and journal: from a waiting pod to a bound one, step by step."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentaflow_advisor.decide.journal import Journal
from agentaflow_advisor.decide.proposal import uuid7
from agentaflow_advisor.model import Action, EvictPod, State
from tests.support.cli import Cli
from tests.support.decisions import decision
from tests.support.fake_kubernetes import FakeKubernetes, fake_kubernetes
from tests.support.fake_prometheus import Card, FakePrometheus, fake_prometheus

CHANNEL = ("--channel", "scheduling-gate")


@dataclass(frozen=True, slots=True)
class Scene:
    """A cluster of two nodes with a waiting pod, a Prometheus that watches it, and the command."""

    run: Cli
    cluster: FakeKubernetes
    prometheus: FakePrometheus
    folder: Path

    def proposed(self) -> str:
        """The id of the one decision that `place` proposes."""
        (placement,) = self.run("place", "-o", "json").json["placements"]
        return str(placement["decision"])

    def states(self) -> list[str]:
        return [
            each["state"] for each in self.run("journal", "list", "-o", "json").json["decisions"]
        ]


@pytest.fixture
def scene(cli: Cli, tmp_path: Path) -> Iterator[Scene]:
    """node-0 has 4 GPUs and node-1 has 8; the pod `train` waits for two."""
    nodes = {"node-0": 4, "node-1": 8}
    cards = [Card(node, gpu, busy=0.1) for node, gpus in nodes.items() for gpu in range(gpus)]
    with (
        fake_prometheus(*cards) as prometheus,
        fake_kubernetes(tmp_path, nodes) as cluster,
    ):
        cluster.add_pod("train", gpus=2)
        options = ("--prometheus-url", prometheus.url, "--kubeconfig", str(cluster.kubeconfig))
        yield Scene(cli.having(*options), cluster, prometheus, tmp_path)


def pod(scene: Scene, name: str = "train") -> dict[str, Any]:
    body: dict[str, Any] = scene.cluster.objects[f"/api/v1/namespaces/research/pods/{name}"]
    return body


def test_a_waiting_pod_is_placed_approved_applied_bound_and_verified(scene: Scene) -> None:
    """The whole line, as an admin types it."""
    proposed = scene.run("place")
    assert proposed.code == 0
    assert "research/train" in proposed.out
    assert "node-0 would keep 2 GPUs" in proposed.out
    identifier = scene.run("journal", "list").out.splitlines()[1].split()[0]
    assert scene.run("approve", identifier).code == 0
    applied = scene.run("apply", *CHANNEL, "--wait", "10")
    assert applied.code == 0
    assert "pod research/train was bound to node-0" in applied.out
    assert pod(scene)["spec"]["nodeName"] == "node-0"
    assert scene.states() == ["verified"]
    shown = scene.run("journal", "show", identifier)
    assert [line.split()[1] for line in shown.out.splitlines()[8:]] == [
        "proposed",
        "approved",
        "intended",
        "applied",
        "verified",
    ]
    assert "chain intact" in scene.run("journal", "verify").out


def test_placing_again_proposes_nothing_twice(scene: Scene) -> None:
    """A pod with an open decision is left out, and the answer says so."""
    scene.proposed()
    again = scene.run("place")
    assert again.code == 0
    assert "1 earlier decision still open" in again.out
    assert scene.states() == ["proposed"]


def test_open_decisions_hold_their_room(scene: Scene) -> None:
    """The GPUs that were promised to one pod are not offered to the next."""
    scene.proposed()
    scene.cluster.add_pod("eval", gpus=3)
    (placement,) = scene.run("place", "-o", "json").json["placements"]
    assert (placement["pod"], placement["node"]) == ("eval", "node-1")


def test_a_pod_that_changed_or_went_gets_its_decision_closed(scene: Scene) -> None:
    """A proposal is about one pod as it was; what became of it is in the journal."""
    scene.proposed()
    scene.cluster.add_pod("train", gpus=3)
    scene.proposed()
    assert scene.states() == ["superseded", "proposed"]
    del scene.cluster.objects["/api/v1/namespaces/research/pods/train"]
    assert scene.run("place").out.startswith("no pod waits behind the gate")
    assert scene.states() == ["superseded", "superseded"]


def test_a_dry_run_leaves_no_trace(scene: Scene) -> None:
    """Not even an empty journal."""
    ran = scene.run("place", "--dry-run", "-o", "json")
    assert ran.code == 0
    assert ran.json["recorded"] is False
    assert ran.json["placements"][0]["decision"] is None
    assert not (scene.folder / "journal.db").exists()


def test_a_dry_run_respects_what_is_open(scene: Scene) -> None:
    """It answers as the real run would."""
    scene.proposed()
    ran = scene.run("place", "--dry-run", "-o", "json").json
    assert ran["placements"] == []
    assert len(ran["waiting"]) == 1


def test_refusals_are_told_with_their_reasons(scene: Scene) -> None:
    """Each pod that is not placed gets a sentence."""
    scene.cluster.add_pod("huge", gpus=16)
    scene.cluster.add_pod("secret", namespace="prod")
    out = scene.run("place").out
    assert "research/huge is not placed: no node can take it: 2 nodes: too few free GPUs" in out
    assert "prod/secret is not placed: namespace prod has not opted in" in out


def test_round_robin_goes_on_where_the_last_run_ended(scene: Scene) -> None:
    """The turn is in the journal, so it survives the process."""
    nodes = []
    for name in ("train", "second", "third"):
        scene.cluster.add_pod(name, gpus=1)
        run = scene.run("place", "--strategy", "round_robin", "-o", "json").json
        nodes += [placement["node"] for placement in run["placements"]]
    assert nodes == ["node-0", "node-1", "node-0"]


MANIFEST = """
apiVersion: v1
kind: List
items:
- kind: Pod
  metadata: {name: from-file, namespace: default}
  spec:
    nodeSelector: {kubernetes.io/hostname: node-1}
    containers:
    - {name: main, image: example.test/none, resources: {limits: {nvidia.com/gpu: 6}}}
"""


def asking(gpus: str) -> str:
    """A Pod that asks for them."""
    limits = f"{{limits: {{nvidia.com/gpu: {gpus}}}}}"
    containers = f"[{{name: c, resources: {limits}}}]"
    return f"kind: Pod\nmetadata: {{name: p}}\nspec: {{containers: {containers}}}\n"


def test_the_pods_of_a_template_are_explained(scene: Scene) -> None:
    """As many as would run at once, each by its number."""
    file = scene.folder / "deployment.yaml"
    pod = yaml.safe_load(asking("4"))
    document = {
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "serving"},
        "spec": {"replicas": 4, "template": {"spec": pod["spec"]}},
    }
    file.write_text(yaml.safe_dump(document))
    answer = scene.run("place", "-f", str(file), "-o", "json").json
    assert [each["pod"] for each in answer["placements"]] == ["web-0", "web-1", "web-2"]
    (refusal,) = answer["refusals"]
    assert refusal["subject"] == "serving/web-3"


def test_a_manifest_is_explained_and_not_recorded(scene: Scene) -> None:
    """A pod of a file needs neither gate nor label, and leaves no decision."""
    file = scene.folder / "pod.yaml"
    file.write_text(MANIFEST)
    ran = scene.run("place", "-f", str(file))
    assert ran.code == 0
    assert "default/from-file" in ran.out
    assert "node-1 would keep 2 GPUs" in ran.out
    assert "nodeSelector kubernetes.io/hostname=node-1 does not match" in ran.out
    assert not (scene.folder / "journal.db").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kind: CronJob\n", "kind CronJob is not understood; give Pod, Deployment"),
        ("kind: []\n", "kind [] is not understood"),
        ("kind: Deployment\nmetadata: {name: d}\n", "Pod d-0 cannot be read"),
        (
            "kind: Job\nmetadata: {name: j}\nspec: {parallelism: 1000000}\n",
            "parallelism of Job j is 1000000; give a number from 1 to 1000",
        ),
        ("kind: List\nitems: 5\n", "items of a List is 5; give a list of manifests"),
        ("kind: Pod\nmetadata: 7\nspec: {containers: [{name: c}]}\n", "Pod without a name cannot"),
        (asking("-3"), "nvidia.com/gpu is '-3'; give a whole number, 0 or more"),
        (asking("0.5"), "nvidia.com/gpu is '0.5'; give a whole number, 0 or more"),
        (asking("9" * 23), "; give a whole number, 0 or more, 1e+15 at most"),
        (asking("1, cpu: -1"), "cpu is '-1'; give an amount, 0 or more"),
        ("- just\n- a list\n", "kind None is not understood"),
        ("", "holds no Pod"),
        ("kind: [\n", "is not YAML"),
        ("kind: Pod\nmetadata: {name: p}\nspec: {containers: 7}\n", "Pod p cannot be read"),
        ("kind: Pod\nmetadata: {name: p}\n", "Pod p cannot be read"),
    ],
)
def test_a_manifest_that_cannot_be_read_ends_with_code_2(
    scene: Scene, text: str, said: str
) -> None:
    """The file, and what is wrong in it."""
    file = scene.folder / "pod.yaml"
    file.write_text(text)
    ran = scene.run("place", "-f", str(file))
    assert ran.code == 2
    assert str(file) in ran.error
    assert said in ran.error


def test_a_rejected_decision_is_not_applied(scene: Scene) -> None:
    """The reason is kept, and apply finds nothing to do."""
    identifier = scene.proposed()
    rejected = scene.run("reject", identifier, "--reason", "wait for the night")
    assert rejected.code == 0
    assert "rejected: wait for the night" in rejected.out
    assert "nothing to do" in scene.run("apply", *CHANNEL).out
    assert scene.run("approve", identifier).code == 4
    assert pod(scene)["spec"]["schedulingGates"]


def test_several_decisions_are_approved_at_once_or_none(scene: Scene) -> None:
    """A misspelt id among several changes nothing; naming one twice counts once."""
    identifier = scene.proposed()
    assert scene.run("approve", identifier, "00000000").code == 4
    assert scene.states() == ["proposed"]
    assert scene.run("approve", identifier, identifier[-12:]).code == 0
    assert scene.states() == ["approved"]


def test_a_decision_that_a_guard_forbids_ends_with_code_5(scene: Scene) -> None:
    """The namespace withdrew its consent after the approval."""
    scene.run("approve", scene.proposed())
    scene.cluster.objects["/api/v1/namespaces/research"]["metadata"]["labels"] = {}
    ran = scene.run("apply", *CHANNEL)
    assert ran.code == 5
    assert "vetoed" in ran.out
    assert "namespace_opted_in" in ran.out
    assert pod(scene)["spec"]["schedulingGates"]


def test_apply_does_nothing_while_prometheus_is_silent(scene: Scene) -> None:
    """Without its clock no evidence is fresh: code 3, and the approval stands."""
    scene.run("approve", scene.proposed())
    scene.prometheus.broken = (500, "text/plain", b"down")
    assert scene.run("apply", *CHANNEL).code == 3
    assert scene.states() == ["approved"]


def test_a_pod_that_is_not_bound_in_time_ends_with_code_5(scene: Scene) -> None:
    """Applied but not verified: the next apply looks again."""
    scene.cluster.schedules = False
    scene.run("approve", scene.proposed())
    ran = scene.run("apply", *CHANNEL, "--wait", "0.3")
    assert ran.code == 5
    waited = "waited 0.3 s in vain for 1 pod to be bound"
    assert ran.error == f"{waited}; the next apply looks again"
    assert scene.states() == ["applied"]
    scene.cluster.schedules = True
    scene.cluster.bind()
    assert scene.run("apply", *CHANNEL).code == 0
    assert scene.states() == ["verified"]


def test_what_is_waited_for_is_said_by_channel(scene: Scene) -> None:
    """An evicted pod that is still stopping is to be gone, not bound."""
    pod(scene)["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    at = {"namespace": "research", "name": "train", "uid": "uid-train", "resource_version": "1"}
    with Journal(scene.folder / "journal.db") as journal:
        applied(journal, EvictPod(**at, node="node-0"))
    ran = scene.run("apply", "--channel", "eviction", "--wait", "0.3")
    assert ran.code == 5
    assert ran.error == "waited 0.3 s in vain for 1 pod to be gone; the next apply looks again"
    with Journal(scene.folder / "journal.db") as journal:
        applied(journal, EvictPod(**at, node="node-0"))
    both = scene.run("apply", "--channel", "eviction", "--wait", "0.3").error
    assert both.startswith("waited 0.3 s in vain for 2 pods to be gone;")


def applied(journal: Journal, action: Action) -> None:
    made = journal.add(replace(decision(), action=action, id=uuid7(time.time())))
    for step in (State.APPROVED, State.INTENDED, State.APPLIED):
        journal.transition(made.id, step, actor="test", at=time.time())


def test_the_journal_lists_by_state(scene: Scene) -> None:
    """--state filters, and an unknown one is refused."""
    scene.proposed()
    assert scene.run("journal", "list", "--state", "vetoed").out == "no decisions\n"
    assert "research/train" in scene.run("journal", "list", "--state", "proposed").out
    assert scene.run("journal", "list", "--state", "done").code == 2


def test_a_tampered_journal_does_not_verify(scene: Scene) -> None:
    """The chain tells, line by line, and the code is 4."""
    scene.proposed()
    path = scene.folder / "journal.db"
    tamper(path)
    ran = scene.run("journal", "verify")
    assert ran.code == 4
    assert all(line.startswith("agentaflow: journal ") for line in ran.err.splitlines())
    assert scene.run("journal", "verify", "-o", "json").json["intact"] is False


def tamper(path: Path) -> None:
    """Change who proposed, behind the journal's back."""
    with sqlite3.connect(path) as database:
        database.execute("DROP TRIGGER events_are_not_updated")
        database.execute("UPDATE events SET actor = 'mallory'")
    database.close()


@pytest.mark.parametrize(
    ("pin", "spec"),
    [
        ("node-selector", "nodeSelector"),
        ("affinity", "requiredDuringSchedulingIgnoredDuringExecution"),
        ("preference", "preferredDuringSchedulingIgnoredDuringExecution"),
    ],
)
def test_a_pod_is_sent_to_its_node_as_it_is_set(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, pin: str, spec: str
) -> None:
    """By a selector, by an affinity, or by a mere preference."""
    monkeypatch.setenv("AGENTAFLOW_SCHEDULING_GATE_PIN_BY", pin)
    identifier = scene.proposed()
    assert scene.run("approve", identifier).code == 0
    assert scene.run("apply", *CHANNEL).code == 0
    written = pod(scene)["spec"]
    node_affinity = written.get("affinity", {}).get("nodeAffinity", {})
    assert spec in {*written, *node_affinity}
    assert ("nodeSelector" in written) == (pin == "node-selector")
