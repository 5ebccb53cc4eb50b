"""Quota by queue with borrowing and lending, as Kueue's ClusterQueues in a cohort have it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentaflow_advisor.place.benchmark import Machine
from agentaflow_advisor.place.jobs import Job
from agentaflow_advisor.place.quota import ClusterQueue, Ledger, Reclaim, Refused
from tests.support.jobs import QUEUES, jobs, machines, policies, quotas, simulated

GPU = 1000
Quotas = tuple[ClusterQueue, ...]
uses = st.lists(
    st.tuples(st.sampled_from(QUEUES), st.sampled_from([250, GPU, 2 * GPU, 5 * GPU])), max_size=30
)


def most(queue: ClusterQueue, queues: Quotas) -> int:
    """Nominal quota and what could be borrowed, written down a second time."""
    if not queue.cohort:
        return queue.nominal_milli
    lendable = 0
    for other in queues:
        if other.cohort == queue.cohort and other is not queue:
            limit = other.lending_limit_milli
            lendable += other.nominal_milli if limit is None else min(limit, other.nominal_milli)
    limit = queue.borrowing_limit_milli
    return queue.nominal_milli + (lendable if limit is None else min(limit, lendable))


def assert_kept(ledger: Ledger, queues: Quotas) -> None:
    for queue in queues:
        assert 0 <= ledger.used[queue.name] <= most(queue, queues) == ledger.most(queue.name)
    for cohort in {queue.cohort for queue in queues}:
        inside = [queue for queue in queues if queue.cohort == cohort]
        total = sum(queue.nominal_milli for queue in inside)
        assert sum(ledger.used[queue.name] for queue in inside) <= total


@given(quotas, uses)
def test_limits_hold_and_nobody_is_refused_what_is_his(queues: Quotas, asked: object) -> None:
    """No queue exceeds nominal and borrowable, no cohort its sum; and within its nominal quota a
    queue has room, or is told who borrows at least what it lacks.
    """
    ledger = Ledger(queues)
    held: list[tuple[str, int]] = []
    for name, milli in list(asked):  # type: ignore[call-overload]
        verdict = ledger.judge(name, milli)
        if verdict is None:
            ledger.use(name, milli)
            held.append((name, milli))
        elif ledger.used[name] + milli <= ledger.queues[name].nominal_milli:
            assert isinstance(verdict, Reclaim)
            assert name not in verdict.borrowed_milli
            assert sum(verdict.borrowed_milli.values()) >= verdict.lacks_milli > 0
        else:
            assert isinstance(verdict, Refused)
        assert_kept(ledger, queues)
        if len(held) > 5:
            name, milli = held.pop(0)
            ledger.use(name, -milli)


@given(quotas, uses)
def test_reclaiming_what_is_lent_is_enough(queues: Quotas, asked: object) -> None:
    """Once the borrowers that are named gave back what they borrow, there is quota."""
    ledger = Ledger(queues)
    for name, milli in list(asked):  # type: ignore[call-overload]
        verdict = ledger.judge(name, milli)
        if isinstance(verdict, Reclaim):
            for borrower, borrowed in verdict.borrowed_milli.items():
                ledger.use(borrower, -borrowed)
            assert ledger.judge(name, milli) is None
        if ledger.judge(name, milli) is None:
            ledger.use(name, milli)


@settings(max_examples=40, deadline=None)
@given(machines, jobs, policies, quotas)
def test_a_simulation_keeps_the_quotas(
    nodes: list[Machine], some: list[Job], policy: str, queues: Quotas
) -> None:
    """At every event, whatever the queue policy; what runs is what is counted."""
    simulation = simulated(nodes, some, policy, quota=queues)
    for _ in simulation.steps():
        assert_kept(simulation.ledger, queues)
        for queue in queues:
            running = [r.job for r in simulation.running.values() if r.job.queue == queue.name]
            assert simulation.ledger.used[queue.name] == sum(job.milli for job in running)


@pytest.mark.parametrize(
    ("changes", "free"),
    [
        ({}, 12),
        ({"borrowing_limit_milli": 2 * GPU}, 6),
        ({"borrowing_limit_milli": 0}, 4),
        ({"cohort": ""}, 4),
        ({"lending_limit_milli": 1 * GPU}, 12),
    ],
    ids=str,
)
def test_what_a_queue_may_use(changes: dict[str, object], free: int) -> None:
    """Its own four GPUs, and of the other's eight what its borrowing limit lets it have."""
    mine = ClusterQueue(**{"name": "a", "nominal_milli": 4 * GPU, "cohort": "one", **changes})  # type: ignore[arg-type]
    ledger = Ledger([mine, ClusterQueue("b", 8 * GPU, "one")])
    assert ledger.available("a") == ledger.most("a") == free * GPU


def test_what_is_not_lent_is_nobody_elses() -> None:
    """With a lending limit of 3, five of the eight GPUs stay the queue's own."""
    ledger = Ledger(
        [ClusterQueue("a", 4 * GPU, "one"), ClusterQueue("b", 8 * GPU, "one", None, 3 * GPU)]
    )
    assert ledger.available("a") == 7 * GPU
    ledger.use("a", 7 * GPU)
    assert ledger.available("b") == 5 * GPU
    assert ledger.judge("b", 8 * GPU) == Reclaim(3 * GPU, {"a": 3 * GPU})
    assert ledger.judge("b", 9 * GPU) == Refused(
        "queue b uses 0 of 8 GPUs and could have 5 more now, not 9"
    )


def test_without_queues_there_is_no_quota() -> None:
    """No file, no limits; with one, a queue that it does not name has nothing."""
    assert Ledger().judge("anything", 10**9) is None
    assert Ledger([ClusterQueue("a", GPU)]).judge("b", 1) == Refused("queue b has no quota")
