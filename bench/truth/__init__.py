"""Is the advice true? Verdicts held against what is known to be so, on a real Prometheus.

python -m bench truth [--duty FOLDER]

FOLDER holds Alibaba's GenTD26 trace (see pods.py).
"""

from __future__ import annotations

import sys
from pathlib import Path

from bench import forecast
from bench.table import show
from bench.truth.data import bad_data
from bench.truth.money import money
from bench.truth.pods import real_pods
from bench.truth.score import Score, good
from bench.truth.stories import stories


def main(duty: Path | None) -> bool:
    scores: dict[str, Score] = {}
    for names in ("own", "dcgm"):
        idle, rightsized = stories(names)
        scores[f"idle, the simulator's stories, {names} names"] = idle
        scores[f"right-sizing, the simulator's stories, {names} names"] = rightsized
    if duty is None:
        print("real inference pods: skipped, give --duty FOLDER", file=sys.stderr)
    else:
        idle, rightsized = real_pods(duty)
        scores["idle, hours of real inference pods, dcgm names"] = idle
        scores["right-sizing, hours of real inference pods, dcgm names"] = rightsized
    show("verdicts against the truth", [score.row(what) for what, score in scores.items()])
    met = [good(what, score) for what, score in scores.items()]
    return all((*met, bad_data(), money(), forecast.main()))
