"""What no placement can beat, and that none does."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentaflow_advisor.place.benchmark import Machine, run
from agentaflow_advisor.place.bound import Bound, dearest
from agentaflow_advisor.place.demand import WHOLE, Demand
from agentaflow_advisor.place.replays import LOADS, Replay
from agentaflow_advisor.place.scorers import KINDS, Kind
from tests.advisor.place.test_place_arrays import demands as some_demands
from tests.advisor.place.test_place_arrays import machines as some_machines
from tests.support.openb import BOUND_NEAR, KNOWN_BOUNDS, LISTS, SEEDS, replay


def share(milli: int) -> Demand:
    return Demand(0, 0, 1, milli)


@pytest.mark.parametrize("pods", LISTS)
def test_the_bounds_of_the_papers_lists(pods: str) -> None:
    """Within 0.1 points of those that another programme found."""
    with ThreadPoolExecutor(1) as pool:
        found = replay(pods).bound(SEEDS, pool)
    means = found["100"].mean, found["130"].mean
    assert means == pytest.approx(KNOWN_BOUNDS[pods], abs=BOUND_NEAR)


@settings(max_examples=60)
@given(nodes=some_machines, pods=some_demands, kind=st.sampled_from(KINDS), seed=st.integers(0, 99))
def test_no_placement_is_below_the_bound(
    nodes: list[Machine], pods: list[Demand], kind: Kind, seed: int
) -> None:
    """Whatever the cluster, the pods, the strategy and the load."""
    if not any(pod.gpus for pod in pods):
        return
    least = Replay(tuple(nodes), tuple(pods), time.process_time).bound_once(seed)
    curve, _ = run(nodes, pods, lambda some: kind.make(some, pods, seed), seed)
    for load, bound in zip(LOADS, least, strict=True):
        assert curve.unallocated_percent(load) >= bound - 1e-6


@pytest.mark.parametrize(
    ("gpus", "pods", "milli"),
    [
        (2, [share(600)] * 4, 1200),
        (1, [share(600), share(500), share(400)], 1000),
        (2, [share(400)] * 3, 1200),
        (3, [Demand(0, 0, 2), share(810), share(300)], 2840),
        (8, [Demand(0, 0, 8), share(810)], 8000),
        (4, [Demand(64_000, 1 << 40)], 0),
        (4, [], 0),
    ],
    ids=str,
)
def test_bounds_by_hand(gpus: int, pods: list[Demand], milli: float) -> None:
    """What fits on GPUs of 1000 thousandths, also where parts of a GPU are filled differently."""
    assert Bound(gpus).allocated_milli(pods) == pytest.approx(milli)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=80), st.integers(1, 12))
def test_it_is_no_more_than_there_is_and_than_was_asked_for(asked: list[int], gpus: int) -> None:
    """And another pod never lowers it, though patterns are kept from one list to the next."""
    bound = Bound(gpus)
    pods = [share(30 * each) for each in asked]
    all_of_them = bound.allocated_milli(pods)
    assert all_of_them <= min(gpus * WHOLE, sum(pod.milli for pod in pods)) + 1e-3
    assert bound.allocated_milli(pods[:-1]) <= all_of_them + 1e-3


@given(
    st.dictionaries(st.integers(20, 99).map(lambda n: 10 * n), st.floats(0, 10), max_size=3)
    .filter(bool)
)  # fmt: skip
def test_the_dearest_pattern_is_the_dearest(prices: dict[int, float]) -> None:
    """Of all that fit on a GPU, found by trying each."""
    sizes = np.array(sorted(prices))
    worth = np.array([prices[size] for size in sizes.tolist()])
    value, pattern = dearest(sizes, worth)
    everything = product(*(range(WHOLE // size + 1) for size in sizes.tolist()))
    fitting = [np.array(each) for each in everything if np.dot(each, sizes) <= WHOLE]
    assert value == pytest.approx(max(float(each @ worth) for each in fitting))
    assert pattern @ worth == pytest.approx(value)
    assert pattern @ sizes <= WHOLE
