"""Pods of a gang get their nodes together, near each other, or none of them does."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agentaflow_advisor.model import Node, Placement, Refusal, Workload
from agentaflow_advisor.model.names import DECISION, GANG, GANG_SIZE, HOSTNAME
from agentaflow_advisor.place import STRATEGIES, Result, explain, place
from agentaflow_advisor.place.strategies import Priority
from tests.support.fleet import OPTED_IN, gated_pod, node, running_pod, snapshot

BEST_FIT = STRATEGIES["best_fit"]
CLIQUE, RACK = "nvidia.com/gpu.clique", "topology.kubernetes.io/rack"
RING = {**OPTED_IN, GANG: "ring"}
WHOLE = "its gang research/agentaflow.io/gang=ring is placed whole or not at all"


def ring(count: int, gpus: int = 8, **changes: object) -> list[Workload]:
    """So many pods of the gang `ring`, of one kind."""
    changes = {"labels": RING, **changes}
    return [gated_pod(f"ring-{number}", gpus, **changes) for number in range(count)]


def chosen(results: Iterable[Result]) -> dict[str, str]:
    return {each.workload.name: each.node for each in results if isinstance(each, Placement)}


def reasons(results: Iterable[Result]) -> dict[str, str]:
    return {each.subject: each.reason for each in results if isinstance(each, Refusal)}


def cliques(*names: str) -> list[Node]:
    """n0, n1, … with 8 GPUs each, in these NVLink domains."""
    return [node(f"n{i}", labels={CLIQUE: name} if name else {}) for i, name in enumerate(names)]


def test_a_gang_goes_to_the_domain_that_has_room_for_all_of_it() -> None:
    """By best fit alone n0, of a domain with room for one only, would be first by name."""
    results = place(snapshot(cliques("a", "b", "b", "c", "b", "b"), ring(4)), BEST_FIT)
    assert set(chosen(results).values()) == {"n1", "n2", "n4", "n5"}
    for each in results:
        assert isinstance(each, Placement)
        assert each.why.endswith("; in the NVLink domain of the other 3 of its gang")


def test_one_node_is_better_than_one_domain() -> None:
    """Best fit would begin with the node that is nearly full."""
    pods = [running_pod("r", "n0", 6), *ring(4, 2)]
    results = place(snapshot(cliques("a", "a", "a"), pods), BEST_FIT)
    assert set(chosen(results).values()) == {"n1"}
    (first, *_) = results
    assert isinstance(first, Placement)
    assert first.why.endswith("; on the node of the other 3 of its gang")
    assert first.parts["gang_whole_in_node"] == 1


def test_where_no_domain_is_large_enough_most_of_it_stays_together() -> None:
    """Three in the larger domain; each pod says with how many of the others it is."""
    results = place(snapshot(cliques("a", "a", "b", "b", "b"), ring(5)), BEST_FIT)
    assert len(chosen(results)) == 5
    said = [each.why.rpartition("; ")[2] for each in results if isinstance(each, Placement)]
    assert sorted(said) == sorted(
        ["in the NVLink domain of 2 of the other 4 of its gang"] * 3
        + ["in the NVLink domain of 1 of the other 4 of its gang"] * 2
    )


def test_a_finer_domain_comes_before_a_coarser_one() -> None:
    """Both racks hold the pair; only one of them in one NVLink domain."""
    labels = [("a", "x"), ("b", "x"), ("c", "y"), ("c", "y")]
    nodes = [
        node(f"n{i}", labels={CLIQUE: clique, RACK: rack})
        for i, (clique, rack) in enumerate(labels)
    ]
    assert set(chosen(place(snapshot(nodes, ring(2)), BEST_FIT)).values()) == {"n2", "n3"}
    racks_only = place(snapshot(nodes, ring(2)), BEST_FIT, topology=(RACK,))
    assert set(chosen(racks_only).values()) == {"n0", "n1"}


@pytest.mark.parametrize(
    "there",
    [
        running_pod("ring-9", "n2", 8, labels=RING),
        gated_pod("ring-9", 8, labels=RING, gates=(), node_selector={HOSTNAME: "n2"}),
        gated_pod("ring-9", 8, labels=RING, annotations={DECISION: "0190"}, gates=("x",)),
    ],
    ids=["running", "sent to its node", "held by an open decision"],
)
def test_members_that_have_a_node_pull_the_others_to_them(there: Workload) -> None:
    """Whether it is bound, on its way, or promised by an open decision."""
    seen = snapshot(cliques("a", "a", "b", "b"), [there, *ring(1)])
    results = place(seen, BEST_FIT, held={"uid-ring-9": "n2"})
    assert chosen(results) == {"ring-0": "n3"}


@pytest.mark.parametrize("strategy", sorted(set(STRATEGIES) - {"least_utilized"}))
def test_a_gang_without_room_for_all_takes_nothing(strategy: str) -> None:
    """Each pod says why, and the room stays for the one that comes after."""
    pods = [*ring(3, created_at=1.0), gated_pod("later", 8, created_at=2.0)]
    results = place(snapshot(cliques("a", "a"), pods), STRATEGIES[strategy])
    assert chosen(results) == {"later": "n0"}
    said = reasons(results)
    short = "no node can take it: 2 nodes: too few free GPUs"
    assert said["research/ring-2"] == f"{short}; {WHOLE}"
    assert said["research/ring-0"] == (
        f"{WHOLE}: 2 of 3 pods found room, research/ring-2 did not: {short}"
    )


def test_a_gang_waits_for_all_its_pods() -> None:
    """Its size is told by a label or annotation; with one of another queue's words, too."""
    said = reasons(
        place(snapshot(cliques("a"), ring(1, labels={**RING, GANG_SIZE: "2"})), BEST_FIT)
    )
    assert said == {"research/ring-0": f"{WHOLE}: 1 of its 2 pods is there"}
    kueue = {"kueue.x-k8s.io/pod-group-total-count": "3"}
    results = place(snapshot(cliques("a", "a"), ring(2, annotations=kueue)), BEST_FIT)
    assert set(reasons(results).values()) == {f"{WHOLE}: 2 of its 3 pods are there"}
    bad = place(snapshot(cliques("a"), ring(1, annotations={GANG_SIZE: "all"})), BEST_FIT)
    assert reasons(bad)["research/ring-0"].endswith("its size 'all' is no whole number")


def test_a_pod_of_a_gang_that_runs_is_replaced_by_itself() -> None:
    """The others have begun long ago, and one that ended is not there any more."""
    labels = {**RING, GANG_SIZE: "4"}
    pods = [running_pod("ring-9", "n0", 8, labels=labels), *ring(1, labels=labels)]
    assert chosen(place(snapshot(cliques("a", "a"), pods), BEST_FIT)) == {"ring-0": "n1"}


def test_a_gang_waits_for_those_that_may_not_be_placed() -> None:
    """One that has not opted in, or that cannot be judged, holds back the others."""
    stranger = gated_pod("ring-9", 8, labels={GANG: "ring"})
    said = reasons(place(snapshot(cliques("a", "a"), [*ring(1), stranger]), BEST_FIT))
    assert "research/ring-9 may not be placed: the pod has not opted in" in said["research/ring-0"]
    unclear = gated_pod("ring-9", 8, labels=RING, unmodelled=("topology spread",))
    said = reasons(explain(snapshot(cliques("a", "a")), BEST_FIT, [*ring(1), unclear]))
    assert said["research/ring-9"] == "it has constraints that are not evaluated: topology spread"
    assert said["research/ring-0"].startswith(f"{WHOLE}, and research/ring-9 may not be placed")


def test_gangs_of_other_namespaces_have_nothing_to_do_with_it() -> None:
    """The same name elsewhere is another gang."""
    other = gated_pod("ring-0", 8, namespace="serving", labels=RING)
    results = explain(snapshot(cliques("a")), BEST_FIT, [*ring(1), other])
    assert len(chosen(results)) == 1


def test_nodes_are_kept_for_a_gang_that_is_overdue() -> None:
    """As many as it needs once they are empty, so that it does not starve."""
    now = snapshot([]).taken_at
    pods = [
        *ring(2, created_at=now - 9 * 3600.0),
        gated_pod("later", 1, created_at=now),
        *(running_pod(f"r{i}", f"n{i}", 1) for i in range(3)),
    ]
    nodes = [node("n0"), node("n1"), node("n2", gpus=4)]
    results = place(snapshot(nodes, pods), Priority(3600.0))
    assert chosen(results) == {"later": "n2"}
    assert all(
        reason.endswith("; n0 and n1 are kept for it, since it is overdue")
        for reason in reasons(results).values()
    )


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 8), st.sampled_from(("a", "b", ""))), max_size=6),
    st.integers(1, 8),
    st.integers(1, 4),
    st.sampled_from(sorted(set(STRATEGIES) - {"least_utilized"})),
)
def test_equal_pods_of_a_gang_are_placed_if_and_only_if_all_of_them_fit(
    sizes: list[tuple[int, str]], count: int, gpus: int, strategy: str
) -> None:
    """Whatever the topology prefers; no GPU is given twice, and a refused gang leaves no trace."""
    nodes = [node(f"n{i}", size, labels={CLIQUE: at}) for i, (size, at) in enumerate(sizes)]
    pods = [*ring(count, gpus, created_at=1.0), gated_pod("later", 1, created_at=2.0)]
    seen = snapshot(nodes, pods)
    results = place(seen, STRATEGIES[strategy])
    together = chosen(each for each in results if is_of_ring(each))
    fits = sum(size // gpus for size, _ in sizes) >= count
    assert len(together) == (count if fits else 0)
    for i, (size, _) in enumerate(sizes):
        assert sum(gpus for name in together.values() if name == f"n{i}") <= size
    if not fits:
        assert results[-1:] == explain(seen, STRATEGIES[strategy], [pods[-1]])


def fits(free: list[int], sizes: list[int]) -> bool:
    """Whether there is a way to put all of these into those."""
    if not sizes:
        return True
    return any(
        fits([*free[:at], left - sizes[0], *free[at + 1 :]], sizes[1:])
        for at, left in enumerate(free)
        if left >= sizes[0]
    )


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.integers(1, 8), min_size=1, max_size=6),
    st.lists(st.integers(1, 8), min_size=1, max_size=6),
    st.sampled_from(["best_fit", "least_waste", "round_robin", "fragmentation"]),
)
@example([4, 8], [4, 3, 3, 2], "best_fit")
@example([5, 6, 7, 8], [3, 3, 3, 4, 5, 7], "best_fit")
def test_unlike_pods_of_a_gang_are_placed_if_and_only_if_all_of_them_fit(
    free: list[int], sizes: list[int], strategy: str
) -> None:
    """Up to six pods on six nodes all ways are tried before the gang is refused."""
    pods = [gated_pod(f"ring-{n}", gpus, labels=RING) for n, gpus in enumerate(sizes)]
    nodes = [node(f"n{i}", left) for i, left in enumerate(free)]
    together = chosen(place(snapshot(nodes, pods), STRATEGIES[strategy]))
    assert len(together) == (len(pods) if fits(free, sizes) else 0)
    for i, left in enumerate(free):
        there = [pod.gpus for pod in pods if together.get(pod.name) == f"n{i}"]
        assert sum(there) <= left


def test_a_gang_of_too_many_unlike_pods_is_refused_with_a_word_about_it() -> None:
    """What was not tried is said."""
    pods = [gated_pod(f"ring-{n}", 3 + n % 2 * 2, labels=RING) for n in range(66)]
    nodes = [node(f"n{i}", gpus=7) for i in range(38)]
    said = reasons(place(snapshot(nodes, pods), BEST_FIT))
    unsure = "(not all ways to place its unlike pods were tried)"
    assert all(unsure in each for each in said.values())


def is_of_ring(result: Result) -> bool:
    return isinstance(result, Placement) and result.workload.name.startswith("ring")
