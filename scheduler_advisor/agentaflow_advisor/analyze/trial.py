"""A forecast and what its method would have missed by, found by going back in its own history."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agentaflow_advisor.analyze.seasonal import DAY, WEEK, Floats, candidates

ORIGIN_EVERY_SECONDS = 12 * 3600.0
TRIED_SECONDS = 4 * WEEK
LEAST_PAST_SECONDS = WEEK
WEIGHT_POWER = 2.0


@dataclass(frozen=True, slots=True)
class Trial:
    """`point` and seasonal-naive for each step ahead, and their errors (real less forecast).

    Errors are one row for each time from which the method was tried, NaN where the real value is
    not known.
    """

    point: Floats
    errors: Floats
    naive: Floats
    naive_errors: Floats


def try_out(values: Floats, ahead: int, step_seconds: float) -> Trial:
    """Mix the candidates by how well each did at each distance; NaN in `values` is a gap."""
    filled = _filled(values)
    origins = _origins(len(values), step_seconds)
    errors = np.stack([_errors(values, filled, at, ahead, step_seconds) for at in origins])
    weights = _weights(errors, step_seconds)
    rows = candidates(filled, ahead, step_seconds)
    return Trial(
        point=(rows * weights).sum(axis=0),
        errors=(errors * weights).sum(axis=1),
        naive=rows[-1],
        naive_errors=errors[:, -1],
    )


def half_widths(errors: Floats, coverage: float, step_seconds: float) -> Floats:
    """For each step ahead, what that part of the errors does not exceed, either way.

    Split conformal prediction with absolute errors (Vovk; Lei et al. 2018), where errors of up to
    half a day nearer and farther count, too.
    """
    reach = round(DAY / step_seconds) // 2
    ahead = errors.shape[1]
    widths = np.empty(ahead)
    for step in range(ahead):
        near = np.abs(errors[:, max(0, step - reach) : step + reach + 1])
        widths[step] = quantile(near, coverage)
    return widths


def quantile(errors: Floats, coverage: float) -> float:
    """With the finite-sample correction of conformal prediction: ceil((n + 1) c) / n."""
    known = errors[~np.isnan(errors)]
    if not len(known):
        return float("nan")
    level = min(1.0, np.ceil((len(known) + 1) * coverage) / len(known))
    return float(np.quantile(known, level))


def _origins(length: int, step_seconds: float) -> list[int]:
    """From where to try: every half day of the newest weeks, each with a week before it."""
    every = max(1, round(ORIGIN_EVERY_SECONDS / step_seconds))
    first = max(
        round(LEAST_PAST_SECONDS / step_seconds), length - round(TRIED_SECONDS / step_seconds)
    )
    return list(range(length - every, first - 1, -every))[::-1]


def _errors(values: Floats, filled: Floats, at: int, ahead: int, step_seconds: float) -> Floats:
    rows = candidates(filled[:at], ahead, step_seconds)
    real = np.full(ahead, np.nan)
    known = values[at : at + ahead]
    real[: len(known)] = known
    return real - rows


def _weights(errors: Floats, step_seconds: float) -> Floats:
    """Of each candidate at each step: the better it did, the more it counts."""
    with np.errstate(invalid="ignore"):
        missed = np.nan_to_num(np.abs(errors)).sum(axis=0)
        known = (~np.isnan(errors)).sum(axis=0)
    reach = round(DAY / step_seconds) // 2
    kernel = np.ones(2 * reach + 1)
    mean = np.stack(
        [
            _smooth(row, kernel) / np.maximum(1.0, _smooth(count, kernel))
            for row, count in zip(missed, known.astype(float), strict=True)
        ]
    )
    floor = max(1e-9, 1e-3 * float(mean.max()))
    raw = 1.0 / np.maximum(mean, floor) ** WEIGHT_POWER
    weights: Floats = raw / raw.sum(axis=0)
    return weights


def _smooth(row: Floats, kernel: Floats) -> Floats:
    reach = len(kernel) // 2
    return np.convolve(np.pad(row, reach, mode="edge"), kernel, "valid")


def _filled(values: Floats) -> Floats:
    """Gaps hold the last value before them, or the first after."""
    known = ~np.isnan(values)
    last = np.maximum.accumulate(np.where(known, np.arange(len(values)), -1))
    last[last < 0] = int(np.argmax(known))
    return values[last]
