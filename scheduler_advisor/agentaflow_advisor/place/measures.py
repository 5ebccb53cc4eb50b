"""What a simulation came to: unmet demand, time in the queue, allocation; in all and by queue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agentaflow_advisor.place.demand import WHOLE
from agentaflow_advisor.place.jobs import Record
from agentaflow_advisor.place.scorer import Floats

HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Measures:
    """GPU hours and allocation are of the time from the first submission to the horizon; times in
    the queue are of all jobs that started, sooner or later.
    """

    jobs: int
    refused_jobs: int  # could never have started
    asked_gpu_hours: float  # had every job started at its submission
    unmet_gpu_hours: float  # of these, what was not served
    unstarted_gpu_hours: float  # all that jobs asked for that had not started by the horizon
    waited_p50_seconds: float
    waited_p90_seconds: float
    waited_p99_seconds: float
    waited_max_seconds: float
    waited_mean_seconds: float
    allocation_mean_ratio: float  # of the cluster's GPUs
    allocation_p95_ratio: float  # 95 % of the time it was not above it
    backlog_mean_gpus: float  # asked for by jobs that wait
    makespan_seconds: float  # from the first submission to the last end


def measures(
    records: Sequence[Record], capacity_milli: int, horizon: float | None = None
) -> Measures:
    """`horizon`: by default the last submission. Raises ValueError without any job."""
    if not records:
        raise ValueError("no jobs, nothing to measure")
    submitted = np.array([each.job.submitted for each in records])
    seconds = np.array([each.job.duration_seconds for each in records])
    gpus = np.array([each.job.milli for each in records]) / WHOLE
    started = np.array([np.inf if each.started is None else each.started for each in records])
    ended = started + seconds
    first, last = float(submitted.min()), float(submitted.max())
    until = last if horizon is None else horizon
    asked = gpus @ _within(submitted, submitted + seconds, first, until)
    served = gpus @ _within(started, ended, first, until)
    levels, lengths = _steps(started, ended, gpus, first, until)
    waits = (started - submitted)[np.isfinite(started)]
    p50, p90, p99, most = np.percentile(waits, (50, 90, 99, 100)) if len(waits) else np.zeros(4)
    capacity = max(1, capacity_milli) / WHOLE
    late = (submitted <= until) & (started > until)
    return Measures(
        jobs=len(records),
        refused_jobs=sum(bool(each.refused) for each in records),
        asked_gpu_hours=float(asked) / HOUR,
        unmet_gpu_hours=float(asked - served) / HOUR,
        unstarted_gpu_hours=float((gpus * seconds)[late].sum()) / HOUR,
        waited_p50_seconds=float(p50),
        waited_p90_seconds=float(p90),
        waited_p99_seconds=float(p99),
        waited_max_seconds=float(most),
        waited_mean_seconds=float(waits.mean()) if len(waits) else 0.0,
        allocation_mean_ratio=_over(float(levels @ lengths), capacity * (until - first)),
        allocation_p95_ratio=_quantile(levels, lengths, 0.95) / capacity,
        backlog_mean_gpus=_over(
            float(gpus @ _within(submitted, started, first, until)), until - first
        ),
        makespan_seconds=float(ended[np.isfinite(ended)].max(initial=first)) - first,
    )


def by_queue(
    records: Sequence[Record], capacity_milli: int, horizon: float | None = None
) -> dict[str, Measures]:
    """The same for each queue, up to the same horizon; shares are of the whole cluster."""
    until = max(each.job.submitted for each in records) if horizon is None else horizon
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(record.job.queue, []).append(record)
    return {name: measures(found[name], capacity_milli, until) for name in sorted(found)}


def _within(begin: Floats, end: Floats, first: float, until: float) -> Floats:
    """How many seconds of each lie between the two."""
    seconds: Floats = np.maximum(0.0, np.minimum(end, until) - np.clip(begin, first, until))
    return seconds


def _steps(
    started: Floats, ended: Floats, gpus: Floats, first: float, until: float
) -> tuple[Floats, Floats]:
    """How many GPUs were allocated, and for how many seconds each."""
    at = np.concatenate([started, ended, [first, until]])
    change = np.concatenate([gpus, -gpus, [0.0, 0.0]])
    kept = np.isfinite(at)
    at, change = np.clip(at[kept], first, until), change[kept]
    order = np.argsort(at, kind="stable")
    return np.cumsum(change[order])[:-1], np.diff(at[order])


def _quantile(levels: Floats, lengths: Floats, share: float) -> float:
    """The lowest level that was not exceeded in so large a share of the time."""
    if not lengths.sum() > 0:
        return 0.0
    order = np.argsort(levels, kind="stable")
    passed = np.cumsum(lengths[order])
    return float(levels[order][np.searchsorted(passed, share * passed[-1])])


def _over(amount: float, time: float) -> float:
    return amount / time if time > 0 else 0.0
