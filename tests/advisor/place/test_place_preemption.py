"""Who would have to go for one that waits: only those who may, and nobody who could stay."""

from __future__ import annotations

from hypothesis import given, settings

from agentaflow_advisor.place.benchmark import Machine
from agentaflow_advisor.place.jobs import Job, Running
from agentaflow_advisor.place.quota import ClusterQueue
from agentaflow_advisor.place.rooms import room
from agentaflow_advisor.place.simulation import Simulation
from agentaflow_advisor.place.workloads import uniform
from tests.support.jobs import gpu_job, jobs, machines, quotas, simulated


def would_fit(simulation: Simulation, job: Job, without: tuple[Running, ...]) -> bool:
    there, ledger = simulation.fleet.copy(), simulation.ledger.copy()
    for running in without:
        ledger.use(running.job.queue, -running.job.milli)
        for grant in running.grants:
            there.release(grant)
    return room(there, job.demand) >= job.members and ledger.judge(job.queue, job.milli) is None


@settings(max_examples=60, deadline=None)
@given(machines, jobs)
def test_victims_are_enough_lower_and_all_needed(nodes: list[Machine], some: list[Job]) -> None:
    """At every event: with them gone the first fits, without any one of them it would not; and
    nothing was changed by asking.
    """
    simulation = simulated(nodes, some, "priority")
    for now in simulation.steps():
        left = simulation.fleet.left.tolist()
        proposal = simulation.proposal()
        assert simulation.fleet.left.tolist() == left
        if proposal is None:
            continue
        assert proposal.job == next(iter(simulation.waiting))
        assert would_fit(simulation, proposal.job, proposal.victims)
        for victim in proposal.victims:
            assert victim.job.priority < proposal.job.priority
            others = tuple(each for each in proposal.victims if each is not victim)
            assert not would_fit(simulation, proposal.job, others)
        lost = sum(each.lost_gpu_seconds(now) for each in proposal.victims)
        assert proposal.lost_gpu_seconds == lost


@settings(max_examples=60, deadline=None)
@given(machines, jobs, quotas)
def test_reclaim_takes_only_from_borrowers(
    nodes: list[Machine], some: list[Job], queues: tuple[ClusterQueue, ...]
) -> None:
    """Of another queue, only where the job is within its nominal quota and that queue borrows."""
    simulation = simulated(nodes, some, "priority", quota=queues)
    for _ in simulation.steps():
        proposal = simulation.proposal()
        if proposal is None:
            continue
        job, ledger = proposal.job, simulation.ledger
        assert would_fit(simulation, job, proposal.victims)
        for victim in proposal.victims:
            if victim.job.queue == job.queue:
                assert victim.job.priority < job.priority
            else:
                nominal = ledger.queues[job.queue].nominal_milli
                assert ledger.used[job.queue] + job.milli <= nominal
                assert ledger.borrowed(victim.job.queue) > 0


def test_the_cheapest_goes_first() -> None:
    """Lower priority before higher, then the one that has done less."""
    some = [
        gpu_job("old", 0, 999, 2, priority=1),
        gpu_job("young", 50, 999, 2, priority=1),
        gpu_job("better", 60, 999, 2, priority=2),
        gpu_job("urgent", 100, 10, 2, priority=9),
    ]
    simulation = simulated(uniform(1, 6), some, "priority")
    next(now for now in simulation.steps() if now == 100)
    proposal = simulation.proposal()
    assert proposal is not None
    assert [victim.job.name for victim in proposal.victims] == ["young"]
    assert proposal.lost_gpu_seconds == 100


def test_who_turns_out_not_to_be_needed_stays() -> None:
    """The cheapest is on another node than the one that has to be emptied."""
    some = [
        gpu_job("large", 0, 999, 4),
        gpu_job("cheap", 50, 999, 1),
        gpu_job("urgent", 100, 10, 4, priority=9),
    ]
    simulation = simulated(uniform(2, 4), some, "priority")
    next(now for now in simulation.steps() if now == 100)
    proposal = simulation.proposal()
    assert proposal is not None
    assert [victim.job.name for victim in proposal.victims] == ["cheap"]
    some.insert(2, gpu_job("fixed", 60, 999, 1, priority=9))
    simulation = simulated(uniform(2, 4), some, "priority")
    next(now for now in simulation.steps() if now == 100)
    proposal = simulation.proposal()
    assert proposal is not None
    assert [victim.job.name for victim in proposal.victims] == ["large"]


def test_what_was_lent_can_be_reclaimed() -> None:
    """A queue that comes back for its own is told which of the borrowers' jobs would have to go."""
    queues = [ClusterQueue("a", 2000, "one"), ClusterQueue("b", 2000, "one")]
    some = [
        *(gpu_job(f"a{n}", n, 999, queue="a", priority=5) for n in range(4)),
        gpu_job("b", 9, 10, 1, queue="b"),
    ]
    simulation = simulated(uniform(1, 8), some, "best_effort_fifo", quota=queues)
    next(now for now in simulation.steps() if now == 9)
    proposal = simulation.proposal()
    assert proposal is not None
    assert [victim.job.name for victim in proposal.victims] == ["a3"]


def test_nobody_may_have_to_go() -> None:
    """Equals are never preempted, and without a queue there is nothing to propose."""
    some = [gpu_job("running", 0, 99), gpu_job("waiting", 1, 99)]
    simulation = simulated(uniform(1, 1), some, "priority")
    proposals = [simulation.proposal() for _ in simulation.steps()]
    assert proposals == [None] * 4
