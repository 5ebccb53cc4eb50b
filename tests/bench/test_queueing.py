"""The bench of queueing: its traces ask for the load that it says, and its rows can be told."""

from __future__ import annotations

import time

import pytest

from agentaflow_advisor.place.simulations import Study
from agentaflow_advisor.place.workloads import DAY
from bench import queueing


def test_philly_asks_for_the_load() -> None:
    """Of the GPU hours of four weeks on the nodes that were chosen, within half a node."""
    workload = queueing.philly()
    window = 28 * DAY
    gpus = 8 * len(workload.machines)
    asked = sum(
        job.milli / 1000 * min(job.duration_seconds, window - job.submitted)
        for job in workload.jobs
    )
    assert asked / (window * gpus) == pytest.approx(queueing.LOAD, abs=0.02)


def test_on_openb_spreading_serves_less() -> None:
    """Random placement leaves more of the demand unmet than best_fit, which is told in its row."""
    study = Study(queueing.openb(6000), "best_effort_fifo", time.process_time)
    unmet = {name: study.once(name, 42).overall.unmet_gpu_hours for name in ("random", "best_fit")}
    assert unmet["best_fit"] < 0.9 * unmet["random"]
