"""Is the advice true? Verdicts held against what is known to be so, on a real Prometheus.

python -m bench truth [--duty FOLDER]

FOLDER holds Alibaba's GenTD26 trace (see duty.py).
"""

from __future__ import annotations

import sys
from pathlib import Path

from bench import forecast
from bench.table import show
from bench.truth.data import bad_data
from bench.truth.edges import edges
from bench.truth.holdout import judged_later
from bench.truth.money import money
from bench.truth.pods import idle_hours
from bench.truth.score import Score, good
from bench.truth.stories import stories
from bench.truth.written import Names

NAMES: tuple[Names, ...] = ("own", "dcgm")


def main(duty: Path | None) -> bool:
    scores: dict[str, Score] = {}
    for names in NAMES:
        idle, rightsized = stories(names)
        scores[f"idle, the simulator's stories, {names} names"] = idle
        scores[f"right-sizing, the simulator's stories, {names} names"] = rightsized
        idle, rightsized = edges(names)
        scores[f"idle, on either side of the limits, {names} names"] = idle
        scores[f"right-sizing and sharing, the same, {names} names"] = rightsized
    if duty is None:
        print("real inference pods: skipped, give --duty FOLDER", file=sys.stderr)
    else:
        scores["idle, hours of real inference pods, dcgm names"] = idle_hours(duty)
    show("verdicts against the truth", [score.row(what) for what, score in scores.items()])
    met = [good(what, score) for what, score in scores.items()]
    if duty is not None:
        met.append(judged_later(duty))
    met += [bad_data(names) for names in NAMES]
    return all((*met, money(), forecast.main()))
