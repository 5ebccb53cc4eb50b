"""The reckoning of `make chaos` finds each thing that must not happen."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agentaflow_advisor.model import Decision, EvictPod, State
from bench.chaos.reckoning import Reckoning, Writes, reckon, writes
from tests.support.decisions import decision


def at(state: State, **changes: Any) -> Decision:
    return replace(decision(), state=state, **changes)


def found(made: Decision, *, applied: int = 0, undone: int = 0, evicted: int = 0) -> Reckoning:
    done = Writes(
        Counter({made.id: applied}), Counter({made.id: undone}), Counter({"uid-old": evicted})
    )
    return reckon([made], done, {}, frozenset({"uid-new"}))


def eviction(state: State) -> Decision:
    action = EvictPod(namespace="a", name="b", uid="uid-old", resource_version="1")
    return at(state, action=action)


@pytest.mark.parametrize(
    ("made", "done"),
    [
        (at(State.APPLIED), {"applied": 1}),
        (at(State.VETOED), {}),
        (at(State.REVERTED), {"applied": 1, "undone": 1}),
        (eviction(State.APPLIED), {"evicted": 1}),
        (eviction(State.APPLIED), {}),  # somebody else was first
        (at(State.SUPERSEDED, reason="taken back: changed by someone else since"), {"applied": 1}),
    ],
)
def test_what_is_in_order_is_clean(made: Decision, done: dict[str, int]) -> None:
    """Once where the journal says so, else not at all."""
    assert found(made, **done).clean


@pytest.mark.parametrize(("state", "lost"), [(State.SUPERSEDED, 0), (State.FAILED, 1)])
def test_what_people_took_away_may_be_told_as_superseded_alone(state: State, lost: int) -> None:
    """Nobody can see any more what was done to it; any other state says what is not so."""
    made = at(state)
    done = Writes(Counter({made.id: 1}), Counter(), Counter())
    removed = frozenset({made.action.uid})
    assert len(reckon([made], done, {}, frozenset(), removed=removed).lost) == lost


@pytest.mark.parametrize(
    ("made", "done", "reason"),
    [
        (at(State.INTENDED), {}, "is still intended"),
        (at(State.APPLIED), {}, "never took effect"),
        (at(State.SUPERSEDED), {"applied": 1}, "took effect and is superseded"),
        (at(State.REVERTED), {"applied": 1}, "still stands"),
        (eviction(State.VETOED), {"evicted": 1}, "took effect and is vetoed"),
    ],
)
def test_what_the_journal_does_not_tell_is_lost(
    made: Decision, done: dict[str, int], reason: str
) -> None:
    """An effect without its state, or a state without its effect."""
    (lost,) = found(made, **done).lost
    assert reason in lost


@pytest.mark.parametrize(
    ("made", "done"),
    [
        (at(State.APPLIED), {"applied": 2}),
        (at(State.REVERTED), {"applied": 1, "undone": 2}),
        (eviction(State.APPLIED), {"evicted": 2}),
    ],
)
def test_what_happened_twice_is_told(made: Decision, done: dict[str, int]) -> None:
    """Applied, undone or evicted more than once."""
    assert len(found(made, **done).twice) == 1


def test_a_pod_that_nobody_decided_about_is_innocent() -> None:
    """Evicted, or carrying a decision that was about the one before it."""
    done = Writes(Counter(), Counter(), Counter({"uid-new": 1}))
    told = reckon([], done, {"uid-new": "01"}, frozenset({"uid-new"}))
    assert told.innocent == ("pod uid-new was evicted", "uid-new carries 01")


def test_a_decision_on_stale_evidence_must_not_take_effect() -> None:
    """Whatever its state."""
    assert len(found(at(State.APPLIED, strategy="stale"), applied=1).stale) == 1


def test_a_decision_that_was_made_while_prometheus_lied_must_not_take_effect() -> None:
    """Also where it looks as any other."""
    made = at(State.APPLIED)
    done = Writes(Counter({made.id: 1}), Counter(), Counter())
    assert reckon([made], done, {}, frozenset(), frozenset({made.id})).stale == (made.id,)


def test_the_audit_log_tells_rehearsals_and_refusals_from_writes(tmp_path: Path) -> None:
    """Only what the API server accepted for good, from our field manager, counts."""
    body = {"metadata": {"annotations": {"agentaflow.io/decision": "01"}}}
    check = {"name": "agentaflow", "message": "agentaflow.io/decision 02"}
    back = {"name": "agentaflow", "message": "agentaflow.io/decision 02 was taken back"}
    event = {
        "requestURI": "/x?fieldManager=agentaflow",
        "responseStatus": {"code": 200},
        "requestObject": body,
        "objectRef": {"resource": "pods"},
    }
    rows = [
        event,
        {**event, "requestURI": "/x?fieldManager=agentaflow&dryRun=All"},
        {**event, "responseStatus": {"code": 409}},
        {**event, "requestURI": "/x?fieldManager=kubectl"},
        *(
            {
                **event,
                "objectRef": {"resource": "workloads", "subresource": "status"},
                "requestObject": {"status": {"admissionChecks": [one]}},
            }
            for one in (check, back)
        ),
    ]
    log = tmp_path / "audit.log"
    log.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    found = writes(log)
    assert found.applied == Counter({"01": 1, "02": 1})
    assert found.undone == Counter({"02": 1})
