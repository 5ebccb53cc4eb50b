"""The journal: what was decided, step by step, and proof that nobody changed it since."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentaflow_advisor.decide.errors import AmbiguousId, UnknownDecision, WrongState
from agentaflow_advisor.decide.journal import Journal
from agentaflow_advisor.model import NEXT, State
from tests.support.decisions import NOW, decision
from tests.support.fleet import gated_pod

STEPS = (State.APPROVED, State.INTENDED, State.APPLIED, State.VERIFIED)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "journal.db"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    with Journal(path) as opened:
        yield opened


def walk(journal: Journal, name: str = "train", *steps: State) -> str:
    """A decision for the named pod, brought through the steps; its id."""
    made = journal.add(decision(gated_pod(name)))
    for number, state in enumerate(steps, start=1):
        journal.transition(made.id, state, actor="test", at=NOW + number, reason=f"step {number}")
    return made.id


def tamper(path: Path, statement: str) -> None:
    """Change the file as someone with the right to write it could."""
    with sqlite3.connect(path) as connection:
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'trigger'"
        ).fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute(statement)
    connection.close()


def test_a_decision_comes_back_as_it_was_added(journal: Journal, path: Path) -> None:
    """Nothing of a decision is lost on disk, and another process reads it at once."""
    made = replace(decision(), why="tab\tquote\"' Ünicode ☃", actor="planner")
    journal.add(made)
    with Journal(path) as other:
        assert other.get(made.id) == made
        assert other.list() == (made,)


def test_evidence_of_stale_samples_is_kept_as_what_it_is(journal: Journal) -> None:
    """Their age is infinite, of which JSON knows nothing; the guards veto it later."""
    made = decision()
    made = replace(made, evidence=replace(made.evidence, newest_age_seconds=math.inf))
    journal.add(made)
    assert journal.get(made.id).evidence.newest_age_seconds == math.inf
    assert journal.verify() == ()


def test_whole_seconds_are_as_good_as_fractions(journal: Journal) -> None:
    """A time without a fraction neither comes back changed nor breaks the chain."""
    made = journal.add(decision(now=int(NOW)))
    journal.transition(made.id, State.APPROVED, actor="alice", at=int(NOW))
    assert journal.verify() == ()


def test_a_step_changes_state_reason_actor_and_time(journal: Journal) -> None:
    """The newest step is what the decision says of itself."""
    made = journal.add(decision())
    journal.transition(made.id, State.APPROVED, actor="alice", at=NOW + 5, reason="looks good")
    now = journal.get(made.id)
    assert (now.state, now.actor, now.state_at, now.reason) == (
        State.APPROVED,
        "alice",
        NOW + 5,
        "looks good",
    )


def test_events_tell_the_whole_life(journal: Journal) -> None:
    """Each step is kept in order, from the proposal on."""
    events = journal.events(walk(journal, "train", *STEPS))
    assert [event.to_state for event in events] == [State.PROPOSED, *STEPS]
    assert [event.from_state for event in events] == [None, State.PROPOSED, *STEPS[:-1]]
    assert [event.seq for event in events] == [1, 2, 3, 4, 5]


def test_each_veto_is_kept_by_its_guard(journal: Journal) -> None:
    """Guard and reason can be asked for later, one by one."""
    vetoes = (("kill_switch", "stop"), ("node_usable", "node: gone"))
    made = journal.add(decision())
    journal.transition(made.id, State.VETOED, actor="agentaflow", at=NOW, vetoes=vetoes)
    assert journal.events(made.id)[-1].vetoes == vetoes


@pytest.mark.parametrize("state", State)
def test_only_what_may_follow_follows(journal: Journal, state: State) -> None:
    """From `proposed` only the states that the model names are reached; else nothing changes."""
    made = journal.add(decision())
    if state in NEXT[State.PROPOSED]:
        assert journal.transition(made.id, state, actor="t", at=NOW).state is state
        return
    with pytest.raises(WrongState, match=f"is proposed and cannot become {state}"):
        journal.transition(made.id, state, actor="t", at=NOW)
    assert len(journal.events(made.id)) == 1


def test_a_pod_has_one_open_decision(journal: Journal) -> None:
    """Proposing again for a pod that waits is a no-op that answers what waits."""
    first = journal.add(decision(now=NOW))
    again = journal.add(decision(now=NOW + 60, on="node-7"))
    assert again == first == journal.open_for(first.action.uid)
    assert journal.list() == (first,)


def test_a_pod_can_be_proposed_anew_once_its_decision_is_over(journal: Journal) -> None:
    """A veto frees the pod for the next proposal."""
    walk(journal, "train", State.VETOED)
    anew = decision(now=NOW + 60)
    assert journal.add(anew).id == anew.id
    assert journal.list((State.VETOED,))[0].id != anew.id


def test_a_decision_is_found_by_either_end_of_its_id(journal: Journal) -> None:
    """The beginning is the time and the end is random: whichever is enough will do."""
    one = journal.add(decision(gated_pod("a"), now=NOW))
    two = journal.add(decision(gated_pod("b"), now=NOW + 3600))
    assert journal.get(one.id[:13]) == one
    assert journal.get(two.id[-12:]) == two
    with pytest.raises(AmbiguousId, match="give more of the id"):
        journal.get(one.id[:4])


@pytest.mark.parametrize("wrong", ["", "01", "%", "____", "x' OR '1'='1"])
def test_what_is_no_id_finds_nothing(journal: Journal, wrong: str) -> None:
    """Too short an id, a wildcard or a piece of SQL is no decision."""
    journal.add(decision())
    with pytest.raises(UnknownDecision, match="journal list"):
        journal.get(wrong)


def test_a_sound_journal_verifies(journal: Journal) -> None:
    """Decisions in every stage are no problem."""
    walk(journal, "a", *STEPS)
    walk(journal, "b", State.VETOED)
    walk(journal, "c")
    assert journal.verify() == ()


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        ("UPDATE events SET actor = 'mallory' WHERE seq = 2", "event 2: was changed"),
        ("UPDATE events SET at = at + 1 WHERE seq = 1", "event 1: was changed"),
        ("DELETE FROM events WHERE seq = 3", "event 4: does not follow"),
        ("UPDATE events SET prev_hash = hash WHERE seq = 4", "event 4: does not follow"),
        ("UPDATE decisions SET node = 'node-9'", "is not what was proposed in event 1"),
        ("UPDATE decisions SET evidence = '{}'", "is not what was proposed in event 1"),
        ("UPDATE decisions SET state = 'proposed'", "its state is not that of event 5"),
        ("UPDATE decisions SET reason = 'because'", "its state is not that of event 5"),
        ("DELETE FROM decisions", "has events but is not there"),
        (
            "INSERT INTO decisions SELECT 'new', proposed_at, strategy, why, namespace, pod, uid,"
            " node, action, evidence, 'vetoed', 0, '', '' FROM decisions",
            "decision new: has no events",
        ),
    ],
)
def test_tampering_is_found_and_named(
    journal: Journal, path: Path, statement: str, finding: str
) -> None:
    """Whichever row someone changes, `verify` names it."""
    walk(journal, "train", *STEPS)
    tamper(path, statement)
    assert any(finding in problem for problem in journal.verify())


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET actor = 'mallory'",
        "DELETE FROM events",
        "DELETE FROM decisions",
        "UPDATE decisions SET action = '{}'",
    ],
)
def test_history_is_append_only(journal: Journal, path: Path, statement: str) -> None:
    """The database itself refuses to forget or to rewrite."""
    walk(journal, "train", State.APPROVED)
    connection = sqlite3.connect(path)
    with pytest.raises(sqlite3.IntegrityError, match=r"append-only|kept|does not change"):
        connection.execute(statement)
    connection.close()
    assert journal.verify() == ()


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from(State)), max_size=30))
def test_any_history_verifies_and_tells_the_states(
    tmp_path_factory: pytest.TempPathFactory, wishes: list[tuple[int, State]]
) -> None:
    """Whatever is asked of it, the journal follows the model's rules and stays sound."""
    with Journal(tmp_path_factory.mktemp("any") / "journal.db") as journal:
        ids = [journal.add(decision(gated_pod(f"pod-{n}"), now=NOW + n)).id for n in range(5)]
        states = [State.PROPOSED] * 5
        for number, state in wishes:
            if state in NEXT.get(states[number], frozenset()):
                journal.transition(ids[number], state, actor="t", at=NOW)
                states[number] = state
            else:
                with pytest.raises(WrongState):
                    journal.transition(ids[number], state, actor="t", at=NOW)
        assert [found.state for found in journal.list()] == states
        assert journal.verify() == ()
