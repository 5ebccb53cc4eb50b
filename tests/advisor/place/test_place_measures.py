"""What a simulation came to, in figures that add up."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings

from agentaflow_advisor.place.benchmark import Machine
from agentaflow_advisor.place.jobs import Job, Record
from agentaflow_advisor.place.measures import by_queue, measures
from tests.support.jobs import gpu_job, jobs, machines, policies, simulated

HOUR = 3600.0


def test_by_hand() -> None:
    """Two GPUs; the second job waits for an hour, the third one has not started by the horizon."""
    records = [
        Record(gpu_job("a", 0, 2 * HOUR, 2), 0.0),
        Record(gpu_job("b", HOUR, 2 * HOUR, 1), 2 * HOUR),
        Record(gpu_job("c", HOUR, HOUR, 2), 4 * HOUR),
        Record(gpu_job("d", HOUR, HOUR, 3), refused="too large"),
    ]
    found = measures(records, 2000, 4 * HOUR)
    assert (found.jobs, found.refused_jobs) == (4, 1)
    assert found.asked_gpu_hours == 4 + 2 + 2 + 3
    assert found.unmet_gpu_hours == 2 + 3
    assert found.unstarted_gpu_hours == 3
    assert found.allocation_mean_ratio == pytest.approx((2 + 2 + 1 + 1) / (4 * 2))
    assert found.allocation_p95_ratio == 1
    assert found.backlog_mean_gpus == pytest.approx((1 * 1 + 2 * 3 + 3 * 3) / 4)
    waits = (found.waited_p50_seconds, found.waited_max_seconds, found.waited_mean_seconds)
    assert waits == (HOUR, 3 * HOUR, 4 * HOUR / 3)
    assert found.makespan_seconds == 5 * HOUR


def test_allocation_over_time() -> None:
    """p95 is of the time: a peak of 4 % of it does not count, one of 6 % does."""
    base = Record(gpu_job("base", 0, 100, 1), 0.0)
    for seconds, ratio in ((4, 0.25), (6, 1.0)):
        peak = Record(gpu_job("peak", 0, seconds, 3), 50.0)
        assert measures([base, peak], 4000, 100.0).allocation_p95_ratio == ratio


@settings(max_examples=50, deadline=None)
@given(machines, jobs, policies)
def test_the_figures_add_up(nodes: list[Machine], some: list[Job], policy: str) -> None:
    """Unmet is between nothing and all that was asked for, shares between 0 and 1, percentiles in
    their order, and the queues' sums those of the whole.
    """
    simulation = simulated(nodes, some, policy)
    capacity = simulation.fleet.capacity_milli
    records = simulation.run()
    whole, queues = measures(records, capacity), by_queue(records, capacity)
    assert -1e-9 <= whole.unmet_gpu_hours <= whole.asked_gpu_hours + 1e-9
    assert 0 <= whole.allocation_mean_ratio <= 1 + 1e-9
    assert 0 <= whole.allocation_p95_ratio <= 1 + 1e-9
    assert whole.waited_p50_seconds <= whole.waited_p90_seconds <= whole.waited_p99_seconds
    assert whole.waited_p99_seconds <= whole.waited_max_seconds
    for name in (
        "jobs",
        "refused_jobs",
        "asked_gpu_hours",
        "unmet_gpu_hours",
        "unstarted_gpu_hours",
    ):
        total = sum(getattr(each, name) for each in queues.values())
        assert math.isclose(total, getattr(whole, name), abs_tol=1e-6)


def test_nothing_cannot_be_measured() -> None:
    """No jobs have no waiting time, not even none."""
    with pytest.raises(ValueError, match="no jobs"):
        measures([], 1000)
