"""Each guard by its name: beside which facts it holds, and to which it objects, in which words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agentaflow_advisor.act.channels import GUARDS
from agentaflow_advisor.model import Action, BindPod, CordonNode, EvictPod, PlacePod, State
from tests.support.decisions import judged
from tests.support.guard_cases import (
    CASES,
    EVICTED,
    POD,
    PODS,
    Case,
    carried_out,
    facts_of,
    made,
    objections,
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.guard}-{case.reason}")
def test_a_guard_objects_by_its_name_and_with_its_reason(case: Case) -> None:
    """The fact that it watches over is enough to forbid the decision, in words."""
    assert case.reason in objections(case, case.objects)[case.guard]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.guard}-{case.reason}")
def test_a_guard_holds_beside_what_it_objects_to(case: Case) -> None:
    """With the fact as it should be, or one step on the right side of its limit."""
    assert case.guard not in objections(case, case.holds)


@pytest.mark.parametrize("kind", [PlacePod, EvictPod, BindPod, CordonNode])
def test_no_guard_objects_when_every_fact_is_in_order(kind: type[Action]) -> None:
    """So that an objection in this table comes from the fact that the case is about."""
    assert judged(made(kind), facts_of(kind, {"siblings": (PODS.get(kind, POD),)})) == ()


def test_every_guard_has_a_case() -> None:
    """A guard that nobody shows to object is one that may be lost unseen."""
    assert {case.guard for case in CASES} == {guard.__name__ for guard in GUARDS}


@pytest.mark.parametrize("state", [State.INTENDED, State.APPLIED])
def test_what_is_under_way_neither_opens_nor_closes_the_breaker(state: State) -> None:
    """How it ends is not known yet; what ended well closes it."""
    wrong = carried_out(5, state=State.FAILED)
    case = Case("circuit_breaker", {}, "")
    going = carried_out(3, state=state)
    assert "circuit_breaker" in objections(case, {"recent": (*going, *wrong)})
    assert "circuit_breaker" not in objections(case, {"recent": (*carried_out(1), *wrong)})


def test_placing_the_pods_of_an_owner_is_no_disturbance() -> None:
    """Only channels that end what runs wait for the owner's pause."""
    pod = replace(POD, owner="ReplicaSet/web")
    changes = {"pod": pod, "owned": True, "recent": carried_out(1, **EVICTED)}
    assert "owner_cooldown" not in objections(Case("owner_cooldown", {}, ""), changes)
