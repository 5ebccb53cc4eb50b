"""On what a finding about a GPU rests, also where the GPU itself tells nothing any more."""

from __future__ import annotations

import math
from collections.abc import Iterable

from agentaflow_advisor.model import Evidence, Gpu, Snapshot


def grounds(gpu: Gpu, snapshot: Snapshot, signals: Iterable[str]) -> Evidence:
    """The queries behind those signals; age and samples are those of its utilization, if any."""
    wanted = frozenset(signals)
    usage = gpu.utilization
    return Evidence(
        promql=tuple(
            query.promql
            for query in snapshot.queries
            if query.signal in wanted and query.dialect in ("", gpu.dialect)
        ),
        evaluated_at=snapshot.taken_at,
        newest_age_seconds=usage.newest_age_seconds if usage else math.inf,
        samples=usage.samples if usage else 0,
    )


def grounds_of(gpus: Iterable[Gpu], snapshot: Snapshot, signals: Iterable[str]) -> Evidence:
    """Of several at once: the queries of any, the oldest newest sample, the fewest samples."""
    wanted = frozenset(signals)
    every = [grounds(gpu, snapshot, wanted) for gpu in gpus]
    return Evidence(
        promql=tuple(dict.fromkeys(promql for each in every for promql in each.promql)),
        evaluated_at=snapshot.taken_at,
        newest_age_seconds=max(each.newest_age_seconds for each in every),
        samples=min(each.samples for each in every),
    )
