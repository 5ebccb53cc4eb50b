"""Shortcuts through a plan: with fewer moves, every pod that found room still finds it."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from agentaflow_advisor.place.benchmark import Machine, fleet
from agentaflow_advisor.place.board import Board, Pod, Prices, Step
from agentaflow_advisor.place.demand import WHOLE, Demand
from agentaflow_advisor.place.fleet import Fleet, Grant
from agentaflow_advisor.place.ledger import Ledger
from agentaflow_advisor.place.shortcuts import shortened


def share(milli: int) -> Demand:
    return Demand(0, 0, 1, milli)


def nodes(*gpus: int) -> Fleet:
    return fleet([Machine(f"n{i}", "T4", number, 1000, 0) for i, number in enumerate(gpus)])


def on(there: Fleet, name: str, milli: int, row: int, slot: int = 0, gang: str = "") -> Pod:
    demand = share(milli)
    there.take(Grant(demand, row, (slot,)))
    return Pod(name, demand, row, (slot,), gang=gang)


def anywhere(_pod: int, _row: int) -> bool:
    return True


def shorter(there: Fleet, pods: list[Pod], *steps: Step) -> list[Step]:
    return shortened(Ledger(there, pods), pods, anywhere, steps)


def test_a_pod_that_moves_twice_goes_there_at_once() -> None:
    """Its first stop is left out."""
    there = nodes(1, 1, 1)
    pods = [on(there, "a", 500, 0)]
    steps = (Step(0, 1, (0,)), Step(0, 2, (0,)))
    assert shorter(there, pods, *steps) == [Step(0, 2, (0,))]


def test_a_pod_that_another_replaces_stays() -> None:
    """The other, of its size, goes where it would have gone."""
    there = nodes(1, 1, 1)
    pods = [on(there, "a", 600, 0), on(there, "b", 600, 1)]
    steps = (Step(0, 2, (0,)), Step(1, 0, (0,)))
    assert shorter(there, pods, *steps) == [Step(1, 2, (0,))]


def test_what_each_would_have_done_next_the_other_does() -> None:
    """The pod that stays takes the later move of the one that goes in its stead."""
    there = nodes(1, 1, 1, 2)
    pods = [on(there, "a", 600, 0), on(there, "b", 600, 1), on(there, "c", 400, 2)]
    steps = (Step(0, 2, (0,)), Step(1, 0, (0,)), Step(2, 3, (0,)), Step(1, 3, (1,)))
    found = shorter(there, pods, *steps)
    assert len(found) == 3
    ended = {step.row: pods[step.pod].demand.share for step in found}
    assert ended[2] == 600
    assert {step.slots for step in found if step.row == 3} == {(0,), (1,)}


def test_no_shortcut_where_somebody_needs_the_place_meanwhile() -> None:
    """Another size comes to the place that the first one leaves: each move is needed."""
    there = nodes(1, 1, 1, 1)
    pods = [on(there, "a", 600, 0), on(there, "b", 600, 1), on(there, "c", 500, 3)]
    steps = (Step(0, 2, (0,)), Step(2, 0, (0,)), Step(1, 3, (0,)))
    assert shorter(there, pods, *steps) == list(steps)
    assert len(shorter(there, pods, *steps[:1], Step(1, 0, (0,)))) == 1


def test_gangs_and_rows_that_a_pod_may_not_go_to_are_left_alone() -> None:
    """Their moves stay as they are."""
    steps = (Step(0, 2, (0,)), Step(1, 0, (0,)))
    for gang in ("g", ""):
        there = nodes(1, 1, 1)
        pods = [on(there, "a", 600, 0, gang=gang), on(there, "b", 600, 1)]
        may = anywhere if gang else (lambda pod, row: (pod, row) != (1, 2))
        assert shortened(Ledger(there, pods), pods, may, steps) == list(steps)


Sizes = st.lists(st.sampled_from([200, 300, 500, 700, WHOLE]), min_size=2, max_size=8)


@settings(max_examples=100)
@given(
    sizes=Sizes,
    waiting=st.lists(st.sampled_from([300, 500]), max_size=2),
    wishes=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 5)), max_size=25),
)
def test_the_same_room_is_left(
    sizes: list[int], waiting: list[int], wishes: list[tuple[int, int]]
) -> None:
    """Whatever the plan: its shorter form can be taken, and ends with the same free GPUs and the
    same number of pods that found room.
    """
    there = nodes(2, 2, 2)
    pods: list[Pod] = []
    for number, size in enumerate(sizes):
        free = np.argwhere(there.left >= size)
        if len(free):
            pods.append(on(there, f"p{number}", size, int(free[0][0]), int(free[0][1])))
    pods += [Pod(f"w{number}", share(size)) for number, size in enumerate(waiting)]
    board = Board(there, pods, np.ones((1, 3), bool), Prices(np.zeros(WHOLE + 1), 1.0))
    for pod, place in wishes:
        if pod < len(pods):
            seated = pods[pod].row < 0 <= board.row[pod]
            step = Step(pod, place // 2, (place % 2,))
            if not seated and board.place(pod) != step:
                board.attempt([step])
    found = shorter(there, pods, *board.steps)
    assert len(found) <= len(board.steps)
    other = Board(there, pods, np.ones((1, 3), bool), board.prices)
    assert other.attempt(found)
    assert (other.left == board.left).all()
    assert (other.row >= 0).sum() == (board.row >= 0).sum()
