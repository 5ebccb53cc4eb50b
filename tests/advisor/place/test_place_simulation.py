"""Jobs come, wait, run and leave: the laws that hold for every strategy and every queue policy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentaflow_advisor.place.benchmark import Machine, fleet
from agentaflow_advisor.place.fleet import Fleet
from agentaflow_advisor.place.gang import place_gang
from agentaflow_advisor.place.jobs import Job
from agentaflow_advisor.place.placer import Placer
from agentaflow_advisor.place.policies import POLICIES
from agentaflow_advisor.place.quota import ClusterQueue
from agentaflow_advisor.place.rooms import Rooms, room
from agentaflow_advisor.place.scorers.literature import BestFit
from agentaflow_advisor.place.simulation import Simulation
from agentaflow_advisor.place.workloads import uniform
from tests.support.jobs import (
    gpu_job,
    jobs,
    machines,
    policies,
    quotas,
    simulated,
    starts,
    strategies,
)


def state(some: Fleet) -> list[object]:
    arrays = (some.left, some.cpu, some.memory, some.kinds, some.free_of_model)
    return [array.tolist() for array in arrays]


def fits(simulation: Simulation, job: Job) -> bool:
    """Room and quota for it, as things are."""
    quota = simulation.ledger.judge(job.queue, job.milli) is None
    return quota and room(simulation.fleet, job.demand) >= job.members


@settings(max_examples=60, deadline=None)
@given(machines, jobs, policies, strategies, quotas)
def test_never_overcommits_and_leaves_no_trace(
    nodes: list[Machine],
    some: list[Job],
    policy: str,
    strategy: str,
    quota: tuple[ClusterQueue, ...],
) -> None:
    """At no event is anything left below nothing; gangs are whole; in the end all is as before."""
    simulation = simulated(nodes, some, policy, strategy, quota)
    before = state(simulation.fleet)
    for now in simulation.steps():
        there = simulation.fleet
        for left in (there.left, there.cpu, there.memory, there.free_of_model):
            assert (left >= 0).all()
        for running in simulation.running.values():
            assert len(running.grants) == running.job.members
            assert running.started <= now < max(running.ends, now + 1)
    assert state(simulation.fleet) == before
    assert not any(simulation.ledger.used.values())
    assert len(simulation.waiting) == 0


@settings(max_examples=60, deadline=None)
@given(machines, jobs, policies, strategies)
def test_every_job_starts_or_is_refused_for_a_reason(
    nodes: list[Machine], some: list[Job], policy: str, strategy: str
) -> None:
    """Only a job for which the empty cluster has no room never starts, and none starts early."""
    empty = fleet(nodes)
    for record in simulated(nodes, some, policy, strategy).run():
        possible = room(empty, record.job.demand) >= record.job.members
        assert (record.started is not None) == possible
        assert bool(record.refused) != possible
        assert record.waited_seconds is None or record.waited_seconds >= 0


@settings(max_examples=60, deadline=None)
@given(machines, jobs, policies, quotas)
def test_the_first_in_the_queue_never_waits_without_need(
    nodes: list[Machine], some: list[Job], policy: str, quota: tuple[ClusterQueue, ...]
) -> None:
    """After every event there is no room or no quota for the first; so who finds no queue and fits
    starts at once. Where others may be passed over, none who waits fits.
    """
    simulation = simulated(nodes, some, policy, quota=quota)
    for _ in simulation.steps():
        waiting = list(simulation.waiting)
        assert not any(fits(simulation, job) for job in waiting[:1])
        if policy == "best_effort_fifo":
            assert not any(fits(simulation, job) for job in waiting)


@settings(max_examples=30, deadline=None)
@given(machines, jobs, policies, strategies)
def test_the_same_seed_gives_the_same_result(
    nodes: list[Machine], some: list[Job], policy: str, strategy: str
) -> None:
    """A run depends on nothing but its input."""
    first, second = (simulated(nodes, some, policy, strategy).run() for _ in range(2))
    assert first == second


@settings(max_examples=40, deadline=None)
@given(machines, jobs)
def test_strict_fifo_keeps_the_order(nodes: list[Machine], some: list[Job]) -> None:
    """Who was submitted first starts first."""
    records = simulated(nodes, some, "strict_fifo").run()
    started = [record.started for record in records if record.started is not None]
    assert started == sorted(started)


@settings(max_examples=80, deadline=None)
@given(machines, jobs, quotas)
def test_backfill_does_not_delay_the_first_in_the_queue(
    nodes: list[Machine], some: list[Job], quota: tuple[ClusterQueue, ...]
) -> None:
    """Whoever is first in the queue starts by the earliest time that what runs then allows."""
    simulation = simulated(nodes, some, "easy_backfill", quota=quota)
    latest: dict[Job, float] = {}
    for _ in simulation.steps():
        for job in list(simulation.waiting)[:1]:
            latest.setdefault(job, earliest(simulation, job))
    by_job = {record.job: record.started for record in simulation.records}
    for job, at in latest.items():
        started = by_job[job]
        assert started is not None
        assert started <= at


def earliest(simulation: Simulation, job: Job) -> float:
    """When the job fits if nobody else starts, found by letting what runs end one by one."""
    there, ledger = simulation.fleet.copy(), simulation.ledger.copy()
    for running in sorted(simulation.running.values(), key=lambda each: each.ends):
        for grant in running.grants:
            there.release(grant)
        ledger.use(running.job.queue, -running.job.milli)
        enough = room(there, job.demand) >= job.members
        if enough and ledger.judge(job.queue, job.milli) is None:
            return running.ends
    raise AssertionError("it would never fit")


@settings(max_examples=60)
@given(machines, jobs)
def test_rooms_are_what_could_be_placed(nodes: list[Machine], some: list[Job]) -> None:
    """Numbers kept up to date by touched rows are those of a fresh look, and of trying it out."""
    there = fleet(nodes)
    demands = [job.demand for job in some]
    rooms = Rooms(there, demands)
    placer = Placer(there, BestFit())
    for index, job in enumerate(some):
        rooms.refresh()
        fresh = room(there, job.demand)
        assert rooms.total[index] == fresh
        before = state(there)
        grants = place_gang(placer, job.demand, job.members)
        assert (grants is not None) == (fresh >= job.members)
        if grants is None:
            assert state(there) == before
        elif index % 3 == 0:
            for grant in grants:
                there.release(grant)
            assert state(there) == before


def names_at(some: Sequence[Job], policy: str, at: float) -> set[str]:
    """Who starts at a time, on two nodes with four GPUs each."""
    started = starts(simulated(uniform(2, 4), some, policy))
    return {name for name, when in started.items() if when == at}


QUEUE = [
    gpu_job("first", 0, 10, 4),
    gpu_job("gang", 1, 10, 4, members=2),
    gpu_job("short", 2, 8, 1),
    gpu_job("long", 3, 30, 4),
    gpu_job("small and long", 4, 30, 1),
]


@pytest.mark.parametrize(
    ("policy", "names"),
    [
        ("strict_fifo", set()),
        ("best_effort_fifo", {"short", "small and long"}),
        ("easy_backfill", {"short"}),
        ("priority", {"short", "small and long"}),
    ],
)
def test_who_goes_ahead_of_a_gang(policy: str, names: set[str]) -> None:
    """Four GPUs are free until 10 and the gang wants eight then: who may start before it?"""
    assert set(POLICIES) == {"strict_fifo", "best_effort_fifo", "easy_backfill", "priority"}
    started = starts(simulated(uniform(2, 4), QUEUE, policy))
    gang = started["gang"]
    assert gang is not None
    ahead = {name for name, at in started.items() if at is not None and 0 < at < gang}
    assert ahead & {"short", "small and long"} == names


def test_backfill_where_there_is_more_room_than_the_first_needs() -> None:
    """A job that lasts longer than the wait may start if the first still fits beside it."""
    some = [
        gpu_job("first", 0, 10, 4),
        gpu_job("gang", 1, 10, 3, members=2),
        gpu_job("beside", 2, 99, 1),
        gpu_job("no more", 3, 99, 2),
    ]
    started = starts(simulated(uniform(2, 4), some, "easy_backfill"))
    assert (started["gang"], started["beside"]) == (10, 2)
    assert started["no more"] == 20


def test_members_of_a_gang_are_counted_together_when_it_goes_ahead() -> None:
    """One of the pair would not delay the first in the queue, both would: so neither starts."""
    some = [
        gpu_job("first", 0, 10, 4),
        gpu_job("gang", 1, 10, 3, members=2),
        gpu_job("pair", 2, 99, 1, members=2),
    ]
    started = starts(simulated(uniform(2, 4), some, "easy_backfill"))
    assert (started["gang"], started["pair"]) == (10, 10)


@settings(max_examples=150, deadline=None)
@given(machines, jobs, st.sampled_from(["easy_backfill", "priority"]))
def test_only_who_is_ahead_delays_the_one_with_the_reservation(
    nodes: list[Machine], some: list[Job], name: str
) -> None:
    """From event to event, the earliest start of the first one without patience moves back only if
    somebody started who was ahead of it.
    """
    policy = POLICIES[name](some, 10.0)
    simulation = simulated(nodes, some, policy)
    last: tuple[Job, float] | None = None
    ahead: set[Job] = set()
    for now in simulation.steps():
        waiting = list(simulation.waiting)
        due = [job for job in waiting if now - job.submitted >= policy.patience_seconds][:1]
        for job in due:
            at = earliest(simulation, job)
            if last is not None and last[0] == job and ahead <= set(waiting):
                assert at <= last[1]
            last, ahead = (job, at), set(waiting[: waiting.index(job)])
        last = last if due else None


def test_a_queue_without_quota_is_passed_by_the_others() -> None:
    """strict_fifo stops the queue whose quota is used up, not those of others, as in Kueue."""
    quota = [ClusterQueue("a", 1000), ClusterQueue("b", 4000)]
    some = [
        gpu_job("a1", 0, 10, queue="a"),
        gpu_job("a2", 1, 10, queue="a"),
        gpu_job("b1", 2, 10, queue="b"),
        gpu_job("c1", 3, 10, queue="c"),
        gpu_job("a3", 4, 10, 2, queue="a"),
    ]
    simulation = simulated(uniform(1, 8), some, "strict_fifo", quota=quota)
    assert starts(simulation) == {"a1": 0, "a2": 10, "b1": 2, "c1": None, "a3": None}
    refused = [record.refused for record in simulation.records if record.refused]
    assert refused == ["queue c has no quota", "queue a can never have 2 GPUs"]


@settings(max_examples=30, deadline=None)
@given(machines, jobs, policies, st.integers(-5, 200))
def test_stopping_in_between_changes_nothing(
    nodes: list[Machine], some: list[Job], policy: str, until: int
) -> None:
    """A run that was looked at at some time, and gone on with, ends as one that was not."""
    stopped = simulated(nodes, some, policy)
    stopped.run(until)
    assert all(each.started is None or each.started <= until for each in stopped.records)
    assert all(each.ends > until for each in stopped.running.values())
    assert stopped.run() == simulated(nodes, some, policy).run()


def test_what_runs_beforehand_stays() -> None:
    """A fleet may be in use: that room is not there, before, during and after."""
    there = fleet(uniform(1, 4))
    there.grant(gpu_job("", 0, 0, 3).demand, 0)
    some = [gpu_job("fits", 0, 5), gpu_job("does not", 0, 5, 2)]
    simulation = Simulation(there, BestFit(), POLICIES["strict_fifo"](some, 1.0), some)
    assert starts(simulation) == {"fits": 0, "does not": None}
    assert np.array_equal(there.left, [[0, 0, 0, 1000]])
    assert simulation.records[1].refused == "the empty cluster has room for 0 of its 1 members"
