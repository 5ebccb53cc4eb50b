"""Proposals: a decision carries what its approval and its action will be held against."""

from __future__ import annotations

import uuid
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from agentaflow_advisor.decide.proposal import propose, uuid7
from agentaflow_advisor.model import PlacePod, Query, State
from tests.support.decisions import NOW, placement
from tests.support.fleet import gated_pod, gpus_of, node, snapshot


def test_a_proposal_is_bound_to_the_state_of_its_pod() -> None:
    """uid, resourceVersion, constraints and marker are those of the pod that was placed."""
    pod = gated_pod("train", annotations={"agentaflow.io/decision": "copied from elsewhere"})
    made = propose(placement(pod, "node-3"), snapshot([node("node-3")]), NOW)
    action = made.action
    assert isinstance(action, PlacePod)
    assert (action.uid, action.resource_version) == (pod.uid, pod.resource_version)
    assert action.spec_hash == pod.spec_hash
    assert action.marker == "copied from elsewhere"
    assert (action.node, action.hostname, action.gate) == (
        "node-3",
        "node-3",
        "agentaflow.io/placement",
    )
    assert (made.state, made.state_at, made.why) == (State.PROPOSED, NOW, "node-3 fits best")


def test_its_evidence_is_what_was_asked_and_the_oldest_answer() -> None:
    """The PromQL texts and Prometheus' time go along, and the age of the worst GPU's sample."""
    gpus = (*gpus_of("node-0", 0.1), *gpus_of("node-0", 0.2, age_seconds=40), *gpus_of("b", 0.3))
    query = Query("utilization", "max_over_time(x[7d])", 3, 0.1)
    seen = snapshot([node("node-0")], gpus=gpus, queries=(query,), taken_at=NOW - 5)
    evidence = propose(placement(gated_pod("train")), seen, NOW).evidence
    assert evidence.promql == ("max_over_time(x[7d])",)
    assert (evidence.evaluated_at, evidence.newest_age_seconds) == (NOW - 5, 40)
    assert evidence.samples == 20_000


@given(st.floats(0, 2**40))
def test_an_id_is_a_uuid_of_version_7(now: float) -> None:
    """RFC 9562: version, variant, and the time in milliseconds in front."""
    made = uuid.UUID(uuid7(now))
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == int(now * 1000) % 2**48


def test_ids_sort_by_time() -> None:
    """A later decision has the greater id, a millisecond is enough."""
    ids = [uuid7(NOW + step / 1000) for step in range(1000)]
    assert ids == sorted(ids)


def test_a_change_of_constraints_changes_the_hash_of_the_pod() -> None:
    """What a placement rests on is in the hash, what it does not rest on is not."""
    pod = gated_pod("train")
    assert replace(pod, gpus=2).spec_hash != pod.spec_hash
    assert replace(pod, node_selector={"a": "b"}).spec_hash != pod.spec_hash
    assert replace(pod, unmodelled=("topologySpreadConstraints",)).spec_hash != pod.spec_hash
    assert replace(pod, resource_version="7", phase="Running").spec_hash == pod.spec_hash
