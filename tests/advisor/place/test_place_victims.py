"""Who would have to go for a pod that finds no room: named, with care, and nobody is evicted."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agentaflow_advisor.model import Disruptions, Node, Placement, Refusal, Workload
from agentaflow_advisor.model.disruption import DisruptionBudget
from agentaflow_advisor.model.names import GANG
from agentaflow_advisor.place import STRATEGIES, Result, place
from agentaflow_advisor.place.movable import STAYS
from agentaflow_advisor.place.strategies import Priority
from agentaflow_advisor.place.victims import Preemptable
from tests.support.fleet import OPTED_IN, gated_pod, node, running_pod, snapshot

NOW = 1_800_000_000.0
NODES = (node("n0"), node("n1"))
THREE = (*NODES, node("n2"))


def runs(name: str, on: str, gpus: int, hours: float = 1.0, **changes: Any) -> Workload:
    """One that a ReplicaSet makes again."""
    own = {"owner": f"ReplicaSet/{name}", "created_at": NOW - hours * 3600, **changes}
    return running_pod(name, on, gpus, **own)


def urgent(gpus: int = 8, **changes: Any) -> Workload:
    return gated_pod("urgent", gpus, **{"priority": 100, "created_at": NOW - 60, **changes})


def asked(
    *pods: Workload, nodes: tuple[Node, ...] = NODES, budgets: tuple[DisruptionBudget, ...] = ()
) -> tuple[Result, ...]:
    look = snapshot(nodes, pods, disruptions=Disruptions(budgets))
    return place(look, Priority())


def told(*pods: Workload, **more: Any) -> Result:
    (result,) = asked(*pods, **more)
    return result


def test_the_fewest_then_the_least_work() -> None:
    """n0 would lose two pods, n1 one; of equal numbers the younger pod."""
    result = told(runs("a", "n0", 4), runs("b", "n0", 4), runs("c", "n1", 8, 30), urgent())
    assert isinstance(result, Preemptable)
    assert (result.node, result.victims) == ("n1", ("research/c",))
    assert result.lost_gpu_hours == 240.0
    assert "n1 would have room if research/c went, of lower priority" in result.reason
    result = told(runs("a", "n0", 8, 5), runs("c", "n1", 8, 3), urgent())
    assert isinstance(result, Preemptable)
    assert result.victims == ("research/c",)


def test_nobody_is_named_who_could_stay() -> None:
    """The cheapest would go first, and does not have to once the larger one goes."""
    nodes = (node("n0"),)
    result = told(runs("small", "n0", 1, 0.1), runs("large", "n0", 7), urgent(7), nodes=nodes)
    assert isinstance(result, Preemptable)
    assert result.victims == ("research/large",)


@pytest.mark.parametrize(
    "changes",
    [
        {"priority": 100},
        {"labels": {}},
        {"namespace": "kube-system", "labels": OPTED_IN},
        {"namespace": "other"},
        {"owner": None},
        {"owner": "Job/train"},
        {"deleting": True},
        {"owner": "DaemonSet/agent"},
        {"owner": "Node/n0"},
        {"phase": "Pending"},
        {"annotations": {STAYS: "false"}},
    ],
)
def test_who_is_never_named(changes: dict[str, Any]) -> None:
    """Of no lower priority, not opted in, of kube-system, bare, of a gang, leaving already, of the
    node, not yet running, or told to stay.
    """
    mate = runs("mate", "n1", 8, owner="Job/train", priority=100)
    result = told(runs("a", "n0", 8, **changes), mate, urgent())
    assert type(result) is Refusal


def test_budgets_are_kept_together() -> None:
    """One of two may go; both would be needed."""
    budget = DisruptionBudget("research", "web", 1, match_labels=OPTED_IN)
    there = (runs("a", "n0", 4), runs("b", "n0", 4))
    assert type(told(*there, urgent(), nodes=NODES[:1], budgets=(budget,))) is Refusal
    result = told(*there, urgent(4), nodes=NODES[:1], budgets=(budget,))
    assert isinstance(result, Preemptable)
    assert len(result.victims) == 1


def gang(count: int, gpus: int = 8, **changes: Any) -> list[Workload]:
    """So many urgent pods of one gang."""
    own = {"labels": {**OPTED_IN, GANG: "ring"}, "priority": 100, "created_at": NOW - 60, **changes}
    return [gated_pod(f"ring-{number}", gpus, **own) for number in range(count)]


def test_who_would_have_to_go_for_a_whole_gang() -> None:
    """On both nodes: each pod has the same victims, and a node of its own where it would go."""
    there = (runs("a", "n0", 4), runs("b", "n1", 2), runs("c", "n2", 8, 9))
    results = asked(*there, *gang(2), nodes=THREE)
    assert [each.node for each in results if isinstance(each, Preemptable)] == ["n0", "n1"]
    for each in results:
        assert isinstance(each, Preemptable)
        assert set(each.victims) == {"research/a", "research/b"}
        assert each.lost_gpu_hours == 6.0
        assert (
            "; there would be room for all of its gang if research/b and research/a went, of lower "
            "priority (6.0 GPU hours since they were created); nothing is evicted for it"
        ) in each.reason


def test_what_is_free_is_used_before_somebody_has_to_go() -> None:
    """One of three finds an empty node."""
    results = asked(runs("a", "n0", 8), runs("b", "n1", 8, 2), *gang(2), nodes=THREE)
    assert all(isinstance(each, Preemptable) for each in results)
    assert {each.victims for each in results if isinstance(each, Preemptable)} == {("research/a",)}


def test_no_set_is_enough_for_the_gang() -> None:
    """One of two nodes is held by equals: nobody goes, and it is said."""
    held = runs("b", "n1", 8, priority=100)
    for each in asked(runs("a", "n0", 8), held, *gang(2)):
        assert type(each) is Refusal
        assert each.reason.endswith(
            "; even if all pods of lower priority went that may, and are not named for others, "
            "there would be no room for all of its gang"
        )


def test_a_budget_can_keep_a_gang_waiting() -> None:
    """Both pods would have to go, and one may."""
    budget = DisruptionBudget("research", "web", 1, match_labels=OPTED_IN)
    for each in asked(runs("a", "n0", 8), runs("b", "n1", 8), *gang(2), budgets=(budget,)):
        assert type(each) is Refusal
        assert each.reason.endswith(
            "; no pods of lower priority were found that may go together and are enough for its "
            "gang (not all sets were tried)"
        )


def test_nodes_named_for_a_gang_are_not_named_again() -> None:
    """Neither the node that is emptied for it nor the room that it would take."""
    last = gated_pod("last", 4, priority=100, created_at=NOW - 30)
    there = (runs("a", "n0", 8), runs("b", "n1", 4), runs("c", "n1", 4, priority=100))
    *ring, after = asked(*there, *gang(2, 4), last)
    assert {type(each) for each in ring} == {Preemptable}
    assert isinstance(after, Preemptable)
    assert not {each.node for each in ring if isinstance(each, Preemptable)} & {after.node}


def test_budgets_that_cannot_be_read_are_said() -> None:
    """Nobody is named then, but not without a word; without anybody to name nothing is said."""
    unknown = Disruptions(unknown="403 Forbidden")
    look = snapshot(NODES[:1], [runs("a", "n0", 8), urgent()], disruptions=unknown)
    (result,) = place(look, Priority())
    assert type(result) is Refusal
    assert result.reason.endswith(
        "; who might go for it is not said: PodDisruptionBudgets are not known: 403 Forbidden"
    )
    alike = snapshot(NODES[:1], [runs("a", "n0", 8, priority=100), urgent()], disruptions=unknown)
    (result,) = place(alike, Priority())
    assert isinstance(result, Refusal)
    assert "not said" not in result.reason


def test_a_node_is_named_for_one_pod_only() -> None:
    """The second in the queue finds nobody left."""
    first, second = asked(
        runs("a", "n0", 8), urgent(), gated_pod("next", 8, priority=100), nodes=NODES[:1]
    )
    assert isinstance(first, Refusal)
    assert isinstance(second, Refusal)
    assert [type(first), type(second)].count(Preemptable) == 1


def test_other_strategies_name_nobody() -> None:
    """Only priority knows who is more important."""
    look = snapshot(NODES[:1], [runs("a", "n0", 8), urgent()], disruptions=Disruptions())
    (result,) = place(look, STRATEGIES["best_fit"])
    assert type(result) is Refusal


there = st.tuples(st.sampled_from(["n0", "n1"]), st.integers(1, 8), st.integers(0, 120))


def fitting(pods: list[tuple[str, int, int]]) -> list[Workload]:
    """Those of node, GPUs and priority that run beside the ones before them."""
    free = {"n0": 8, "n1": 8}
    running = []
    for number, (on, size, priority) in enumerate(pods):
        if size <= free[on]:
            free[on] -= size
            running.append(runs(f"p{number}", on, size, 1.0 + number, priority=priority))
    return running


@given(st.lists(there, max_size=6), st.integers(1, 8))
def test_with_the_victims_gone_the_pod_is_placed_on_that_node(
    pods: list[tuple[str, int, int]], gpus: int
) -> None:
    """And each of them is of lower priority and needed."""
    running = fitting(pods)
    result = told(*running, urgent(gpus))
    if not isinstance(result, Preemptable):
        return
    stay = [pod for pod in running if pod.ref not in result.victims]
    gone = [pod for pod in running if pod.ref in result.victims]
    assert all(pod.priority < 100 for pod in gone)
    placed = told(*stay, urgent(gpus))
    assert isinstance(placed, Placement)
    assert placed.node == result.node
    for pod in gone:
        assert isinstance(told(*stay, pod, urgent(gpus)), Refusal)


@settings(max_examples=150, deadline=None)
@given(st.lists(there, max_size=8), st.lists(st.integers(1, 8), min_size=2, max_size=4))
@example([("n0", 8, 0), ("n1", 5, 0), ("n1", 3, 1)], [8, 5, 3])
def test_with_the_victims_gone_the_whole_gang_is_placed(
    pods: list[tuple[str, int, int]], sizes: list[int]
) -> None:
    """Each of them is of lower priority and needed; and where nobody is named, nobody helps."""
    running = fitting(pods)
    own = {"labels": {**OPTED_IN, GANG: "ring"}, "priority": 100, "created_at": NOW - 60}
    ring = [gated_pod(f"ring-{number}", gpus, **own) for number, gpus in enumerate(sizes)]
    results = asked(*running, *ring)
    if isinstance(results[0], Placement):
        return
    stay = [pod for pod in running if pod.priority >= 100]
    if not isinstance(results[0], Preemptable):
        assert isinstance(asked(*stay, *ring)[0], Refusal)
        return
    gone = [pod for pod in running if pod.ref in results[0].victims]
    stay = [pod for pod in running if pod not in gone]
    assert all(pod.priority < 100 for pod in gone)
    assert all(isinstance(each, Placement) for each in asked(*stay, *ring))
    for pod in gone:
        assert isinstance(asked(*stay, pod, *ring)[0], Refusal)
