"""Applying: each decision changes its pod once or not at all, and the journal tells which."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentaflow_advisor.act.apply import Applier, apply_decision, recover
from agentaflow_advisor.act.facts import read_pod
from agentaflow_advisor.act.points import Point
from agentaflow_advisor.decide.errors import JournalLocked, WrongState
from agentaflow_advisor.decide.journal import Journal
from agentaflow_advisor.decide.policy import Policy
from agentaflow_advisor.model import Decision, State, Target
from agentaflow_advisor.model.names import DECISION
from agentaflow_advisor.observe.errors import PrometheusUnreachable
from tests.support.applying import (
    NAMESPACE_PATH,
    NODE_PATH,
    POD_PATH,
    SWITCH_PATH,
    Stopwatch,
    applier,
    approved,
    changed,
    objects,
)
from tests.support.decisions import ACTING, NOW, decision
from tests.support.fake_cluster import FAULTS, FakeCluster, Killed


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal.db") as opened:
        yield opened


def proposed_and_approved(journal: Journal, cluster: FakeCluster) -> Decision:
    """A decision about the pod as that cluster has it, approved."""
    found = read_pod(cluster.client, decision().action)
    assert isinstance(found, Target)
    assert found.pod is not None
    cluster.requests.clear()
    return approved(journal, found.pod)


def run(
    journal: Journal, cluster: FakeCluster, made: Decision, policy: Policy = ACTING
) -> Decision:
    return apply_decision(applier(journal, cluster.client, policy), made)


def changed_by(journal: Journal, world: dict[str, Any]) -> tuple[Decision, FakeCluster]:
    """Applied in a world that is not as it was when the decision was approved."""
    made = proposed_and_approved(journal, FakeCluster(objects()))
    cluster = FakeCluster(world)
    return run(journal, cluster, made), cluster


def test_an_approved_decision_is_applied_by_one_guarded_and_marked_patch(journal: Journal) -> None:
    """The patch holds its preconditions and its marker; a dry run of it comes first."""
    cluster = FakeCluster(objects())
    made = proposed_and_approved(journal, cluster)
    assert run(journal, cluster, made).state is State.APPLIED
    rehearsal, write = [sent for sent in cluster.requests if sent.method == "PATCH"]
    assert rehearsal.content == write.content
    assert (rehearsal.url.params["dryRun"], write.url.params["fieldManager"]) == (
        "All",
        "agentaflow",
    )
    assert json.loads(write.content) == {
        "metadata": {
            "uid": "uid-train",
            "resourceVersion": "1",
            "annotations": {DECISION: made.id},
        },
        "spec": {"schedulingGates": None, "nodeSelector": {"kubernetes.io/hostname": "node-0"}},
    }


def test_gates_of_others_stay(journal: Journal) -> None:
    """Only our own gate is taken off."""
    gates = [{"name": "first/gate"}, {"name": "agentaflow.io/placement"}, {"name": "last/gate"}]
    cluster = FakeCluster(changed(POD_PATH, spec__schedulingGates=gates))
    run(journal, cluster, proposed_and_approved(journal, cluster))
    assert cluster.objects[POD_PATH]["spec"]["schedulingGates"] == [gates[0], gates[2]]


def test_the_intent_is_on_disk_before_the_first_write(journal: Journal) -> None:
    """While the patch is on its way another process reads `intended`."""
    cluster = FakeCluster(objects())
    made = proposed_and_approved(journal, cluster)
    seen: set[tuple[str, State]] = set()

    def watch(request: Any) -> None:
        with Journal(journal.path) as other:
            seen.add((request.method, other.get(made.id).state))

    cluster.watch = watch
    run(journal, cluster, made)
    assert {state for method, state in seen if method == "PATCH"} == {State.INTENDED}


def test_only_approved_decisions_are_applied(journal: Journal) -> None:
    """Without an approval not even a question is sent."""
    cluster = FakeCluster(objects())
    made = journal.add(decision())
    with pytest.raises(WrongState, match="is proposed, not approved"):
        run(journal, cluster, made)
    assert cluster.requests == []


def test_an_old_approval_expires(journal: Journal) -> None:
    """A yes from long ago is no yes to what is there now."""
    cluster = FakeCluster(objects())
    made = proposed_and_approved(journal, cluster)
    ended = run(journal, cluster, made, replace(ACTING, approval_ttl_seconds=-1))
    assert ended.state is State.EXPIRED
    assert cluster.requests == []


@pytest.mark.parametrize(
    ("world", "reason"),
    [
        ({p: o for p, o in objects().items() if p != POD_PATH}, "is gone"),
        (changed(POD_PATH, metadata__uid="uid-other"), "replaced by another of its name"),
        (changed(POD_PATH, metadata__annotations={DECISION: "x"}), "changed by decision x"),
        (changed(POD_PATH, spec__schedulingGates=[]), "someone else took gate"),
        (changed(POD_PATH, spec__schedulingGates=None, spec__nodeName="node-0"), "someone else"),
    ],
)
def test_a_pod_that_is_not_the_one_any_more_supersedes_the_decision(
    journal: Journal, world: dict[str, Any], reason: str
) -> None:
    """Gone, replaced, decided or ungated by someone else: untouched, and the reason is kept."""
    ended, cluster = changed_by(journal, world)
    assert (ended.state, cluster.accepted) == (State.SUPERSEDED, [])
    assert reason in ended.reason


@pytest.mark.parametrize(
    ("world", "guard"),
    [
        ({**objects(), SWITCH_PATH: {"data": {"stop": "true"}}}, "kill_switch"),
        ({**objects(), SWITCH_PATH: {"metadata": {}}}, "kill_switch"),
        (changed(NAMESPACE_PATH, metadata__labels={}), "namespace_opted_in"),
        (changed(POD_PATH, metadata__labels={}), "target_opted_in"),
        (changed(POD_PATH, spec__nodeSelector={"tier": "h100"}), "target_unchanged"),
        (changed(NODE_PATH, spec__unschedulable=True), "node_usable"),
        (changed(NODE_PATH, status__allocatable={"nvidia.com/gpu": "0"}), "node_has_room"),
        ({p: o for p, o in objects().items() if p != NODE_PATH}, "node_usable"),
    ],
)
def test_a_guard_that_objects_to_what_is_there_now_vetoes(
    journal: Journal, world: dict[str, Any], guard: str
) -> None:
    """The veto is kept by the guard's name, and no intent is left behind."""
    ended, cluster = changed_by(journal, world)
    assert (ended.state, cluster.accepted) == (State.VETOED, [])
    last = journal.events(ended.id)[-1]
    assert guard in dict(last.vetoes)
    assert last.from_state is State.APPROVED


def test_a_switch_that_says_false_stops_nothing(journal: Journal) -> None:
    """The ConfigMap may stay in place while it is off."""
    ended, _ = changed_by(journal, {**objects(), SWITCH_PATH: {"data": {"stop": "false"}}})
    assert ended.state is State.APPLIED


def test_an_unreadable_switch_stops(journal: Journal) -> None:
    """403 on the kill switch is not `off`."""
    cluster = FakeCluster(objects())
    made = proposed_and_approved(journal, cluster)
    cluster.get_faults = iter(["none"] * 5 + ["403"])
    ended = run(journal, cluster, made)
    assert ended.state is State.VETOED
    assert "kill_switch: ConfigMap agentaflow/agentaflow-kill-switch cannot be read" in ended.reason


def test_without_prometheus_nothing_is_done(journal: Journal) -> None:
    """Evidence whose age nobody can tell is not fresh."""
    cluster = FakeCluster(objects())
    made = proposed_and_approved(journal, cluster)

    def unreachable() -> float:
        raise PrometheusUnreachable("down")

    blind = replace(applier(journal, cluster.client), prometheus_now=unreachable)
    ended = apply_decision(blind, made)
    assert (ended.state, cluster.accepted) == (State.VETOED, [])


def test_no_channel_is_on_by_default(journal: Journal) -> None:
    """Default is advice only."""
    cluster = FakeCluster(objects())
    ended = run(journal, cluster, proposed_and_approved(journal, cluster), Policy())
    assert (ended.state, cluster.accepted) == (State.VETOED, [])


@pytest.mark.parametrize("fault", ["lost before", "lost after", "truncated", "500 before", "429"])
def test_an_answer_that_tells_nothing_is_settled_by_reading(journal: Journal, fault: str) -> None:
    """Whether the lost write happened or not, the pod is changed once."""
    cluster = FakeCluster(objects())
    made = proposed_and_approved(journal, cluster)
    cluster.faults = iter([fault])
    assert run(journal, cluster, made).state is State.APPLIED
    assert len(cluster.accepted) == 1


def test_a_conflict_is_judged_anew(journal: Journal) -> None:
    """Someone else's harmless write costs a second look, not the decision."""
    cluster = FakeCluster(objects())
    made = proposed_and_approved(journal, cluster)
    cluster.faults = iter(["edited"] * 3)
    assert run(journal, cluster, made).state is State.APPLIED
    assert len(cluster.accepted) == 1


def test_endless_conflicts_expire(journal: Journal) -> None:
    """The attempts are bounded, and the last trouble is the reason."""
    cluster = FakeCluster(objects())
    made = proposed_and_approved(journal, cluster)
    cluster.faults = iter(["edited"] * 100)
    ended = run(journal, cluster, made)
    assert (ended.state, cluster.accepted) == (State.EXPIRED, [])
    assert "20 attempts and 60 s: Kubernetes API: 409" in ended.reason


def test_the_deadline_ends_the_waiting(journal: Journal) -> None:
    """Pauses grow, and nothing is tried after the deadline."""
    cluster = FakeCluster(objects())
    made = proposed_and_approved(journal, cluster)
    cluster.faults = iter(["lost before"] * 100)
    watch = Stopwatch()
    ended = apply_decision(applier(journal, cluster.client, watch=watch), made)
    assert ended.state is State.EXPIRED
    assert watch.slept[:4] == [0.2, 0.4, 0.8, 1.6]
    assert 60 <= watch.seconds <= 65


def test_a_refused_write_fails_with_the_servers_reason(journal: Journal) -> None:
    """403 will be 403 again: no retry, and the journal keeps the words."""
    cluster = FakeCluster(objects())
    made = proposed_and_approved(journal, cluster)
    cluster.faults = iter(["403"])
    ended = run(journal, cluster, made)
    assert (ended.state, ended.reason) == (State.FAILED, "Kubernetes API: 403 injected 403")


@pytest.mark.parametrize("fault", ["lost before", "403", "500 before"])
def test_a_cluster_that_cannot_be_read_ends_nothing(journal: Journal, fault: str) -> None:
    """The decision stays approved, and the answer says why."""
    cluster = FakeCluster(objects())
    made = proposed_and_approved(journal, cluster)
    cluster.get_faults = iter([fault] * 100)
    stayed = run(journal, cluster, made)
    assert stayed.state is State.APPROVED
    assert stayed.reason.startswith("Kubernetes API: ")
    assert journal.get(made.id) == made


def test_an_outcome_that_nobody_can_tell_stays_intended(journal: Journal) -> None:
    """The write was lost and then the API went down: recovery finds out later that it happened."""
    cluster = FakeCluster(objects())
    made = proposed_and_approved(journal, cluster)
    cluster.faults = iter(["lost after"])
    cluster.get_faults = iter(["none"] * 13 + ["lost before"] * 100)
    assert run(journal, cluster, made).state is State.INTENDED
    cluster.get_faults = iter(())
    (ended,) = recover(applier(journal, cluster.client))
    assert ended.state is State.APPLIED
    assert len(cluster.accepted) == 1


def test_a_veto_after_the_intent_supersedes(journal: Journal) -> None:
    """What was intended before a crash is not done once someone pulled the switch."""
    cluster = FakeCluster(objects())
    made = proposed_and_approved(journal, cluster)
    journal.transition(made.id, State.INTENDED, actor="killed", at=NOW)
    cluster.objects[SWITCH_PATH] = {"data": {"stop": "true"}}
    (ended,) = recover(applier(journal, cluster.client))
    assert (ended.state, cluster.accepted) == (State.SUPERSEDED, [])
    assert "kill_switch" in dict(journal.events(made.id)[-1].vetoes)


def test_a_pod_that_carries_the_id_already_is_applied_without_a_write(journal: Journal) -> None:
    """A journal restored from an older copy learns from the pod what was done."""
    cluster = FakeCluster(objects())
    made = proposed_and_approved(journal, cluster)
    done = changed(POD_PATH, metadata__annotations={DECISION: made.id}, spec__schedulingGates=[])
    later = FakeCluster(done)
    assert run(journal, later, made).state is State.APPLIED
    assert later.accepted == []


def test_of_two_journals_that_decide_on_one_pod_only_one_acts(
    journal: Journal, tmp_path: Path
) -> None:
    """Two advisors that do not know of each other: the second finds the first's marker."""
    cluster = FakeCluster(objects())
    with Journal(tmp_path / "other.db") as other:
        one, two = (proposed_and_approved(book, cluster) for book in (journal, other))
        assert run(journal, cluster, one).state is State.APPLIED
        ended = run(other, cluster, two)
    assert ended.state is State.SUPERSEDED
    assert f"changed by decision {one.id}" in ended.reason
    assert len(cluster.accepted) == 1


def test_two_appliers_do_not_work_on_one_journal(journal: Journal) -> None:
    """The second is told to wait, before it has read or written anything."""
    cluster = FakeCluster(objects())
    made = proposed_and_approved(journal, cluster)
    with Journal(journal.path) as other, other.acting(), pytest.raises(JournalLocked):
        run(journal, cluster, made)
    assert cluster.requests == []


def run_once(journal: Journal, cluster: FakeCluster, made: Decision) -> None:
    """What a process does from its start: recover, then apply what is approved."""
    room = applier(journal, cluster.client)
    recover(room)
    if journal.get(made.id).state is State.APPROVED:
        apply_decision(room, made)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    writes=st.lists(st.sampled_from(FAULTS), max_size=6),
    reads=st.lists(
        st.sampled_from([*["none"] * 6, "lost before", "500 before", "killed before"]), max_size=30
    ),
)
def test_whatever_is_lost_or_killed_the_pod_is_changed_once(
    tmp_path_factory: pytest.TempPathFactory, writes: list[str], reads: list[str]
) -> None:
    """Any sequence of faults and deaths ends, after restarts, in applied and exactly one change."""
    path = tmp_path_factory.mktemp("once") / "journal.db"
    cluster = FakeCluster(objects())
    with Journal(path) as journal:
        made = proposed_and_approved(journal, cluster)
    cluster.faults, cluster.get_faults = iter(writes), iter(reads)
    for _ in range(len(writes) + len(reads) + 1):  # each restart meets one fault at least
        with Journal(path) as journal, suppress(Killed):
            run_once(journal, cluster, made)
    with Journal(path) as journal:
        assert journal.get(made.id).state is State.APPLIED
        assert journal.verify() == ()
    assert [patch["metadata"]["annotations"][DECISION] for patch in cluster.accepted] == [made.id]


def test_a_lease_that_is_lost_holds_decisions_back_and_ends_none(journal: Journal) -> None:
    """Approved or under way, it stays so until this process leads again; then it goes on."""
    cluster = FakeCluster(objects())
    made = proposed_and_approved(journal, cluster)
    leading = applier(journal, cluster.client)
    following = replace(leading, follower=lambda: "two holds the lease")
    waits = apply_decision(following, made)
    assert (waits.state, waits.reason) == (State.APPROVED, "two holds the lease")
    journal.transition(made.id, State.INTENDED, actor="x", at=NOW)
    assert recover(following)[0].state is State.INTENDED
    assert cluster.accepted == []
    assert recover(leading)[0].state is State.APPLIED


def passing(applier_: Applier, point: Point, then: Callable[[], None]) -> Applier:
    """The same, to which that happens at the point."""

    def reached(at: Point) -> None:
        if at is point:
            then()

    return replace(applier_, reached=reached)


def test_a_switch_that_is_pulled_during_the_rehearsal_still_stops(journal: Journal) -> None:
    """It is read again right before the write."""
    cluster = FakeCluster(objects())
    made = proposed_and_approved(journal, cluster)

    def pull() -> None:
        cluster.objects[SWITCH_PATH] = {"data": {"stop": "true"}}

    acting = passing(applier(journal, cluster.client), Point.AFTER_REHEARSAL, pull)
    ended = apply_decision(acting, made)
    assert (ended.state, cluster.accepted) == (State.SUPERSEDED, [])
    assert "kill_switch" in dict(journal.events(made.id)[-1].vetoes)


def test_a_lease_that_is_lost_during_the_rehearsal_holds_the_write_back(journal: Journal) -> None:
    """It stays intended, for whoever leads."""
    cluster = FakeCluster(objects())
    made = proposed_and_approved(journal, cluster)
    lost: list[str] = []
    acting = passing(
        replace(applier(journal, cluster.client), follower=lambda: lost[0] if lost else None),
        Point.AFTER_REHEARSAL,
        lambda: lost.append("two holds the lease"),
    )
    waits = apply_decision(acting, made)
    assert (waits.state, waits.reason) == (State.INTENDED, "two holds the lease")
    assert cluster.accepted == []
