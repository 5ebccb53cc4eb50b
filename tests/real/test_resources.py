"""Our own resources on a real API server: validated, shown, approved there, and followed."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from lightkube import Client

from agentaflow_advisor.act.resources import nodes, recommendations
from agentaflow_advisor.act.resources.kinds import installed
from agentaflow_advisor.decide.journal import Journal
from agentaflow_advisor.decide.policy import Policy
from agentaflow_advisor.model import Decision, State
from agentaflow_advisor.model.names import APPROVED, APPROVED_BY
from agentaflow_advisor.observe.cluster import connect
from tests.support.decisions import decision
from tools.control_plane import MERGE_PATCH, ControlPlane
from tools.processes import eventually

GROUP = "/apis/agentaflow.io/v1alpha1"
POLICY = Policy()


def published(client: Client, home: str, journal: Journal) -> Decision:
    made = journal.add(decision(now=time.time()))
    recommendations.publish(client, home, [made], POLICY)
    return made


def path(home: str, made: Decision) -> str:
    return f"{GROUP}/namespaces/{home}/gpurecommendations/{made.id}"


def test_without_the_crds_nothing_is_mirrored(cluster: ControlPlane) -> None:
    """And nothing fails for it."""
    with connect(cluster.kubeconfig, None) as client:
        assert not installed(client)


def test_a_recommendation_is_shown_with_its_state(
    extended: ControlPlane, client: Client, home: str, journal: Journal
) -> None:
    """kubectl prints what it is about, and follows the journal."""
    made = published(client, home, journal)
    vetoed = journal.transition(made.id, State.VETOED, actor="bob", at=1.0, reason="not today")
    recommendations.publish(client, home, [vetoed], POLICY)
    shown = extended.kubectl("get", "gpurec", f"--namespace={home}", "-o", "wide")
    assert "vetoed" in shown.stdout, shown.stderr
    assert "research/train" in shown.stdout
    assert "not today" in shown.stdout
    recommendations.forget(client, home, [])
    assert extended.request("GET", path(home, made))[0] == 404


def test_a_recommendation_does_not_change(
    extended: ControlPlane, client: Client, home: str, journal: Journal
) -> None:
    """What was approved is what was proposed."""
    made = published(client, home, journal)
    body = {"spec": {"node": "other"}}
    status, answer = extended.request("PATCH", path(home, made), body, content_type=MERGE_PATCH)
    assert status == 422
    assert "does not change" in answer["message"]


def approval(hash_: str, by: str) -> dict[str, Any]:
    return {"metadata": {"annotations": {APPROVED: hash_, APPROVED_BY: by}}}


def test_an_approval_in_the_api_is_one_in_the_journal(
    extended: ControlPlane, client: Client, home: str, journal: Journal
) -> None:
    """By its author's name; once."""
    made = published(client, home, journal)
    body = approval(recommendations.plan_hash(made), "admin")
    extended.must("PATCH", path(home, made), body, content_type=MERGE_PATCH)
    (agreed,) = recommendations.adopt(client, home, journal, POLICY, now=time.time())
    assert (agreed.state, agreed.actor) == (State.APPROVED, "admin")
    assert recommendations.adopt(client, home, journal, POLICY, now=time.time()) == ()


@pytest.mark.parametrize(
    ("hash_", "by", "message"),
    [
        ("0" * 64, "admin", "has to be the recommendation's spec.hash"),
        ("", "somebody", "has to be the recommendation's spec.hash"),
        (None, "somebody else", "has to be your own user name"),
    ],
)
def test_an_approval_of_something_else_or_in_anothers_name_is_refused(
    extended: ControlPlane,
    client: Client,
    home: str,
    journal: Journal,
    hash_: str | None,
    by: str,
    message: str,
) -> None:
    """The API server says so, and the journal hears nothing."""
    made = published(client, home, journal)
    right = recommendations.plan_hash(made)
    body = approval(right if hash_ is None else hash_ or "f" * 64, by)

    def refused() -> str:
        status, answer = extended.request(
            "PATCH", f"{path(home, made)}?dryRun=All", body, content_type=MERGE_PATCH
        )
        return str(answer["message"]) if status == 422 else ""

    assert message in eventually(refused, what="refused by the policy")
    assert recommendations.adopt(client, home, journal, POLICY, now=time.time()) == ()


def test_to_approve_takes_the_verb(
    extended: ControlPlane, client: Client, home: str, journal: Journal
) -> None:
    """Whoever may patch alone may not say yes; with the verb of its own it may."""
    made = published(client, home, journal)
    for arguments in (
        ("create", "serviceaccount", "ops"),
        (
            "create",
            "role",
            "edit",
            "--verb=get,patch",
            "--resource=gpurecommendations.agentaflow.io",
        ),
        ("create", "rolebinding", "edit", "--role=edit", f"--serviceaccount={home}:ops"),
    ):
        done = extended.kubectl(*arguments, f"--namespace={home}")
        assert done.returncode == 0, done.stderr
    token = extended.kubectl("create", "token", "ops", f"--namespace={home}").stdout.strip()
    body = approval(recommendations.plan_hash(made), f"system:serviceaccount:{home}:ops")

    def patch() -> tuple[int, str]:
        status, answer = extended.request(
            "PATCH", path(home, made), body, content_type=MERGE_PATCH, token=token
        )
        return status, json.dumps(answer)

    eventually(lambda: patch()[0] == 422 and "verb approve" in patch()[1], what="refused")
    bound = extended.kubectl(
        "create",
        "rolebinding",
        "approver",
        "--clusterrole=agentaflow-approver",
        f"--serviceaccount={home}:ops",
        f"--namespace={home}",
    )
    assert bound.returncode == 0, bound.stderr
    eventually(lambda: patch()[0] == 200, what="approved")


def test_an_approval_of_a_plan_that_the_journal_does_not_hold_is_none(
    extended: ControlPlane, client: Client, home: str, journal: Journal, tmp_path: Path
) -> None:
    """Another advisor's object of the same name says nothing about ours."""
    made = published(client, home, journal)
    body = approval(recommendations.plan_hash(made), "admin")
    extended.must("PATCH", path(home, made), body, content_type=MERGE_PATCH)
    with Journal(tmp_path / "other.db") as other:
        other.add(decision(now=time.time(), on="node-9"))
        assert recommendations.adopt(client, home, other, POLICY, now=time.time()) == ()


def test_nodes_are_shown_with_what_is_known_of_them(extended: ControlPlane, client: Client) -> None:
    """GPUs, free ones, health and price; one that is gone goes here too."""
    status = {
        "gpus": 8,
        "free": 3,
        "idle": 1,
        "health": "Suspect",
        "model": "NVIDIA H100",
        "pricePerHour": "98.32 USD",
        "observedAt": "2026-01-01T00:00:00Z",
    }
    nodes.publish(client, {"one": status, "two": {**status, "health": "Healthy"}})
    shown = extended.kubectl("get", "gpunodes").stdout
    assert "NVIDIA H100" in shown
    assert "Suspect" in shown
    nodes.publish(client, {"two": {"gpus": 4, "free": 4, "health": "Unknown"}})
    assert extended.request("GET", f"{GROUP}/gpunodes/one")[0] == 404
    assert extended.must("GET", f"{GROUP}/gpunodes/two")["status"] == {
        "gpus": 4,
        "free": 4,
        "health": "Unknown",
    }
