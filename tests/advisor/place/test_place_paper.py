"""The experiment of the FGD paper, reproduced, and ours beside it."""

from __future__ import annotations

import csv
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import pytest

from agentaflow_advisor.place.replays import Outcome, Replay
from agentaflow_advisor.place.traces import demands, machines

OPENB = Path("tests/data/openb")
LISTS = ("default", "cpu050", "gpushare40", "gpuspec10", "multigpu20")
PAPERS = ("FGD", "BestFit", "DotProd", "Random")


@cache
def paper(pods: str, policy: str, load: str) -> tuple[float, float]:
    """GPUs unallocated in percent, mean and sd over ten seeds, as the paper's authors have it."""
    with OPENB.joinpath("fgd.csv").open() as file:
        for row in csv.DictReader(file):
            if (row["pods"], row["policy"], row["load_percent"]) == (pods, policy, load):
                return 100 - float(row["allocated_percent"]), float(row["sd"])
    raise LookupError(f"{pods} {policy} {load}")


@cache
def replayed(pods: str, strategy: str, seeds: int) -> Outcome:
    nodes = machines(OPENB / "nodes.csv")
    listed = demands(OPENB / f"pods_{pods}.csv", [one.model for one in nodes])
    replay = Replay(tuple(nodes), tuple(listed), time.process_time)
    with ThreadPoolExecutor(1) as pool:
        (outcome,) = replay.compare([strategy], range(42, 42 + seeds), pool)
    return outcome


@pytest.mark.parametrize("policy", PAPERS)
def test_the_papers_policies(policy: str) -> None:
    """On the default list each leaves what the paper says, within 0.35 points at 100 % load."""
    mean, _ = paper("default", policy, "100")
    assert replayed("default", policy, 5).unallocated_percent["100"].mean == pytest.approx(
        mean, abs=0.35
    )


@pytest.mark.parametrize("policy", ["GpuPacking", "GpuClustering"])
def test_the_papers_scattered_policies(policy: str) -> None:
    """Those that differ from seed to seed do so around the paper's mean: three standard errors."""
    mean, sd = paper("default", policy, "100")
    ours = replayed("default", policy, 10).unallocated_percent["100"]
    assert ours.mean == pytest.approx(mean, abs=3 * (sd**2 / 10 + ours.sd**2 / 10) ** 0.5)


@pytest.mark.parametrize("load", ["100", "130"])
@pytest.mark.parametrize("pods", LISTS)
def test_ours_leaves_less_than_the_papers_best(pods: str, load: str) -> None:
    """Although it learns the mix as it comes: by at least 0.4 points, models constrained or not."""
    best, _ = paper(pods, "FGD", load)
    assert replayed(pods, "least_waste", 2).unallocated_percent[load].mean <= best - 0.4


def test_ours_on_the_default_list() -> None:
    """At most 4.1 % stay unallocated at full load, and 4.0 % beyond."""
    left = replayed("default", "least_waste", 5).unallocated_percent
    assert left["100"].mean <= 4.1
    assert left["130"].mean <= 4.0
