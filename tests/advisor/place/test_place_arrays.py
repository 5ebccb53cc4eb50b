"""Placement on arrays: the laws that hold for every strategy and every cluster."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentaflow_advisor.place.benchmark import Machine, fleet, run
from agentaflow_advisor.place.demand import ANY_MODEL, WHOLE, Demand
from agentaflow_advisor.place.fleet import ALL, Fleet
from agentaflow_advisor.place.mix import Mix
from agentaflow_advisor.place.placer import Placer
from agentaflow_advisor.place.scorers import KINDS, Kind

GIB = 1 << 30
MODELS = ("A100", "H100", "T4")
kinds = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
machines = st.lists(
    st.builds(
        Machine,
        st.uuids().map(str),
        st.sampled_from(MODELS),
        st.integers(1, 8),
        st.integers(0, 128_000),
        st.integers(0, 512).map(lambda gib: gib * GIB),
    ),
    min_size=1,
    max_size=6,
)
shares = st.sampled_from([(1, share) for share in (50, 190, 300, 470, 810)])
wholes = st.sampled_from([(0, WHOLE), (1, WHOLE), (2, WHOLE), (8, WHOLE)])
demands = st.lists(
    st.builds(
        lambda cpu, gib, ask, models: Demand(
            cpu, gib * GIB, ask[0], ask[1], models if ask[0] else ANY_MODEL
        ),
        st.integers(0, 32_000),
        st.integers(0, 64),
        shares | wholes,
        st.sampled_from([ANY_MODEL, 0b001, 0b011, 0b110]),
    ),
    min_size=1,
    max_size=40,
)


def state(some: Fleet) -> list[object]:
    arrays = (some.left, some.cpu, some.memory, some.kinds, some.free_of_model)
    return [array.tolist() for array in arrays]


@kinds
@settings(max_examples=30)
@given(nodes=machines, pods=demands)
def test_never_overcommits_nor_refuses_what_fits(
    kind: Kind, nodes: list[Machine], pods: list[Demand]
) -> None:
    """What is left is never below nothing, and only a pod that fits nowhere is left out."""
    there = fleet(nodes)
    placer = Placer(there, kind.make(there, pods, 1))
    for pod in pods:
        fits = there.feasible(pod).any()
        assert (placer.place(pod) is not None) == fits
        for left in (there.left, there.cpu, there.memory, there.free_of_model):
            assert (left >= 0).all()
        assert there.left_milli == there.left.sum()


@kinds
@settings(max_examples=30)
@given(nodes=machines, pods=demands)
def test_what_is_removed_leaves_no_trace(
    kind: Kind, nodes: list[Machine], pods: list[Demand]
) -> None:
    """Releasing everything that was placed, in any order, gives the first arrays back exactly."""
    there = fleet(nodes)
    before = state(there)
    placer = Placer(there, kind.make(there, pods, 1))
    grants = [grant for pod in pods if (grant := placer.place(pod))]
    for grant in sorted(grants):
        there.release(grant)
    assert state(there) == before


@kinds
@settings(max_examples=20)
@given(nodes=machines, pods=demands)
def test_the_same_seed_gives_the_same_result(
    kind: Kind, nodes: list[Machine], pods: list[Demand]
) -> None:
    """A run depends on nothing but nodes, pods and seed."""

    def outcome() -> tuple[list[int], list[object]]:
        curve, there = run(nodes, pods, lambda some: kind.make(some, pods, 7), 7)
        return curve.allocated, state(there)

    if any(pod.gpus for pod in pods):
        assert outcome() == outcome()


@pytest.mark.parametrize(
    "kind",
    [kind for kind in KINDS if kind.name not in ("random", "round_robin")],
    ids=lambda kind: kind.name,
)
@settings(max_examples=30)
@given(nodes=machines, pods=demands, removed=st.sets(st.integers(0, 39)))
def test_kept_scores_are_those_of_a_fresh_look(
    kind: Kind, nodes: list[Machine], pods: list[Demand], removed: set[int]
) -> None:
    """Scoring only what was touched chooses the same as scoring everything."""
    there = fleet(nodes)
    scorer = kind.make(there, pods, 1)
    placer = Placer(there, scorer)
    for number, pod in enumerate(pods):
        grant = placer.place(pod)
        if grant and number in removed:
            there.release(grant)
    for pod in pods:
        assert placer.choose(pod) == Placer(there, scorer).choose(pod)


@given(nodes=machines, pods=demands)
def test_only_allowed_rows_are_chosen(nodes: list[Machine], pods: list[Demand]) -> None:
    """What a taint or selector rules out is not taken, however good it is."""
    there = fleet(nodes)
    allowed = np.arange(len(there)) % 2 == 0
    for kind in KINDS:
        placer = Placer(there, kind.make(there, pods, 1))
        for pod in pods:
            row, _ = placer.choose(pod, allowed)
            assert row < 0 or allowed[row]


@given(st.lists(st.integers(1, WHOLE - 1), min_size=1, max_size=30), st.integers(0, 12))
def test_expected_waste(seen: list[int], arrivals: int) -> None:
    """What is expected to be left is never more than there is, and falls with every arrival."""
    mix = Mix()
    for share in seen:
        mix.learn(Demand(1000, GIB, 1, share))
    waste, later = mix.waste(arrivals), mix.waste(arrivals + 1)
    assert (waste <= np.arange(WHOLE + 1) + 1e-9).all()
    assert (waste >= -1e-9).all()
    assert (later <= waste + 1e-9).all()


def test_expected_waste_by_hand() -> None:
    """Halves only: 700 left is 200 once one came; quarters and halves: the mean of both."""
    mix = Mix()
    mix.learn(Demand(0, 0, 1, 500))
    assert mix.waste(1)[700] == 200
    mix.learn(Demand(0, 0, 1, 250))
    assert mix.waste(1)[700] == (200 + 450) / 2
    assert mix.waste(2)[700] == (200 + (450 + 200) / 2) / 2


def refuses(what: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match="no room"):
        what()


def test_a_grant_without_room_changes_nothing() -> None:
    """Neither a node, nor one of its GPUs, can be asked for more than it has."""
    there = fleet([Machine("a", "T4", 2, 8000, 16 * GIB)])
    there.grant(Demand(0, 0, 1, 810), 0, 1)
    before = state(there)
    refuses(lambda: there.grant(Demand(0, 0, 1, 300), 0, 1))
    refuses(lambda: there.grant(Demand(0, 0, 2), 0))
    refuses(lambda: there.grant(Demand(9000, 0), 0))
    assert state(there) == before
    assert there.feasible(Demand(8000, 16 * GIB, 1), ALL).tolist() == [True]
