"""A pod may ask for a strategy of its own: its node is chosen by it, in the queue of all."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentaflow_advisor.model import Placement, Refusal, Workload
from agentaflow_advisor.model.names import STRATEGY
from agentaflow_advisor.place import STRATEGIES, Run, place
from tests.support.fleet import gated_pod, gpus_of, node, running_pod, snapshot

NODES = (node("n1"), node("n2"), node("n3"))
BUSY = (running_pod("a", "n2", 6, created_at=0.5),)


def asking(strategy: str, name: str = "p", gpus: int = 1, **changes: object) -> Workload:
    return gated_pod(name, gpus, annotations={STRATEGY: strategy}, **changes)


def placed(pods: list[Workload], strategy: str = "best_fit", **how: object) -> dict[str, Placement]:
    seen = snapshot(NODES, [*BUSY, *pods])
    results = place(seen, STRATEGIES[strategy], **how)  # type: ignore[arg-type]
    return {each.workload.name: each for each in results if isinstance(each, Placement)}


def test_a_pod_is_placed_by_the_strategy_that_it_asks_for() -> None:
    """The other one, beside it, by the one that is set; each says by which."""
    asks = asking("round_robin", created_at=1.0)
    both = placed([asks, gated_pod("q", created_at=2.0)], last_nodes={"round_robin": "n2"})
    assert (both["p"].node, both["p"].strategy) == ("n3", "round_robin")
    assert (both["q"].node, both["q"].strategy) == ("n2", "best_fit")


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_to_ask_for_it_is_as_good_as_to_set_it(strategy: str) -> None:
    """For one pod there is no difference, whatever is set."""
    cards = [card for at in ("n1", "n2", "n3") for card in gpus_of(at, *[0.3] * 8)]
    seen = snapshot(NODES, [*BUSY, gated_pod("p", 2)], cards)
    (expected,) = place(seen, STRATEGIES[strategy])
    asked = snapshot(NODES, [*BUSY, asking(strategy, gpus=2)], cards)
    for other in STRATEGIES.values():
        (result,) = place(asked, other)
        assert isinstance(result, Placement)
        assert isinstance(expected, Placement)
        assert (result.node, result.parts) == (expected.node, expected.parts)


def test_strategies_take_turns_by_themselves() -> None:
    """A pod of another strategy in between does not take the turn away."""
    pods = [
        asking("round_robin", "a", created_at=1.0),
        gated_pod("b", created_at=2.0),
        asking("round_robin", "c", created_at=3.0),
    ]
    nodes = {name: each.node for name, each in placed(pods).items()}
    assert nodes == {"a": "n1", "b": "n2", "c": "n2"}


def test_each_strategy_sees_what_the_others_took() -> None:
    """The same last GPUs are not given to two pods."""
    pods = [asking(name, f"p-{name}", 8) for name in sorted(STRATEGIES) if name != "least_utilized"]
    found = placed(pods)
    assert sorted(each.node for each in found.values()) == ["n1", "n3"]


def test_the_queue_stays_the_one_that_is_set() -> None:
    """Nobody overtakes by asking for `priority`."""
    pods = [
        gated_pod("old", 8, created_at=1.0),
        gated_pod("older", 8, created_at=0.0),
        asking("priority", "pushing", 8, created_at=2.0, priority=1000),
    ]
    assert set(placed(pods)) == {"old", "older"}


def test_a_strategy_that_there_is_none_of_is_refused() -> None:
    """With its name and those that there are."""
    (result,) = place(snapshot(NODES, [asking("magic")]), STRATEGIES["best_fit"])
    assert isinstance(result, Refusal)
    assert "'magic' is none of best_fit, fragmentation" in result.reason


def test_to_ask_for_another_strategy_is_another_spec() -> None:
    """A decision that was made before does not hold any more."""
    assert gated_pod("p").spec_hash != asking("round_robin").spec_hash
    assert asking("best_fit").spec_hash != asking("round_robin").spec_hash


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["", *sorted(STRATEGIES)]), max_size=6))
def test_what_pods_of_several_strategies_took_is_taken_back(names: list[str]) -> None:
    """The same pods get the same answers again."""
    pods = [
        replace(gated_pod(f"p{at}", 2), annotations={STRATEGY: name} if name else {})
        for at, name in enumerate(names)
    ]
    run = Run(snapshot(NODES, BUSY), STRATEGIES["best_fit"], others=tuple(STRATEGIES.values()))
    first = [run.place(pod) for pod in pods]
    run.undo(0)
    assert [run.place(pod) for pod in pods] == first
