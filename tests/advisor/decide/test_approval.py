"""Approvals: one person's yes to one decision, for a while."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentaflow_advisor.decide.approval import approve, approve_by_standing, expire_overdue
from agentaflow_advisor.decide.errors import UnknownDecision, WrongState
from agentaflow_advisor.decide.journal import Journal
from agentaflow_advisor.decide.standing import DAY, StandingApproval
from agentaflow_advisor.model import State
from tests.support.decisions import ACTING, NOW, decision
from tests.support.fleet import gated_pod


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal.db") as opened:
        yield opened


def test_an_approval_is_recorded_with_its_actor(journal: Journal) -> None:
    """Who said yes, and when, is in the journal."""
    made = journal.add(decision())
    approved = approve(journal, made.id, actor="alice", now=NOW + 60, policy=ACTING)
    assert (approved.state, approved.actor, approved.state_at) == (
        State.APPROVED,
        "alice",
        NOW + 60,
    )


def test_a_proposal_that_waited_too_long_expires_instead(journal: Journal) -> None:
    """A yes that comes too late approves nothing, and the reason says so."""
    made = journal.add(decision())
    late = approve(journal, made.id, actor="alice", now=NOW + 901, policy=ACTING)
    assert late.state is State.EXPIRED
    assert late.reason == "it has waited for approval longer than 900 s"


def test_a_decision_is_approved_once(journal: Journal) -> None:
    """A second yes is an error that names the state."""
    made = journal.add(decision())
    approve(journal, made.id, actor="alice", now=NOW, policy=ACTING)
    with pytest.raises(WrongState, match="is approved and cannot become approved"):
        approve(journal, made.id, actor="bob", now=NOW, policy=ACTING)


def test_an_unknown_id_is_told(journal: Journal) -> None:
    """A mistyped id approves nothing."""
    with pytest.raises(UnknownDecision, match="no decision 'deadbeef'"):
        approve(journal, "deadbeef", actor="alice", now=NOW, policy=ACTING)


def test_what_waited_too_long_makes_room_for_a_new_proposal(journal: Journal) -> None:
    """Proposals and approvals expire by their own limits, and free their pods."""
    proposed = journal.add(decision(gated_pod("a")))
    approved = journal.add(decision(gated_pod("b")))
    approve(journal, approved.id, actor="alice", now=NOW + 600, policy=ACTING)
    assert expire_overdue(journal, ACTING, now=NOW + 900) == ()
    assert [d.id for d in expire_overdue(journal, ACTING, now=NOW + 901)] == [proposed.id]
    (second,) = expire_overdue(journal, ACTING, now=NOW + 1501)
    assert second.reason == "it has waited for being carried out longer than 900 s"
    anew = decision(gated_pod("a"), now=NOW + 1501)
    assert journal.add(anew).id == anew.id


def standing(**limits: Any) -> StandingApproval:
    return StandingApproval(
        **{"name": "nights", "channels": ("scheduling-gate",), "max_per_day": 2, **limits}
    )


def agreed(journal: Journal, *approvals: StandingApproval, now: float) -> list[str]:
    """The pods of the decisions that these say yes to."""
    policy = replace(ACTING, standing=approvals, proposal_ttl_seconds=30 * DAY)
    made = approve_by_standing(journal, policy, now=now)
    return [each.action.name for each in made if each.state is State.APPROVED]


def proposed(journal: Journal, *names: str) -> None:
    for step, name in enumerate(names):
        journal.add(decision(gated_pod(name), now=NOW + step / 1000))


def test_a_standing_approval_agrees_to_so_many_a_day(journal: Journal) -> None:
    """What comes after waits for a person, or until a day has passed since the first."""
    proposed(journal, "a", "b", "c")
    assert agreed(journal, standing(), now=NOW + 1) == ["a", "b"]
    assert agreed(journal, standing(), now=NOW + DAY) == []
    assert agreed(journal, standing(), now=NOW + DAY + 2) == ["c"]


def test_what_a_person_agreed_to_is_not_of_a_standing_approvals_number(journal: Journal) -> None:
    """Each standing approval counts its own."""
    proposed(journal, "a", "b", "c")
    (first, *_) = journal.list()
    approve(journal, first.id, actor="alice", now=NOW, policy=ACTING)
    one = standing(name="one", max_per_day=1)
    assert agreed(journal, one, standing(max_per_day=1), now=NOW) == ["b", "c"]


@pytest.mark.parametrize(
    ("limit", "other", "its_own"),
    [
        ("channels", "eviction", "scheduling-gate"),
        ("namespaces", "other", "research"),
        ("strategies", "priority", "best_fit"),
    ],
)
def test_a_standing_approval_agrees_to_nothing_beyond_its_class(
    journal: Journal, limit: str, other: str, its_own: str
) -> None:
    """Channel, namespace and strategy each limit it."""
    proposed(journal, "a")
    assert agreed(journal, standing(**{limit: (other,)}), now=NOW) == []
    assert agreed(journal, standing(**{limit: (other, its_own)}), now=NOW) == ["a"]


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(most=st.integers(1, 4), rounds=st.lists(st.integers(0, 5), min_size=1, max_size=5))
def test_no_day_sees_more_standing_approvals_than_were_given(
    tmp_path_factory: pytest.TempPathFactory, most: int, rounds: list[int]
) -> None:
    """Whatever is proposed in however many rounds, six hours apart."""
    times: list[float] = []
    with Journal(tmp_path_factory.mktemp("cap") / "journal.db") as book:
        for turn, number in enumerate(rounds):
            now = NOW + turn * DAY / 4
            proposed(book, *(f"p{turn}-{index}" for index in range(number)))
            times += [now] * len(agreed(book, standing(max_per_day=most), now=now))
    assert all(sum(at - DAY < other <= at for other in times) <= most for at in times)
