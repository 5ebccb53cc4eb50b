"""What a placement strategy is worth where jobs come and go: on Philly's jobs, and on openb's pods
with durations that are drawn.

Philly: half of the jobs of four weeks on nodes with 8 GPUs, so many that the GPU hours asked for
are 95 % of those there are. openb: 20,000 pods, Poisson arrivals, log-normal durations (median 1 h,
sigma 1), 120 of its nodes, at a load of 95 %.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

from agentaflow_advisor.place.jobtraces import jobs
from agentaflow_advisor.place.policies import POLICIES
from agentaflow_advisor.place.simulations import Outcome, Study
from agentaflow_advisor.place.traces import demands, machines
from agentaflow_advisor.place.workloads import (
    DAY,
    Recorded,
    Synthetic,
    Workload,
    nodes_for,
    uniform,
)
from agentaflow_advisor.render import duration
from bench.table import Row, show, verdict

DATA = Path(__file__).parent.parent / "tests" / "data"
STRATEGIES = ("random", "least_utilized", "best_fit", "fragmentation", "least_waste")
SHOWN = ("best_effort_fifo", "easy_backfill")
SEEDS = range(42, 47)
LOAD = 0.95
FAST_SECONDS = 20.0


def philly() -> Recorded:
    window = 28 * DAY
    some = jobs(DATA / "philly" / "jobs.csv", 8)
    return Recorded(uniform(nodes_for(some, window, 8, LOAD), 8), tuple(some), window)


def openb(pods: int = 20_000, load: float = LOAD) -> Synthetic:
    there = machines(DATA / "openb" / "nodes.csv")
    listed = demands(DATA / "openb" / "pods_default.csv", [one.model for one in there])
    return Synthetic(tuple(there), tuple(listed), pods, load, 3600.0, 1.0, 120)


def main(seeds: Sequence[int] = SEEDS) -> bool:
    """On so many seeds; whether least_waste leaves no more unmet than best_fit, and it is quick."""
    met = True
    workloads: dict[str, Workload] = {"Philly": philly(), "openb": openb()}
    with ProcessPoolExecutor(os.cpu_count() or 1) as pool:
        for trace, workload in workloads.items():
            size = ", ".join(f"{count:,} {name}" for name, count in workload.size().items())
            for policy in SHOWN:
                study = Study(workload, policy, time.process_time)
                found = study.compare(STRATEGIES, seeds, pool)
                show(f"{trace}: {size}; {policy}, {len(seeds)} seeds", list(map(row, found)))
                unmet = {one.strategy: one.overall["unmet_gpu_hours"].mean for one in found}
                met &= verdict(
                    f"least_waste leaves {unmet['least_waste']:,.0f} GPU hours unmet",
                    unmet["least_waste"] <= unmet["best_fit"],
                    f"not above best_fit's {unmet['best_fit']:,.0f}",
                )
    return large() and met


def large() -> bool:
    """20,000 jobs on 300 nodes, four weeks' in three hours, so that thousands wait."""
    some = jobs(DATA / "philly" / "jobs.csv", 8)[:20_000]
    quick = tuple(replace(job, submitted=job.submitted / 200) for job in some)
    workload = Recorded(uniform(300, 8), quick, DAY)
    runs = [
        Study(workload, policy, time.process_time).once("least_waste", 42) for policy in POLICIES
    ]
    seconds = max(run.seconds for run in runs)
    waiting = min(run.overall.backlog_mean_gpus for run in runs)
    goal = f"below {FAST_SECONDS:.0f} s"
    told = f"20,000 jobs on 300 nodes: at most {seconds:.1f} s with any queue policy"
    return verdict(f"{told}, {waiting:,.0f} GPUs' worth waiting", seconds < FAST_SECONDS, goal)


def row(one: Outcome) -> Row:
    figures = one.overall
    unmet, asked = figures["unmet_gpu_hours"], figures["asked_gpu_hours"].mean
    waits = {
        name: duration(figures[f"waited_{name}_seconds"].mean)
        for name in ("p50", "p90", "p99", "max")
    }
    return {
        "strategy": one.strategy,
        "unmet, %": f"{100 * unmet.mean / asked:.2f} ± {100 * unmet.sd / asked:.2f}",
        **waits,
        "allocated, %": f"{100 * figures['allocation_mean_ratio'].mean:.1f}",
        "p95, %": f"{100 * figures['allocation_p95_ratio'].mean:.1f}",
        "waiting GPUs": f"{figures['backlog_mean_gpus'].mean:,.0f}",
        "s per seed": f"{one.seconds_per_seed:.1f}",
    }
