"""Jobs that may start with fewer GPUs: they do where there is no room for all, and say so."""

from __future__ import annotations

from typing import Any

import pytest

from agentaflow_advisor.configuration import load
from agentaflow_advisor.cycle import place_waiting
from agentaflow_advisor.decide.proposal import propose
from agentaflow_advisor.model import Placement, Refusal, ReleaseJob, Workload
from agentaflow_advisor.model.names import MIN_GPUS
from tests.support.decisions import NOW
from tests.support.fleet import gated_pod, node, snapshot


def job(name: str, gpus: int, least: str | None, **changes: Any) -> Workload:
    """A suspended Job whose pods ask for so many GPUs together."""
    notes = {} if least is None else {MIN_GPUS: least}
    return gated_pod(name, gpus, kind="Job", gates=(), annotations=notes, **changes)


def actions(*pods: Workload, gpus: int = 4) -> dict[str, Any]:
    """What is proposed for each that is placed on one node of so many GPUs."""
    seen = snapshot([node("node-0", gpus=gpus)], pods)
    results = place_waiting(load(), seen)
    placed = [each for each in results if isinstance(each, Placement)]
    assert len(placed) + sum(isinstance(each, Refusal) for each in results) == len(pods)
    return {each.workload.name: propose(each, seen, NOW).action for each in placed}


@pytest.mark.parametrize(
    ("gpus", "least", "given"),
    [(4, "1", None), (8, "1", 4), (16, "2", 4), (5, "4", 4), (6, "1", 3)],
)
def test_a_job_starts_with_as_many_gpus_as_there_is_room_for(
    gpus: int, least: str, given: int | None
) -> None:
    """Half of them, and half again; its object is still the one that was seen."""
    asked = job("fit", gpus, least)
    action = actions(asked)["fit"]
    assert isinstance(action, ReleaseJob)
    assert (action.gpus, action.spec_hash) == (given, asked.spec_hash)


@pytest.mark.parametrize("least", [None, "5", "0x1", "many", ""])
def test_a_job_that_does_not_allow_it_waits(least: str | None) -> None:
    """Without a number, or with one for which there is no room either."""
    assert actions(job("fit", 8, least)) == {}


def test_each_pod_of_a_job_gets_as_many() -> None:
    """Two pods of four GPUs become two of two."""
    action = actions(job("fit", 8, "1", pods=2))["fit"]
    assert isinstance(action, ReleaseJob)
    assert action.gpus == 2


def test_who_asks_for_less_is_not_pushed_aside() -> None:
    """What fits as it is keeps its place; only what is left is shared out."""
    found = actions(job("whole", 2, None), job("fit", 8, "1"))
    assert (found["whole"].gpus, found["fit"].gpus) == (None, 2)


def test_the_reason_says_with_how_many() -> None:
    """Whoever approves it reads that."""
    seen = snapshot([node("node-0", gpus=4)], [job("fit", 8, "1")])
    (placed,) = place_waiting(load(), seen)
    assert isinstance(placed, Placement)
    assert placed.why.endswith("with 4 of 8 GPUs a pod, which agentaflow.io/min-gpus allows")
