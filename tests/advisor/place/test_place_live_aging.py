"""Strategy `priority` on a live cluster: waiting pods rise, and a node is kept for the overdue."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentaflow_advisor.configuration import load
from agentaflow_advisor.model import Node, Placement, Refusal, Snapshot, Workload
from agentaflow_advisor.place import Result, place
from agentaflow_advisor.place.strategies import BestFit, Priority
from tests.support.fleet import gated_pod, node, running_pod, snapshot

NOW = 1_800_000_000.0
HOUR = 3600.0
AGED = Priority(HOUR)


def waiting(name: str, hours: float, gpus: int = 1, **changes: object) -> Workload:
    return gated_pod(name, gpus, created_at=NOW - hours * HOUR, **changes)


def placed(results: Iterable[Result]) -> list[str]:
    return [each.workload.name for each in results if isinstance(each, Placement)]


def reasons(results: Iterable[Result]) -> dict[str, str]:
    return {each.subject: each.reason for each in results if isinstance(each, Refusal)}


@pytest.mark.parametrize(("hours", "first"), [(0.9, "important"), (1.1, "patient")])
def test_an_hour_of_waiting_is_worth_a_level(hours: float, first: str) -> None:
    """However far apart the numbers of the priorities are."""
    pods = [waiting("patient", hours, priority=-7), waiting("important", 0, priority=10**6)]
    (result, *_) = place(snapshot([node("n1")], pods), AGED)
    assert isinstance(result, Placement)
    assert result.workload.name == first


def test_the_place_in_the_queue_is_explained() -> None:
    """What the priority is worth, and what the waiting has made of it."""
    pods = [waiting("a", 1.5, priority=0), running_pod("r", "n1", priority=500)]
    (result,) = place(snapshot([node("n1")], pods), AGED)
    assert isinstance(result, Placement)
    assert result.why == (
        "n1 would keep 6 GPUs and 62 cores free; it is the only node; "
        "priority 0 is level 0 of 0 to 1, 1.5 h of waiting make it 1.5"
    )


def test_a_pod_in_a_file_has_not_waited() -> None:
    """It was never created, so it is not older than all others."""
    pods = [gated_pod("file", priority=1, created_at=0.0), waiting("real", 0.5, priority=1)]
    assert placed(place(snapshot([node("n1")], pods), AGED)) == ["real", "file"]


def test_a_node_is_kept_for_the_overdue() -> None:
    """Of those that could take it once they are empty, the one with the most free; others go on."""
    nodes = [node("n1"), node("n2"), node("n3", gpus=4)]
    pods = [
        waiting("whole", 2.1, 8, priority=0),
        waiting("small", 0, 1, priority=5),
        waiting("five", 0, 5, priority=0),
        running_pod("r1", "n1", 4),
        running_pod("r2", "n2", 2),
    ]
    results = place(snapshot(nodes, pods), AGED)
    assert placed(results) == ["small"]
    said = reasons(results)
    assert said["research/whole"].endswith("; n2 is kept for it, since it is overdue")
    assert "1 node: kept for research/whole, which is overdue" in said["research/five"]
    assert placed(place(snapshot(nodes, pods), BestFit())) == ["five", "small"]


@pytest.mark.parametrize(
    ("pod", "why"),
    [
        (waiting("w", 0.9, 8), "not overdue yet"),
        (waiting("w", 9, 9), "no node could ever take it"),
    ],
    ids=["not overdue yet", "no node could ever take it"],
)
def test_no_node_is_kept_in_vain(pod: Workload, why: str) -> None:
    """Neither for a pod that has not waited long, nor for one that fits nowhere."""
    pods = [pod, running_pod("r", "n1", 4), waiting("late", 0)]
    results = place(snapshot([node("n1")], pods), AGED)
    assert placed(results) == ["late"], why


def test_what_waiting_is_worth_is_a_setting() -> None:
    """`priority_aging_seconds`; the other strategies know none."""
    aged = load(flags={"strategy": "priority", "priority_aging_seconds": "2m"}).placement()
    assert aged == Priority(120.0)
    assert load(flags={"strategy": "best_fit"}).placement() == BestFit()


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 3), st.integers(1, 6), st.integers(1, 6), st.integers(1, 8), st.integers(2, 6)
)
def test_nobody_starves(nodes: int, runs: int, many: int, gpus: int, levels: int) -> None:
    """While more important pods come in every look for ever, the least important one, that asks
    for a whole node, is placed once it is overdue and what was ahead of it has run.
    """
    cluster = [node(f"n{number}") for number in range(nodes)]
    looks = levels + (2 + nodes) * (runs + 1) + many * levels * runs
    last = whole_node_pod_placed(cluster, runs, (many, gpus, levels), looks)
    assert last is not None


def whole_node_pod_placed(
    cluster: list[Node], runs: int, stream: tuple[int, int, int], looks: int
) -> int | None:
    """At which look, an hour each, on a cluster on which each pod runs for so many looks."""
    many, gpus, levels = stream
    there: list[tuple[int, Workload]] = []
    queue = [gated_pod("whole", 8, priority=0, created_at=NOW)]
    for look in range(looks):
        now = NOW + look * HOUR
        there = [(end, pod) for end, pod in there if end > look]
        queue += [
            gated_pod(f"s{look}-{i}", gpus, priority=1 + i % (levels - 1), created_at=now)
            for i in range(many)
        ]
        taken: Snapshot = snapshot(cluster, [*queue, *(p for _, p in there)], taken_at=now)
        for result in place(taken, AGED):
            if isinstance(result, Placement):
                pod = result.workload
                if pod.name == "whole":
                    return look
                queue.remove(pod)
                bound = replace(pod, phase="Running", node=result.node, gates=())
                there.append((look + runs, bound))
    return None


def test_without_aging_the_whole_node_would_never_be_free() -> None:
    """What the law is good for: in the same stream, best_fit passes it over in every look."""
    pods = [waiting("whole", 99, 8), waiting("small", 0, 4), running_pod("r", "n1", 4)]
    assert placed(place(snapshot([node("n1")], pods), BestFit())) == ["small"]
    assert placed(place(snapshot([node("n1")], pods), AGED)) == []
