"""Idle or not: an hour of each real inference pod as a GPU under DCGM's names.

Hours, since no pod that lasts is idle for longer than three. Idle is one without a sample over 5 %.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from bench.truth.advisor import HOUR, IDLE_KINDS, advice, folder, gpus, stored
from bench.truth.duty import Shown, Trace, lines, traces
from bench.truth.score import Score

LEAST = 60  # samples in an hour
IDLE_RATIO = 0.05  # what the setting idle_maximum_ratio says
MODEL, TOTAL_MIB = "NVIDIA H100 80GB HBM3", 81_559


def idle_hours(data: Path) -> Score:
    """Verdicts on them against their raw samples."""
    hours = _hours(traces(data))
    start = int(time.time()) - HOUR
    shown = (
        Shown(uuid, uuid, 0, MODEL, TOTAL_MIB, hour, start - number * HOUR)
        for (uuid, number), hour in hours.items()
    )
    with folder() as at:
        history = at / "history.om"
        history.write_text("".join(lines(shown)))
        with stored(at, history) as url:
            said = advice(url, "1h")
    idle = {uuid for (uuid, _), hour in hours.items() if hour.busy <= IDLE_RATIO}
    return Score.of(gpus(said, IDLE_KINDS), idle, len(hours))


def _hours(pods: Mapping[str, Trace]) -> Mapping[tuple[str, int], Trace]:
    """By a name for the hour, and which hour it is."""
    found = {}
    for name, trace in pods.items():
        for number in sorted({int(at // HOUR) for at, _ in trace.percent}):
            hour = trace.between(number * HOUR, (number + 1) * HOUR)
            if len(hour.percent) > LEAST:
                found[f"GPU-{name}-{number}", number] = hour
    return found
