"""Runs over several seeds: all of them, as an executor has room, and what their figures spread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, as_completed
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import TypeVar

import numpy as np

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Spread:
    """Over the seeds; `sd` is the sample's, 0 for a single seed, the others are percentiles."""

    mean: float
    sd: float
    p25: float
    p50: float
    p75: float


def spread(values: Sequence[float]) -> Spread:
    """Rounded to four decimals."""
    sd = stdev(values) if len(values) > 1 else 0.0
    low, middle, high = np.percentile(values, (25, 50, 75)).tolist()
    return Spread(*(round(figure, 4) for figure in (fmean(values), sd, low, middle, high)))


def by_strategy(
    once: Callable[[str, int], R],
    strategies: Sequence[str],
    seeds: Sequence[int],
    executor: Executor,
    done: Callable[[int, int], None],
) -> list[list[R]]:
    """What `once(strategy, seed)` gives: a list for each strategy, a run in it for each seed.

    done: told how many of how many are, after each.
    """
    tasks = [[executor.submit(once, strategy, seed) for seed in seeds] for strategy in strategies]
    each = [task for of in tasks for task in of]
    for number, _ in enumerate(as_completed(each), 1):
        done(number, len(each))
    return [[task.result() for task in of] for of in tasks]
