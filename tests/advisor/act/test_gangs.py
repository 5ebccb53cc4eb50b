"""A gang is released whole: all of it is judged together before the first write, or none goes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lightkube.resources.core_v1 import Pod

from agentaflow_advisor.act.apply import apply_together, recover
from agentaflow_advisor.act.points import Point
from agentaflow_advisor.decide.approval import approve
from agentaflow_advisor.decide.errors import WrongState
from agentaflow_advisor.decide.journal import Journal
from agentaflow_advisor.decide.policy import Policy
from agentaflow_advisor.model import Decision, State
from agentaflow_advisor.model.names import DECISION, GANG, GANG_SIZE, MANAGED
from agentaflow_advisor.observe import kubernetes
from tests.support.applying import NODE_PATH, applier, objects, pod_manifest
from tests.support.decisions import ACTING, NOW, decision
from tests.support.fake_cluster import FAULTS, FakeCluster, Killed, failure

LABELS = {MANAGED: "true", GANG: "ring"}
WHERE = {"g0": "node-0", "g1": "node-0", "g2": "node-1"}


def path(name: str) -> str:
    return f"/api/v1/namespaces/research/pods/{name}"


def pod(name: str, gpus: int = 4, on: str = "", **metadata: Any) -> dict[str, Any]:
    """Of the gang; bound where it says."""
    made = pod_manifest(name, gpus=gpus, gates=() if on else ("agentaflow.io/placement",))
    made["metadata"] |= {"uid": f"uid-{name}", "resourceVersion": "1", "labels": LABELS}
    made["metadata"] |= metadata
    if on:
        made["spec"]["nodeName"] = on
    return made


def world(*pods: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The gang of three with 4 GPUs each, and two nodes of 8."""
    there = {p: body for p, body in objects().items() if "/pods/" not in p}
    there["/api/v1/nodes/node-1"] = {
        **there[NODE_PATH],
        "metadata": {"name": "node-1", "labels": {"kubernetes.io/hostname": "node-1"}},
    }
    members = [pod(name) for name in WHERE]
    return there | {path(one["metadata"]["name"]): one for one in (*members, *pods)}


class Cluster(FakeCluster):
    """One that refuses writes to some pods: their rehearsals, or only what comes after them."""

    refused: frozenset[str] = frozenset()
    rehearses = False

    def _patch(self, request: httpx2.Request, *, dry_run: bool) -> httpx2.Response:
        if request.url.path.rpartition("/")[2] in self.refused and dry_run <= self.rehearses:
            return failure(403)
        return super()._patch(request, dry_run=dry_run)

    @property
    def released(self) -> set[str]:
        return {
            name
            for name in WHERE
            if DECISION in self.objects[path(name)]["metadata"].get("annotations", {})
        }


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal.db") as opened:
        yield opened


def approved(journal: Journal, cluster: FakeCluster) -> list[Decision]:
    """Each member's decision, as WHERE says."""
    made = []
    for name, node in WHERE.items():
        found = cluster.client.get(Pod, name, namespace="research")
        proposed = journal.add(decision(kubernetes.workload(found), node))
        made.append(approve(journal, proposed.id, actor="alice", now=NOW, policy=ACTING))
    cluster.requests.clear()
    return made


def carry_out(journal: Journal, cluster: FakeCluster, policy: Policy = ACTING) -> None:
    """What a cycle does: recover, then what is approved."""
    acting = applier(journal, cluster.client, policy)
    recover(acting)
    for each in journal.list((State.APPROVED,)):
        with suppress(WrongState):
            apply_together(acting, each)


def ended(journal: Journal) -> list[tuple[State, str]]:
    """By name, whatever the order of ids of one millisecond."""
    decisions = sorted(journal.list(), key=lambda each: each.action.name)
    return [(each.state, each.reason) for each in decisions]


def test_a_gang_is_released_whole(journal: Journal) -> None:
    """All are intended and rehearsed before the first is written."""
    cluster = Cluster(world())
    (first, *_) = approved(journal, cluster)
    done = apply_together(applier(journal, cluster.client), first)
    assert [each.state for each in done] == [State.APPLIED] * 3
    assert cluster.released == set(WHERE)
    patches = [sent for sent in cluster.requests if sent.method == "PATCH"]
    assert all("dryRun" in sent.url.params for sent in patches[:3])


@pytest.mark.parametrize(
    ("there", "reason"),
    [
        (
            pod("late", 8, on="node-1", labels={}),
            "research/g2: node_has_room: node node-1: too few free GPUs",
        ),
        (
            pod("late", 4, on="node-0", labels={}),
            "node_has_room: node node-0: too few free GPUs",
        ),
        (
            pod("g2", annotations={DECISION: "another"}),
            "research/g2: pod research/g2 was changed by decision another",
        ),
        (
            pod("g2", labels={**LABELS, GANG_SIZE: "4"}),
            "gang_whole: its gang cannot start: 3 of its 4 pods are there",
        ),
        (
            pod("g2", labels={**LABELS, GANG: "other"}),
            "research/g2: target_unchanged: what pod research/g2 asks for changed",
        ),
    ],
    ids=[
        "one has no room",
        "each has room, but not both",
        "one is changed",
        "it is to be larger",
        "one is of another",
    ],
)
def test_a_gang_of_which_one_cannot_go_stays_whole(
    journal: Journal, there: dict[str, Any], reason: str
) -> None:
    """Nothing is written, and each of the others says which one it was, and why."""
    approved(journal, Cluster(world()))
    cluster = Cluster(world(there))
    carry_out(journal, cluster)
    assert cluster.accepted == []
    assert not [sent for sent in cluster.requests if sent.method == "PATCH"]
    states, reasons = zip(*ended(journal), strict=True)
    assert set(states) <= {State.VETOED, State.SUPERSEDED}
    who, _, why = reason.rpartition("/g2: ")
    assert all("gang_whole: it" in each or why in each for each in reasons)
    assert any(reason in each for each in reasons) or not who


@pytest.mark.parametrize(
    "policy",
    [
        replace(ACTING, max_per_cycle=2),
        replace(ACTING, max_per_hour=2),
        replace(ACTING, max_per_node_per_hour=1),
        replace(ACTING, max_per_namespace_per_hour=2),
    ],
    ids=["cycle", "hour", "node", "namespace"],
)
def test_a_limit_of_pace_never_splits_a_gang(journal: Journal, policy: Policy) -> None:
    """It waits, approved, until all of it is within the limits."""
    cluster = Cluster(world())
    approved(journal, cluster)
    carry_out(journal, cluster, policy)
    assert cluster.accepted == []
    assert {state for state, _ in ended(journal)} == {State.APPROVED}
    (waits, *_) = apply_together(
        applier(journal, cluster.client, policy), journal.list((State.APPROVED,))[0]
    )
    assert waits.reason.startswith("waits: it goes whole or not at all")
    carry_out(journal, cluster)
    assert cluster.released == set(WHERE)


def test_a_member_that_the_server_would_refuse_keeps_the_others(journal: Journal) -> None:
    """A rehearsal of each write comes before the first one."""
    cluster = Cluster(world())
    cluster.refused, cluster.rehearses = frozenset({"g1"}), True
    approved(journal, cluster)
    carry_out(journal, cluster)
    assert cluster.accepted == []
    (first, _), (second, why), (third, _) = ended(journal)
    assert (first, second, third) == (State.SUPERSEDED, State.FAILED, State.SUPERSEDED)
    assert "403" in why


def test_a_refusal_midway_is_told(journal: Journal) -> None:
    """Nothing can be taken back: who is left says so, and can be proposed again beside them."""
    cluster = Cluster(world())
    cluster.refused = frozenset({"g1"})
    approved(journal, cluster)
    carry_out(journal, cluster)
    went = cluster.released
    assert "g1" not in went
    told = [reason for state, reason in ended(journal) if state is not State.APPLIED]
    assert len(told) == 3 - len(went)
    if went:
        assert all(f"{len(went)} of its gang went without it: research/g" in each for each in told)
        assert all("can place it again beside them" in each for each in told)


def test_the_rest_of_a_gang_that_runs_goes_whole_or_not_at_all(journal: Journal) -> None:
    """What could not go with the others goes later beside them: again all of it, or none."""
    approved(journal, Cluster(world()))
    late, member = pod("late", 8, on="node-1", labels={}), pod("g3", 0, on="node-0")
    cluster = Cluster(world(late, member))
    carry_out(journal, cluster)
    assert cluster.accepted == []
    approved(journal, Cluster(world()))
    cluster = Cluster(world(member))
    carry_out(journal, cluster)
    assert cluster.released == set(WHERE)


@pytest.mark.parametrize("point", [p for p in Point if "undo" not in p])
@pytest.mark.parametrize("time", [1, 2, 3])
def test_a_gang_that_a_crash_cut_is_completed(journal: Journal, point: Point, time: int) -> None:
    """Killed at any point of any member, the next cycle brings the rest."""
    cluster = Cluster(world())
    (first, *_) = approved(journal, cluster)
    passed: list[Point] = []

    def reached(here: Point) -> None:
        passed.append(here)
        if passed.count(point) == time:
            raise Killed

    with suppress(Killed):
        apply_together(replace(applier(journal, cluster.client), reached=reached), first)
    carry_out(journal, cluster)
    assert cluster.released == set(WHERE)
    assert {state for state, _ in ended(journal)} == {State.APPLIED}


def test_a_gang_that_lost_its_room_between_intent_and_write_stays_whole(journal: Journal) -> None:
    """Killed once all are intended, and then a node is taken: none of it goes."""
    (first, *_) = approved(journal, Cluster(world()))
    cluster = Cluster(world())

    def reached(here: Point) -> None:
        if here is Point.AFTER_REHEARSAL:
            raise Killed

    with pytest.raises(Killed):
        apply_together(replace(applier(journal, cluster.client), reached=reached), first)
    cluster.objects |= world(pod("late", 8, on="node-1", labels={}))
    carry_out(journal, cluster)
    assert cluster.accepted == []
    assert {state for state, _ in ended(journal)} == {State.SUPERSEDED}


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    writes=st.lists(st.sampled_from(FAULTS), max_size=6),
    reads=st.lists(
        st.sampled_from([*["none"] * 6, "lost before", "500 before", "killed before"]), max_size=30
    ),
)
def test_whatever_is_lost_or_killed_the_whole_gang_goes_once(
    tmp_path_factory: pytest.TempPathFactory, writes: Sequence[str], reads: Sequence[str]
) -> None:
    """Any sequence of faults and deaths ends with each pod changed exactly once."""
    file = tmp_path_factory.mktemp("gang") / "journal.db"
    cluster = Cluster(world())
    with Journal(file) as journal:
        made = approved(journal, cluster)
    cluster.faults, cluster.get_faults = iter(writes), iter(reads)
    for _ in range(len(writes) + len(reads) + 1):
        with Journal(file) as journal, suppress(Killed):
            carry_out(journal, cluster)
    with Journal(file) as journal:
        assert {state for state, _ in ended(journal)} == {State.APPLIED}
    marks = [patch["metadata"]["annotations"][DECISION] for patch in cluster.accepted]
    assert sorted(marks) == sorted(each.id for each in made)
