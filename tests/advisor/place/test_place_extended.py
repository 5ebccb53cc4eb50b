"""MIG profiles and shares of GPUs are counted by their own names, beside whole GPUs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agentaflow_advisor.decide.guards.pods import node_has_room
from agentaflow_advisor.model import Allow, Placement, Refusal, Veto, Workload
from agentaflow_advisor.place import STRATEGIES, Result, place
from tests.support.decisions import context, decision
from tests.support.fleet import gated_pod, gpus_of, node, running_pod, snapshot

SLICE = "nvidia.com/mig-1g.10gb"
SHARE = "nvidia.com/gpu.shared"
PACKING = ("best_fit", "fragmentation", "least_waste", "priority")


def sliced(name: str, slices: int, **changes: object) -> Workload:
    return gated_pod(name, 0, extended={SLICE: slices}, **changes)


def only(results: tuple[Result, ...]) -> Result:
    (result,) = results
    return result


def test_a_pod_gets_a_node_that_offers_the_profile_it_asks_for() -> None:
    """Whole GPUs are none of its business, and the answer says what would be left."""
    nodes = [node("n1"), node("n2", 0, extended={SLICE: 7})]
    result = only(place(snapshot(nodes, [sliced("p", 2)]), STRATEGIES["best_fit"]))
    assert isinstance(result, Placement)
    assert result.node == "n2"
    assert result.refused == {f"too few free {SLICE}": 1}
    assert result.why.startswith(f"n2 would keep 0 GPUs and 63 cores free, 5 {SLICE} left; ")


def test_a_shortage_is_told_by_the_name_of_the_resource() -> None:
    """What runs there counts, and so does what was placed earlier in the run."""
    pods = [
        running_pod("r", "n1", 0, extended={SLICE: 4}),
        sliced("a", 2, created_at=1.0),
        sliced("b", 2, created_at=2.0),
    ]
    first, second = place(snapshot([node("n1", extended={SLICE: 7})], pods), STRATEGIES["best_fit"])
    assert isinstance(first, Placement)
    assert second == Refusal("research/b", f"no node can take it: 1 node: too few free {SLICE}")


def test_whole_gpus_are_not_taken_by_slices_and_shares() -> None:
    """Nor the other way round."""
    pods = [
        sliced("a", 7, created_at=1.0),
        gated_pod("b", 0, extended={SHARE: 4}, created_at=2.0),
        gated_pod("c", 8, created_at=3.0),
    ]
    seen = snapshot([node("n1", 8, extended={SLICE: 7, SHARE: 4})], pods)
    assert all(isinstance(each, Placement) for each in place(seen, STRATEGIES["best_fit"]))


@pytest.mark.parametrize("strategy", PACKING)
def test_the_node_with_the_fewest_left_is_taken(strategy: str) -> None:
    """Whatever the node's whole GPUs: others stay whole for pods that need many slices."""
    nodes = [
        node("n1", 0, extended={SLICE: 7}),
        node("n2", 8, extended={SLICE: 3}),
        node("n3", 0, extended={SLICE: 14}),
    ]
    result = only(place(snapshot(nodes, [sliced("p", 2)]), STRATEGIES[strategy]))
    assert isinstance(result, Placement)
    assert (result.node, result.runner_up) == ("n2", "n1")


@pytest.mark.parametrize("strategy", ["least_utilized", "round_robin"])
def test_strategies_that_spread_do_not_pack_slices(strategy: str) -> None:
    """Less busy, or next in turn, comes before fewer left."""
    nodes = [node("n1", 2, extended={SLICE: 7}), node("n2", 2, extended={SLICE: 3})]
    gpus = [*gpus_of("n1", 0.1, 0.1), *gpus_of("n2", 0.9, 0.9)]
    result = only(place(snapshot(nodes, [sliced("p", 2)], gpus), STRATEGIES[strategy]))
    assert isinstance(result, Placement)
    assert result.node == "n1"


def test_an_approved_decision_rests_on_the_slices_that_were_asked_for() -> None:
    """Another profile, or more of it, is another pod; none at all is what it always was."""
    pod = sliced("p", 1)
    assert pod.spec_hash != sliced("p", 2).spec_hash
    assert pod.spec_hash != replace(pod, extended={SHARE: 1}).spec_hash
    assert replace(pod, extended={}).spec_hash == gated_pod("p", 0).spec_hash


def test_the_guard_counts_slices_just_before_the_write() -> None:
    """Another pod may have taken them since the proposal."""
    pod = sliced("train", 4)
    facts = context(pod, node=node("node-0", extended={SLICE: 7}))
    made = decision(pod)
    assert isinstance(node_has_room(made, facts), Allow)
    other = running_pod("other", "node-0", 0, extended={SLICE: 4})
    veto = node_has_room(made, replace(facts, others=(other,)))
    assert veto == Veto(f"node node-0: too few free {SLICE}")
