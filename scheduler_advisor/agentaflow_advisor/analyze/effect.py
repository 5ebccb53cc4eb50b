"""What an applied decision really saved: GPUs held idle before it and after it, with its error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from statistics import fmean

from agentaflow_advisor.model import HOURS_PER_MONTH, Money, Refusal

LEAST = 8  # values on each side
SIGMAS = 1.96  # of a 95 % interval


@dataclass(frozen=True, slots=True)
class Effect:
    """GPUs that are not held idle any more, on average; the 95 % interval is ± `error`."""

    gpus: float
    error: float
    before: int  # values it rests on
    after: int

    def told(self, hourly: Money | None) -> str:
        """For people and for the journal."""
        text = f"{self.gpus:+.2f} ± {self.error:.2f} GPUs no longer held idle"
        if hourly is None:
            return text
        monthly = hourly * (Decimal(f"{self.gpus:.4f}") * HOURS_PER_MONTH)
        spread = hourly * (Decimal(f"{self.error:.4f}") * HOURS_PER_MONTH)
        return f"{text}, {monthly.rounded(2)} ± {spread.rounded(2)} a month"


def effect(before: Sequence[float], after: Sequence[float]) -> Effect | Refusal:
    """The difference of the means of evenly spaced values; refused where there are too few.

    The error is Welch's, with each side's number of values lessened by their autocorrelation at
    lag 1 (Bartlett 1946): minutes of one job are no independent witnesses.
    """
    fewest = min(len(before), len(after))
    if fewest < LEAST:
        return Refusal("effect", f"{fewest} values on one side, {LEAST} are needed")
    error = SIGMAS * math.sqrt(_squared_error(before) + _squared_error(after))
    return Effect(fmean(before) - fmean(after), error, len(before), len(after))


def _squared_error(values: Sequence[float]) -> float:
    """Of their mean."""
    mean = fmean(values)
    away = [value - mean for value in values]
    squares = math.fsum(each * each for each in away)
    if not squares:
        return 0.0
    lag = math.fsum(one * two for one, two in pairwise(away)) / squares
    bounded = min(max(lag, 0.0), 0.95)
    independent = max(2.0, len(values) * (1 - bounded) / (1 + bounded))
    return squares / (len(values) - 1) / independent
