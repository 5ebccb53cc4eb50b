"""Approvals: one person's yes to one decision, for a while."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agentaflow_advisor.decide.approval import approve, expire_overdue
from agentaflow_advisor.decide.errors import UnknownDecision, WrongState
from agentaflow_advisor.decide.journal import Journal
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
