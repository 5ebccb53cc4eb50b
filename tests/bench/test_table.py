"""The arithmetic behind the benches' figures."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.table import line_through, percentile, verdict

NUMBERS = st.floats(-1e6, 1e6)


@given(NUMBERS, NUMBERS, st.sets(st.integers(0, 1000), min_size=2))
def test_points_of_a_line_give_the_line(start: float, slope: float, xs: set[int]) -> None:
    """Start and slope are found again, wherever the points lie on it."""
    found = line_through([(x, start + slope * x) for x in xs])
    assert found == pytest.approx((start, slope), rel=1e-6, abs=1e-2)


def test_the_line_is_of_least_squares() -> None:
    """Of points that lie on no line it is the standard library's."""
    xs, ys = [1, 8, 16, 32, 64], [1.2, 2.7, 5.0, 8.5, 28.0]
    expected = statistics.linear_regression(xs, ys)
    assert line_through(list(zip(xs, ys, strict=True))) == pytest.approx(
        (expected.intercept, expected.slope)
    )


@given(st.lists(NUMBERS, min_size=1), st.floats(0.01, 1))
def test_a_percentile_is_a_value_that_was_seen(values: list[float], share: float) -> None:
    """So large a share is not above it, and all of them are not above the last."""
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9
    assert percentile(values, 1) == max(values)


def test_what_falls_short_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """A figure stands beside its goal, and one that misses it is marked."""
    assert verdict("memory: 0.65", True, "at most 0.80")
    assert not verdict("memory: 0.90", False, "at most 0.80")
    met, short = capsys.readouterr().out.splitlines()
    assert met == "memory: 0.65 (goal: at most 0.80)"
    assert "falls short" in short
