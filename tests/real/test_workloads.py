"""GPUWorkloads on a real API server: each becomes a suspended Job, and says what keeps it back."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from lightkube import Client

from agentaflow_advisor.act.errors import ApiTrouble
from agentaflow_advisor.act.resources import workloads
from agentaflow_advisor.configuration import load
from agentaflow_advisor.cycle import propose_placements
from agentaflow_advisor.decide.journal import Journal
from agentaflow_advisor.model import Snapshot
from agentaflow_advisor.model.names import MANAGED, STRATEGY
from agentaflow_advisor.observe.cluster import connect, read_cluster
from tests.support.cli import Cli
from tests.support.stage import Stage
from tools.control_plane import MERGE_PATCH, ControlPlane
from tools.processes import eventually

MANIFESTS = Path(__file__).parents[2] / "scheduler_advisor" / "manifests"
GROUP = "/apis/agentaflow.io/v1alpha1"


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    return Cli(capsys)


def workload(**spec: Any) -> dict[str, Any]:
    made = {"gpus": 1, "template": {"containers": [{"name": "main", "image": "example.test/x"}]}}
    return {
        "apiVersion": "agentaflow.io/v1alpha1",
        "kind": "GPUWorkload",
        "metadata": {"name": "fit", "labels": {MANAGED: "true"}},
        "spec": {**made, **spec},
    }


@pytest.mark.parametrize(
    "spec",
    [
        {"gpus": 0},
        {"gangSize": 0},
        {"template": {"containers": []}},
        {"memory": "much"},
        {"model": "x" * 64},
        {"strategy": "magic"},
    ],
)
def test_a_workload_that_makes_no_sense_is_refused(
    extended: ControlPlane, home: str, spec: dict[str, Any]
) -> None:
    """By the API server, with the field's name."""
    status, answer = extended.request(
        "POST", f"{GROUP}/namespaces/{home}/gpuworkloads", workload(**spec)
    )
    assert status == 422
    assert next(iter(spec)) in answer["message"]


def test_a_workload_becomes_a_suspended_job_and_tells_its_phase(
    extended: ControlPlane, client: Client, journal: Journal
) -> None:
    """Pending until it is placed; it goes with its Job."""
    stage = Stage(extended, journal)
    where = f"{GROUP}/namespaces/{stage.namespace}/gpuworkloads"
    extended.must("POST", where, workload(gangSize=2, memory="1Gi", cpu="500m"))
    workloads.reconcile(client)
    job = stage.job()
    assert job["spec"]["suspend"] is True
    assert (job["spec"]["parallelism"], job["spec"]["completions"]) == (2, 2)
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"] == {
        "nvidia.com/gpu": "1",
        "memory": "1Gi",
        "cpu": "500m",
    }
    workloads.reconcile(client)
    assert extended.must("GET", f"{where}/fit")["status"]["phase"] == "Pending"
    (seen,) = (w for w in read_cluster(client).workloads if w.namespace == stage.namespace)
    assert (seen.released_by, seen.gpus) == ("suspended-job", 2)
    extended.must(
        "PATCH", f"{stage.jobs}/fit", {"spec": {"suspend": False}}, content_type=MERGE_PATCH
    )

    def phase() -> str:
        workloads.reconcile(client)
        return str(extended.must("GET", f"{where}/fit")["status"]["phase"])

    eventually(lambda: phase() in ("Running", "Succeeded"), what="running")


def told(extended: ControlPlane, where: str, name: str) -> tuple[str, str, str]:
    """A workload's phase, and its condition's reason and message."""
    status = extended.must("GET", f"{where}/{name}").get("status", {})
    condition: dict[str, str] = next(iter(status.get("conditions", ())), {})
    return status.get("phase", ""), condition.get("reason", ""), condition.get("message", "")


def seen_of(client: Client, stage: Stage, *nodes: str) -> Snapshot:
    """What waits in the stage's namespace, those nodes, and no GPU that tells anything."""
    state = read_cluster(client)
    ours = tuple(node for node in state.nodes if node.name in nodes)
    jobs = tuple(each for each in state.workloads if each.namespace == stage.namespace)
    return Snapshot(time.time(), 3600.0, 0.95, (), ours, jobs, state.namespaces)


def named(name: str, **changes: Any) -> dict[str, Any]:
    body = workload(**changes)
    body["metadata"]["name"] = name
    return body


def test_a_workload_that_no_job_can_be_made_of_fails_and_stops_no_other(
    extended: ControlPlane, client: Client, journal: Journal
) -> None:
    """It fails with the server's reason, and the ones after it get their Jobs."""
    stage = Stage(extended, journal)
    where = f"{GROUP}/namespaces/{stage.namespace}/gpuworkloads"
    containers = workload()["spec"]["template"]["containers"]
    always = {"restartPolicy": "Always", "containers": containers}
    odd = {"containers": [{"name": "main", "image": "x", "resources": "many"}]}
    extended.must("POST", where, named("a-bad", template=always))
    extended.must("POST", where, named("b-odd", template=odd))
    extended.must("POST", where, named("c-good"))
    workloads.reconcile(client)
    assert stage.job("c-good")["spec"]["suspend"] is True
    phase, reason, message = told(extended, where, "a-bad")
    assert (phase, reason) == ("Failed", "Rejected")
    assert "restartPolicy" in message
    assert told(extended, where, "b-odd")[:2] == ("Failed", "Rejected")
    assert told(extended, where, "c-good") == ("Pending", "Pending", "it waits for a place")


def test_a_job_of_someone_elses_is_not_taken_for_the_workloads(
    extended: ControlPlane, client: Client, journal: Journal
) -> None:
    """The workload waits and says why; once the name is free it gets a Job of its own."""
    stage = Stage(extended, journal)
    where = f"{GROUP}/namespaces/{stage.namespace}/gpuworkloads"
    foreign = stage.add_job()
    made = extended.must("POST", where, workload())
    workloads.reconcile(client)
    phase, reason, message = told(extended, where, "fit")
    assert (phase, reason) == ("Pending", "NameTaken")
    assert "Job fit is there and not of this workload" in message
    assert stage.job()["metadata"]["uid"] == foreign["metadata"]["uid"]
    extended.must("DELETE", f"{stage.jobs}/fit?propagationPolicy=Background")
    eventually(lambda: extended.request("GET", f"{stage.jobs}/fit")[0] == 404, what="gone")
    workloads.reconcile(client)
    (owner,) = stage.job()["metadata"]["ownerReferences"]
    assert owner["uid"] == made["metadata"]["uid"]


@pytest.mark.parametrize(
    ("labels", "reason"), [({}, "Pending"), ({MANAGED: "false"}, "NotManaged")]
)
def test_a_workload_needs_no_label_and_says_where_its_own_keeps_it_back(
    extended: ControlPlane,
    client: Client,
    journal: Journal,
    labels: dict[str, str],
    reason: str,
) -> None:
    """Whoever made a GPUWorkload meant it; only an explicit no is one."""
    stage = Stage(extended, journal)
    where = f"{GROUP}/namespaces/{stage.namespace}/gpuworkloads"
    body = workload()
    body["metadata"]["labels"] = labels
    extended.must("POST", where, body)
    workloads.reconcile(client)
    assert told(extended, where, "fit")[:2] == ("Pending", reason)
    found, _ = extended.request("GET", f"{stage.jobs}/fit")
    assert found == (200 if reason == "Pending" else 404)


def test_a_workload_that_may_not_have_a_job_yet_is_tried_again(
    extended: ControlPlane, client: Client, journal: Journal
) -> None:
    """Refused with 403 it says so, and waits for whoever grants the right."""
    stage = Stage(extended, journal)
    where = f"{GROUP}/namespaces/{stage.namespace}/gpuworkloads"
    rights = "get,list,patch", "gpuworkloads.agentaflow.io,gpuworkloads.agentaflow.io/status"
    role = f"reader-{stage.namespace}"
    account = f"--serviceaccount={stage.namespace}:default"
    for arguments in (
        ("create", "clusterrole", role, f"--verb={rights[0]}", f"--resource={rights[1]}"),
        ("create", "clusterrolebinding", role, f"--clusterrole={role}", account),
        ("create", "clusterrole", f"{role}-jobs", "--verb=get", "--resource=jobs.batch"),
        ("create", "clusterrolebinding", f"{role}-jobs", f"--clusterrole={role}-jobs", account),
    ):
        done = extended.kubectl(*arguments)
        assert done.returncode == 0, done.stderr
    namespaced = f"--namespace={stage.namespace}"
    token = extended.kubectl("create", "token", "default", namespaced).stdout.strip()
    extended.must("POST", where, workload())
    with connect(extended.write_kubeconfig(role, token), None) as limited:

        def refused() -> bool:
            try:
                workloads.reconcile(limited)
            except ApiTrouble:
                return False  # RBAC is not in force yet
            return told(extended, where, "fit")[1] == "Refused"

        eventually(refused, what="refused")
    assert 'cannot create resource "jobs"' in told(extended, where, "fit")[2]
    workloads.reconcile(client)
    assert told(extended, where, "fit")[1] == "Pending"
    assert stage.job()["spec"]["suspend"] is True


def test_a_workload_that_ended_is_not_run_again(
    extended: ControlPlane, client: Client, journal: Journal
) -> None:
    """Its Job may be cleared away."""
    stage = Stage(extended, journal)
    where = f"{GROUP}/namespaces/{stage.namespace}/gpuworkloads"
    extended.must("POST", where, workload())
    ended = {"status": {"phase": "Succeeded"}}
    extended.must("PATCH", f"{where}/fit/status", ended, content_type=MERGE_PATCH)
    workloads.reconcile(client)
    assert extended.request("GET", f"{stage.jobs}/fit")[0] == 404


def test_a_workload_that_finds_no_place_says_why(
    extended: ControlPlane, client: Client, journal: Journal
) -> None:
    """What the placement objected to is in its condition, for whoever submitted it."""
    stage = Stage(extended, journal)
    where = f"{GROUP}/namespaces/{stage.namespace}/gpuworkloads"
    extended.must("POST", where, workload(gpus=16))
    workloads.reconcile(client)
    made = propose_placements(
        load(None, {"strategy": "best_fit"}),
        seen_of(client, stage, stage.node),
        journal,
        actor="t",
        now=time.time(),
    )
    workloads.reconcile(client, made.refusals)
    waits = "it waits for a place: no node can take it: 1 node: too few free GPUs"
    assert told(extended, where, "fit") == ("Pending", "Pending", waits)


def test_a_workload_is_placed_by_the_strategy_that_it_asks_for(
    extended: ControlPlane, client: Client, journal: Journal, cli: Cli
) -> None:
    """And one that asks for none by the one that is set; the decision and the Job say by which."""
    stage = Stage(extended, journal)
    extended.add_node(small := f"{stage.namespace}-small", gpus=4)
    into = ("--into", stage.namespace, "--kubeconfig", str(extended.kubeconfig))
    for name, asked in (("fit", ()), ("spread", ("--strategy", "round_robin"))):
        done = cli("submit", name, "--image", "example.test/x", "--gpus", "2", *asked, *into)
        assert done.code == 0, done.err
    workloads.reconcile(client)
    eventually(lambda: schedulable(client, small), what="the small node ready")
    now, seen = time.time(), seen_of(client, stage, small, stage.node)
    settings = load(None, {"strategy": "best_fit"})
    found = propose_placements(settings, seen, journal, actor="test", now=now)
    assert {
        (one.action.name, one.strategy, one.action.node) for one in found.decisions.values()
    } == {
        ("fit", "best_fit", small),
        ("spread", "round_robin", stage.node),
    }
    assert stage.job("spread")["metadata"]["annotations"] == {STRATEGY: "round_robin"}
    shown = extended.kubectl("get", "gpuw", f"--namespace={stage.namespace}", "-o", "wide").stdout
    assert "round_robin" in shown


def schedulable(client: Client, name: str) -> bool:
    (node,) = (each for each in read_cluster(client).nodes if each.name == name)
    return node.ready and not node.taints


def test_submit_hands_in_what_kubectl_apply_would(
    extended: ControlPlane, journal: Journal, cli: Cli, tmp_path: Path
) -> None:
    """From flags or from a file; what the API server refuses is told in one line."""
    stage = Stage(extended, journal)
    where = f"{GROUP}/namespaces/{stage.namespace}/gpuworkloads"
    into = ("--into", stage.namespace, "--kubeconfig", str(extended.kubeconfig))
    done = cli("submit", "fit", "--image", "example.test/x", "--gpus", "4", *into)
    assert (done.code, done.out.strip()) == (0, f"{stage.namespace}/fit submitted")
    assert extended.must("GET", f"{where}/fit")["spec"]["gpus"] == 4
    again = cli("submit", "fit", "--image", "example.test/x", *into)
    assert again.code == 5
    assert "already exists" in again.err
    manifest = tmp_path / "work.yaml"
    bodies = [{**workload(), "metadata": {"name": name}} for name in ("one", "two")]
    manifest.write_text("---\n".join(json.dumps(body) + "\n" for body in bodies))
    assert cli("submit", "-f", str(manifest), *into).code == 0
    assert extended.must("GET", f"{where}/two")["metadata"]["labels"] == {MANAGED: "true"}


def test_what_a_file_says_of_a_workload_is_kept(
    extended: ControlPlane, home: str, cli: Cli, tmp_path: Path
) -> None:
    """Labels and annotations; and a program is told as it likes it."""
    manifest = tmp_path / "work.yaml"
    body = named("noted")
    body["metadata"] |= {"annotations": {"team": "vision"}, "labels": {"tier": "a"}}
    manifest.write_text(json.dumps(body))
    into = ("--into", home, "--kubeconfig", str(extended.kubeconfig), "-o", "json")
    done = cli("submit", "-f", str(manifest), *into)
    assert (done.code, done.err) == (0, "")
    (told,) = done.json["workloads"]
    assert told == {"namespace": home, "name": "noted", "submitted": True, "error": None}
    made = extended.must("GET", f"{GROUP}/namespaces/{home}/gpuworkloads/noted")["metadata"]
    assert made["annotations"] == {"team": "vision"}
    assert made["labels"] == {"tier": "a", MANAGED: "true"}


def test_a_cluster_without_our_resources_is_told_with_what_to_install(
    cluster: ControlPlane, extended: ControlPlane, cli: Cli
) -> None:
    """And a namespace that is not there is another matter."""
    work = ("submit", "fit", "--image", "x", "--kubeconfig")
    bare = cli(*work, str(cluster.kubeconfig))
    assert bare.code == 5
    assert bare.error.endswith(
        "the cluster does not know GPUWorkloads: kubectl apply -f manifests/crds.yaml"
    )
    nowhere = cli(*work, str(extended.kubeconfig), "--into", "nowhere")
    assert 'namespaces "nowhere" not found' in nowhere.error
    assert "crds.yaml" not in nowhere.error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give a NAME and --image, or -f FILE"),
        (("fit",), "--image is missing"),
        (("-f", "nowhere.yaml"), "cannot read nowhere.yaml"),
        (("fit", "--image", "x", "--strategy", "magic"), "magic: give one of best_fit, "),
    ],
)
def test_submit_says_what_is_missing(cli: Cli, arguments: tuple[str, ...], message: str) -> None:
    """Before anything is sent."""
    done = cli("submit", *arguments)
    assert done.code == 2
    assert message in done.err
