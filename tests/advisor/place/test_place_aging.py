"""Priority with aging: nobody starves, however many more important ones keep coming."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentaflow_advisor.place.aging import levels, turn
from agentaflow_advisor.place.benchmark import Machine
from agentaflow_advisor.place.jobs import Job
from agentaflow_advisor.place.policies import Priority
from agentaflow_advisor.place.quota import ClusterQueue
from agentaflow_advisor.place.workloads import uniform
from tests.support.jobs import AGING, gpu_job, jobs, machines, quotas, simulated, starts


@settings(max_examples=100, deadline=None)
@given(machines, jobs, quotas | st.just(()))
def test_everyone_starts_within_the_bound(
    nodes: list[Machine], some: list[Job], quota: tuple[ClusterQueue, ...]
) -> None:
    """The law of policies/priority.py, for every job that can start at all."""
    policy = Priority.among(some, AGING)
    records = simulated(nodes, some, policy, quota=quota).run()
    longest = max(job.duration_seconds for job in some)
    ranks = [(policy.rank(record.job), number) for number, record in enumerate(records)]
    for number, record in enumerate(records):
        if record.started is None:
            continue
        overdue = record.job.submitted + policy.patience_seconds
        not_behind = sum(
            other.started is not None
            and other.job.submitted <= overdue <= other.started
            and ranks[index] <= ranks[number]
            for index, other in enumerate(records)
        )
        assert record.started <= overdue + not_behind * longest


def stream(until: int, every: int) -> list[Job]:
    """More important jobs with one GPU that never let two be free at once by themselves."""
    return [gpu_job(f"s{at}", at, 2.0 * every, priority=9) for at in range(0, until, every)]


@settings(max_examples=25, deadline=None)
@given(st.integers(300, 900), st.integers(3, 10))
def test_a_stream_of_important_jobs_starves_nobody(until: int, every: int) -> None:
    """An unimportant gang starts while the stream goes on, and no later for its going on longer."""
    gang = gpu_job("gang", 1, 5, 1, members=2)
    started = starts(simulated(uniform(2, 1), [gang, *stream(until, every)], "priority"))["gang"]
    assert started is not None
    assert started <= 1 + 2 * AGING + 30 * 2 * every
    longer = [gang, *stream(2 * until, every)]
    if started < until:
        assert starts(simulated(uniform(2, 1), longer, "priority"))["gang"] == started


def test_without_aging_it_would_starve() -> None:
    """What the law is good for: passed over without end, the gang waits for the stream's end."""
    gang = gpu_job("gang", 1, 5, 1, members=2)
    some = [gang, *stream(900, 5)]
    waited = starts(simulated(uniform(2, 1), some, "best_effort_fifo"))["gang"]
    assert waited is not None
    assert waited > 900
    aged = starts(simulated(uniform(2, 1), some, "priority"))["gang"]
    assert aged is not None
    assert aged < 200


def test_who_was_ahead_is_counted_once_he_has_started() -> None:
    """The reservation of the overdue one is made anew when a more important one starts before it:
    what it leaves is no longer enough for others as well.
    """
    some = [
        gpu_job("until 30", 0, 30, 2),
        gpu_job("until 35", 0, 35, 2),
        gpu_job("until 40", 0, 40, 4),
        gpu_job("overdue at 21", 1, 5, 6),
        gpu_job("important", 10, 500, 2, priority=1),
        gpu_job("comes", 22, 1, 8),
        gpu_job("would delay", 33, 500, 2),
    ]
    policy = Priority.among(some, 10.0)
    started = starts(simulated(uniform(1, 8), some, policy))
    assert (started["important"], started["overdue at 21"]) == (30, 40)


@given(
    st.lists(st.tuples(st.integers(0, 1000), st.integers(-5, 10**9)), min_size=2, max_size=20),
    st.integers(1, 500),
)
def test_nobody_is_overtaken_by_who_comes_much_later(
    some: list[tuple[int, int]], aging: int
) -> None:
    """With L levels, only by those who came less than (L - 1) times the aging later."""
    level = levels(priority for _, priority in some)
    turns = [(turn(at, level[priority], aging), at) for at, priority in some]
    for mine, my_at in turns:
        for theirs, their_at in turns:
            if their_at > my_at + (len(level) - 1) * aging:
                assert mine < theirs


@pytest.mark.parametrize(("later", "first"), [(49, "important"), (51, "patient")])
def test_waiting_is_worth_a_level(later: float, first: str) -> None:
    """After 50 s of waiting one is as far as the next level is at once."""
    some = [
        gpu_job("running", 0, 100, 1),
        gpu_job("patient", 1, 5, 1, priority=7),
        gpu_job("important", 1 + later, 5, 1, priority=100_000),
        gpu_job("unimportant", 2, 5, 1, priority=0),
    ]
    started = starts(simulated(uniform(1, 1), some[:3], "priority"))
    assert started[first] == 100
    assert levels([100_000, 7, 0, 7]) == {0: 0, 7: 1, 100_000: 2}
