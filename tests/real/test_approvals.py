"""Approvals in the API of a cluster that has the resources, but not the policy that guards them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lightkube import Client

from agentaflow_advisor.act.errors import Unprotected
from agentaflow_advisor.act.resources import recommendations
from agentaflow_advisor.act.resources.approvals import SETTLING_SECONDS
from agentaflow_advisor.decide.journal import Journal
from agentaflow_advisor.decide.policy import Policy
from agentaflow_advisor.model import Decision, State
from agentaflow_advisor.model.names import APPROVED, APPROVED_BY
from agentaflow_advisor.observe.cluster import connect
from tests.support.decisions import decision
from tests.support.fleet import gated_pod
from tests.support.scene import new_namespace
from tools.control_plane import MERGE_PATCH, ControlPlane
from tools.processes import eventually

MANIFESTS = Path(__file__).parents[2] / "scheduler_advisor" / "manifests"
GROUP = "/apis/agentaflow.io/v1alpha1"
POLICY = Policy()


@pytest.fixture(scope="module")
def bare(own_cluster: ControlPlane) -> ControlPlane:
    """With our resources and nothing that guards them."""
    applied = own_cluster.kubectl("apply", "-f", str(MANIFESTS / "crds.yaml"))
    assert applied.returncode == 0, applied.stderr
    eventually(
        lambda: own_cluster.request("GET", f"{GROUP}/gpurecommendations")[0] == 200, what="served"
    )
    return own_cluster


@pytest.fixture
def client(bare: ControlPlane) -> Iterator[Client]:
    with connect(bare.kubeconfig, None) as opened:
        yield opened


@pytest.fixture
def home(bare: ControlPlane) -> str:
    return new_namespace(bare)


def published(client: Client, home: str, journal: Journal, pod: str = "train") -> Decision:
    made = journal.add(decision(gated_pod(pod), now=time.time()))
    recommendations.publish(client, home, [made], POLICY)
    return made


def approve(
    cluster: ControlPlane, home: str, made: Decision, by: str, **who: Any
) -> tuple[int, Any]:
    notes = {APPROVED: recommendations.plan_hash(made), APPROVED_BY: by}
    return cluster.request(
        "PATCH",
        f"{GROUP}/namespaces/{home}/gpurecommendations/{made.id}",
        {"metadata": {"annotations": notes}},
        content_type=MERGE_PATCH,
        **who,
    )


def editor(cluster: ControlPlane, home: str) -> str:
    """The token of an account that may get and patch recommendations, and no more."""
    rights = "--verb=get,patch", "--resource=gpurecommendations.agentaflow.io"
    for arguments in (
        ("create", "serviceaccount", "editor"),
        ("create", "role", "edit", *rights),
        ("create", "rolebinding", "edit", "--role=edit", f"--serviceaccount={home}:editor"),
    ):
        done = cluster.kubectl(*arguments, f"--namespace={home}")
        assert done.returncode == 0, done.stderr
    return cluster.kubectl("create", "token", "editor", f"--namespace={home}").stdout.strip()


def test_an_approval_that_nobody_guarded_is_none(
    bare: ControlPlane, client: Client, home: str, journal: Journal
) -> None:
    """Whoever may patch could have written it; it stays none once the policy is there."""
    forged = published(client, home, journal)
    token = editor(bare, home)
    eventually(lambda: approve(bare, home, forged, "ceo", token=token)[0] == 200, what="patched")
    with pytest.raises(Unprotected) as refused:
        recommendations.adopt(client, home, journal, POLICY, now=time.time())
    assert str(refused.value) == (
        f"the approval of GPURecommendation {home}/{forged.id} is not taken: "
        "ValidatingAdmissionPolicy agentaflow-approvals is not there; apply "
        "manifests/approvals.yaml, or use `agentaflow approve`"
    )
    assert journal.get(forged.id).state is State.PROPOSED

    applied = bare.kubectl("apply", "-f", str(MANIFESTS / "approvals.yaml"))
    assert applied.returncode == 0, applied.stderr
    installed = time.time()
    eventually(lambda: time.time() > installed + SETTLING_SECONDS + 1, what="settled")
    with pytest.raises(Unprotected, match="is older than the policy"):
        recommendations.adopt(client, home, journal, POLICY, now=time.time())
    made = published(client, home, journal, "later")
    assert approve(bare, home, made, "admin")[0] == 200
    with pytest.raises(Unprotected, match="is older than the policy"):  # of the forged one
        recommendations.adopt(client, home, journal, POLICY, now=time.time())
    assert (journal.get(made.id).state, journal.get(made.id).actor) == (State.APPROVED, "admin")
    assert journal.get(forged.id).state is State.PROPOSED
