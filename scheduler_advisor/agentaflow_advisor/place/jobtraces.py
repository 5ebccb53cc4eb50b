"""Traces of jobs as CSV: timestamp, duration, num_gpus; cluster, name, priority where there are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from agentaflow_advisor.place.demand import Demand
from agentaflow_advisor.place.jobs import Job
from agentaflow_advisor.place.traces import TraceError, rows, whole
from agentaflow_advisor.place.workloads import members

_LATEST = 2.5e11  # seconds since the epoch, in the year 9892
_LONGEST = 1e10  # seconds, three centuries
_HIGHEST = 2_147_483_647  # as Kubernetes has it
_JOBS = ("timestamp", "duration", "num_gpus")


def jobs(
    path: Path, gpus_per_node: int, since: float | None = None, seconds: float = math.inf
) -> list[Job]:
    """In the order of submission, in seconds from `since` (by default the first one's time on).

    A job with more GPUs than a node has is a gang of equal members. Raises TraceError.
    """
    found = [_job(path, line, row, gpus_per_node) for line, row in rows(path, _JOBS)]
    found.sort(key=lambda job: job.submitted)
    if not found:
        raise TraceError(f"{path}: no jobs: give a list of jobs")
    first = found[0].submitted if since is None else since
    kept = [
        replace(job, submitted=job.submitted - first)
        for job in found
        if first <= job.submitted < first + seconds
    ]
    if not kept:
        raise TraceError(
            f"{path}: no job in the window: they are from {_text(found[0].submitted)} to "
            f"{_text(found[-1].submitted)}"
        )
    return kept


def moment(text: str) -> float:
    """Seconds since the epoch, from these or from an ISO 8601 time, in UTC unless it says so.

    Raises ValueError.
    """
    try:
        value = float(text)
    except ValueError:
        told = datetime.fromisoformat(text)
        return (told if told.tzinfo else told.replace(tzinfo=UTC)).timestamp()
    if not abs(value) <= _LATEST:
        raise ValueError(text)
    return value


def _job(path: Path, line: int, row: Mapping[str, str], gpus_per_node: int) -> Job:
    gpus = whole(path, line, row, "num_gpus")
    if not gpus:
        raise TraceError(f"{path}:{line}: num_gpus is '0': give a job with a GPU, or leave it out")
    try:
        submitted = moment(row["timestamp"])
    except ValueError as error:
        raise TraceError(
            f"{path}:{line}: timestamp is {row['timestamp']!r}: give seconds or a time such as "
            "2017-10-09 07:01:55"
        ) from error
    count = members(gpus, gpus_per_node)
    return Job(
        row.get("name") or f"job-{line}",
        submitted,
        _duration(path, line, row["duration"]),
        Demand(0, 0, gpus // count),
        count,
        row.get("cluster") or "",
        _priority(path, line, row.get("priority") or "0"),
    )


def _duration(path: Path, line: int, text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= _LONGEST:
        raise TraceError(
            f"{path}:{line}: duration is {text!r}: give seconds, 0 or more, {_LONGEST:g} at most"
        )
    return seconds


def _priority(path: Path, line: int, text: str) -> int:
    try:
        number = int(text)
    except ValueError as error:
        raise TraceError(f"{path}:{line}: priority is {text!r}: give a whole number") from error
    if abs(number) > _HIGHEST:
        raise TraceError(f"{path}:{line}: priority is {text}: give {_HIGHEST} at most")
    return number


def _text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
