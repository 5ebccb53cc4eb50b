"""simulate: how long jobs would have waited under a strategy, a queue policy and a quota."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated

import typer

from agentaflow_advisor.commands.coming import (
    Asked,
    GpusPerNode,
    Load,
    Median,
    Nodes,
    NumJobs,
    NumNodes,
    Pods,
    Sigma,
    Since,
    Trace,
    Window,
    seconds_of,
)
from agentaflow_advisor.commands.quotafile import read_quota
from agentaflow_advisor.commands.replay import Strategies
from agentaflow_advisor.commands.runs import SEEDS, Dask, Jobs, Seeds, executor, known, numbers
from agentaflow_advisor.commands.session import Session, command
from agentaflow_advisor.configuration import SettingsError
from agentaflow_advisor.place.demand import WHOLE
from agentaflow_advisor.place.measures import HOUR
from agentaflow_advisor.place.policies import POLICIES
from agentaflow_advisor.place.preemption import Preemption
from agentaflow_advisor.place.quota import ClusterQueue
from agentaflow_advisor.place.scorers import OURS
from agentaflow_advisor.place.simulations import Figures, Outcome, Study
from agentaflow_advisor.place.workloads import Workload
from agentaflow_advisor.render import Column, counted, duration, percent, plain

QueuePolicy = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help=f"One of {', '.join(POLICIES)}; repeatable."),
]
Aging = Annotated[
    str | None,
    typer.Option(
        metavar="DURATION",
        help="Waiting worth a level of priority, for the queue policy priority; "
        "by default the setting priority_aging_seconds.",
    ),
]
Quota = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Quota by queue as YAML, in the words of Kueue."),
]
ByQueue = Annotated[bool, typer.Option("--by-queue", help="A row for each queue as well.")]
ProposalAt = Annotated[
    str | None,
    typer.Option(
        metavar="DURATION",
        help="Say as well which running jobs would have to go then, so that the first in the queue "
        "could start: of the first strategy, policy and seed.",
    ),
]
_DEFAULT_POLICY = "best_effort_fifo"
_MOST_NAMED = 10


@command()
def simulate(
    session: Session,
    trace: Trace = None,
    since: Since = None,
    window: Window = None,
    num_nodes: NumNodes = None,
    gpus_per_node: GpusPerNode = 8,
    load: Load = 0.95,
    nodes: Nodes = None,
    pods: Pods = None,
    num_jobs: NumJobs = 20_000,
    median: Median = "1h",
    sigma: Sigma = 1.0,
    strategy: Strategies = None,
    queue_policy: QueuePolicy = None,
    aging: Aging = None,
    quota: Quota = None,
    by_queue: ByQueue = False,
    proposal_at: ProposalAt = None,
    seeds: Seeds = SEEDS,
    jobs: Jobs = 0,
    dask: Dask = None,
) -> int:
    """Let jobs arrive, wait and leave, and say how long they waited and what was not served.

    A job with more GPUs than a node has is a gang: all of its members start together. With --quota
    each cluster of the trace is a queue that may borrow from its cohort. A seed moves each queue's
    jobs by whole days, or draws pods, durations and arrivals.
    """
    asked = Asked(
        trace, since, window, num_nodes, gpus_per_node, load, nodes, pods, num_jobs, median, sigma
    )
    worth = seconds_of("--aging", aging) if aging else session.settings.priority_aging_seconds
    at = seconds_of("--proposal-at", proposal_at) if proposal_at else None
    names = [known(name) for name in strategy or [OURS.name]]
    policies = [_policy(name) for name in queue_policy or [_DEFAULT_POLICY]]
    chosen, workload = numbers(seeds), asked.workload()
    quotas = _quotas(quota, workload) if quota else ()
    studies = [Study(workload, name, time.process_time, worth, quotas) for name in policies]
    proposal = studies[0].proposal(names[0], chosen[0], at) if at else None
    outcomes = compared(session, studies, names, chosen, executor(jobs, dask))
    if session.output.as_json:
        head = {"trace": _text(trace), "nodes": _text(nodes), "pods": _text(pods)}
        body = {"size": workload.size(), "outcomes": plain(outcomes)}
        session.output.document({**head, **body, "proposal": _document(proposal)})
        return 0
    _show(session, workload, outcomes, by_queue=by_queue)
    if at:
        session.output.line(f"{duration(at)} after the beginning: {_words(proposal)}")
    return 0


def compared(
    session: Session,
    studies: Sequence[Study],
    names: Sequence[str],
    seeds: Sequence[int],
    where: AbstractContextManager[Executor],
) -> list[Outcome]:
    """Every study with all strategies and seeds, each with a progress bar."""
    outcomes: list[Outcome] = []
    with where as pool:
        for study in studies:
            label = f"{study.policy}: {len(names) * len(seeds)} runs"
            with session.output.bar(label) as advance:
                outcomes += study.compare(names, seeds, pool, advance)
    return outcomes


def _show(session: Session, workload: Workload, outcomes: list[Outcome], *, by_queue: bool) -> None:
    headings = ["UNMET", "P50", "P90", "P99", "MAX", "ALLOCATED", "P95", "BACKLOG", "SECONDS"]
    columns = [Column("STRATEGY"), Column("QUEUE POLICY"), Column("QUEUE")]
    columns += [Column(heading, right=True) for heading in headings]
    rows: list[tuple[str, ...]] = []
    for one in outcomes:
        seconds_told = f"{one.seconds_per_seed:.1f}"
        rows.append((one.strategy, one.queue_policy, "all", *cells(one.overall), seconds_told))
        if by_queue:
            rows += [("", "", name or "-", *cells(f), "-") for name, f in one.queues.items()]
    session.output.table(columns, rows)
    told = ", ".join(f"{value:,} {name}" for name, value in workload.size().items())
    told = told.replace("gpus", "GPUs")
    refused = max(one.overall["refused_jobs"].mean for one in outcomes)
    session.output.line(
        f"{told}; mean of {counted(len(outcomes[0].seeds), 'seed')}. Unmet: of the GPU hours asked "
        "for up to the last submission, those not served by then; time in the queue of all jobs; "
        "GPUs allocated, mean and p95 over that time; backlog: GPUs that waiting jobs ask for, "
        f"mean; seconds of CPU for each seed. {refused:g} jobs could never have started."
    )


def _words(proposal: Preemption | None) -> str:
    if proposal is None:
        return "nobody waits for whom somebody may have to go"
    job, victims = proposal.job, proposal.victims
    named = ", ".join(victim.job.name for victim in victims[:_MOST_NAMED])
    more = f" and {len(victims) - _MOST_NAMED} more" if len(victims) > _MOST_NAMED else ""
    return (
        f"{job.name} ({job.milli / WHOLE:g} GPUs, priority {job.priority}) could start if "
        f"{named}{more} went, losing {proposal.lost_gpu_seconds / HOUR:,.1f} GPU hours of work; "
        "nothing is stopped here"
    )


def _document(proposal: Preemption | None) -> dict[str, object] | None:
    if proposal is None:
        return None
    return {
        "job": proposal.job.name,
        "victims": [victim.job.name for victim in proposal.victims],
        "lost_gpu_hours": proposal.lost_gpu_seconds / HOUR,
    }


def cells(figures: Figures) -> tuple[str, ...]:
    """As a row of the table."""
    asked, unmet = figures["asked_gpu_hours"].mean, figures["unmet_gpu_hours"].mean
    waits = [figures[f"waited_{name}_seconds"].mean for name in ("p50", "p90", "p99", "max")]
    return (
        percent(unmet / asked if asked else None),
        *map(duration, waits),
        percent(figures["allocation_mean_ratio"].mean),
        percent(figures["allocation_p95_ratio"].mean),
        f"{figures['backlog_mean_gpus'].mean:,.1f}",
    )


def _quotas(file: Path, workload: Workload) -> tuple[ClusterQueue, ...]:
    found = read_quota(file)
    missing = sorted(workload.queues() - {queue.name for queue in found})
    if missing:
        raise SettingsError(
            f"{file}: no quota for {', '.join(name or 'jobs without a queue' for name in missing)}:"
            " add a clusterQueue with that name and its nominalQuota"
        )
    return found


def _policy(name: str) -> str:
    if name not in POLICIES:
        raise SettingsError(
            f"--queue-policy {name}: there is none of that name: give one of {', '.join(POLICIES)}"
        )
    return name


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
