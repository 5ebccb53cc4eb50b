"""The simulator's fleets: what each GPU does is known, whatever its metrics suggest."""

from __future__ import annotations

import subprocess
import time

from agentaflow_exporter.simulated import SimulatedFleet
from bench.truth.advisor import (
    GPUS,
    IDLE_KINDS,
    RIGHTSIZING_KINDS,
    advice,
    folder,
    gpus,
    stored,
)
from bench.truth.score import Score
from tools.terminal import BIN

WASTED = ("idle_notebook", "forgotten_process", "unallocated")
OVERSIZED = ("oversized_inference",)
SEEDS = (7, 11, 23)
NODES = 8


def stories(names: str) -> tuple[Score, Score]:
    """Idle and right-sizing, over a day of fleets of several seeds under `own` or `dcgm` names."""
    idle, rightsized = Score(), Score()
    for seed in SEEDS:
        with folder() as at:
            file = at / "history.om"
            more = [] if names == "own" else [f"--compat={names}", "--no-metrics.own"]
            command = [str(BIN / "agentaflow-exporter"), "simulate", f"--nodes={NODES}"]
            command += [f"--gpus-per-node={GPUS}", f"--seed={seed}", "--backfill=25h"]
            subprocess.run([*command, f"--output={file}", *more], check=True, capture_output=True)
            with stored(at, file) as url:
                said = advice(url, "24h", rightsizing_min_held_seconds="20h")
        fleet = SimulatedFleet(NODES, GPUS, seed, time.time)
        told = [fleet.truth(node, gpu) for node in fleet.nodes for gpu in range(GPUS)]
        for_idle = {one.uuid for one in told if one.name in WASTED}
        for_smaller = {one.uuid for one in told if one.name in OVERSIZED}
        idle += Score.of(gpus(said, IDLE_KINDS), for_idle, len(told))
        rightsized += Score.of(gpus(said, RIGHTSIZING_KINDS), for_smaller, len(told))
    return idle, rightsized
