"""The experiment of the FGD paper, reproduced, and ours beside it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache

import pytest

from agentaflow_advisor.place.replays import Outcome
from tests.support.openb import (
    CONSTRAINED,
    LISTS,
    NEAR,
    POLICIES,
    SCATTERED,
    difference,
    paper,
    replay,
)

SEEDS = {"FGD": 3, "least_waste": 2} | dict.fromkeys(SCATTERED, 20)


@cache
def replayed(pods: str, strategy: str, seeds: int) -> Outcome:
    with ThreadPoolExecutor(1) as pool:
        (outcome,) = replay(pods).compare([strategy], range(42, 42 + seeds), pool)
    return outcome


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("pods", LISTS)
def test_the_papers_policies(pods: str, policy: str) -> None:
    """On each list each leaves what the paper says, within 0.35 points at 100 % load.

    Over more seeds where they differ by 0.6 points from one to the next.
    """
    ours = replayed(pods, policy, SEEDS.get(policy, 5)).unallocated_percent
    assert abs(difference(pods, policy, ours)) <= NEAR


@pytest.mark.parametrize("load", [80, 90, 100, 110, 120, 130])
@pytest.mark.parametrize("policy", ["BestFit", "FGD"])
def test_the_papers_curves(policy: str, load: int) -> None:
    """On the default list it is so at every load that the paper tells."""
    ours = replayed("default", policy, SEEDS.get(policy, 5)).unallocated_percent
    assert abs(difference("default", policy, ours, load)) <= NEAR


@pytest.mark.parametrize(
    ("load", "percent"), {25: 11.4, 50: 8.9, 75: 6.5, 90: 5.0, 95: 4.7, 100: 4.7}.items()
)
def test_the_papers_fragments(load: int, percent: float) -> None:
    """FGD's, in percent of all GPUs, as the paper's own results have them."""
    fragmented = replayed("default", "FGD", SEEDS["FGD"]).fragmented_percent[str(load)]
    assert fragmented.mean == pytest.approx(percent, abs=NEAR)


@pytest.mark.parametrize("load", [100, 130])
@pytest.mark.parametrize("pods", LISTS)
def test_ours_leaves_less_than_the_papers_best(pods: str, load: int) -> None:
    """Although it learns the mix as it comes: by at least 0.6 points, models constrained or not."""
    best, _ = paper(pods, "FGD", load)
    ours = replayed(pods, "least_waste", SEEDS["least_waste"])
    assert ours.unallocated_percent[str(load)].mean <= best - 0.6


@pytest.mark.parametrize("pods", ["spec33", "share100"])
def test_ours_leaves_less_than_fgd_on_lists_that_the_paper_does_not_have(pods: str) -> None:
    """By at least 0.4 points at both loads: a third of the pods ask for models, or all share."""
    fgd, ours = (replayed(pods, each, 1).unallocated_percent for each in ("FGD", "least_waste"))
    for load in ("100", "130"):
        assert ours[load].mean <= fgd[load].mean - 0.4


def test_ours_on_the_default_list() -> None:
    """At most 3.95 % stay unallocated at full load, and 3.85 % beyond."""
    left = replayed("default", "least_waste", 5).unallocated_percent
    assert left["100"].mean <= 3.95
    assert left["130"].mean <= 3.85


@pytest.mark.parametrize("part", ["residue", "stranding"])
def test_ours_needs_each_of_its_parts(part: str) -> None:
    """Without it, more stays unallocated: by at least 0.3 points at full load."""
    whole = replayed("default", "least_waste", SEEDS["least_waste"])
    without = replayed("default", f"least_waste:{part}=0", SEEDS["least_waste"])
    assert without.unallocated_percent["100"].mean >= whole.unallocated_percent["100"].mean + 0.3


def test_ours_needs_its_reserve_where_pods_ask_for_models() -> None:
    """With a third of them, 3 points more stay unallocated at full load without it."""
    whole, without = (
        replayed(CONSTRAINED, each, 2) for each in ("least_waste", "least_waste:reserve=0")
    )
    saved = without.unallocated_percent["100"].mean - whole.unallocated_percent["100"].mean
    assert saved >= 3
