"""The forecast's figures on real demand: better than seasonal-naive, with honest bands."""

from __future__ import annotations

import pytest

from bench import forecast


def test_it_beats_seasonal_naive_on_real_demand() -> None:
    """Two weeks ahead on all of Philly and two of its clusters, an origin every eleven days."""
    every = 11 * forecast.DAY
    demands = forecast.demands()
    scores = [forecast.score(demands[name], every)[-1] for name in ("all", "ee9e8c", "6214e9")]
    for score in scores:
        assert score.mase < score.naive_mase
        assert score.pinball < score.naive_pinball
    mean = sum(score.coverage for score in scores) / len(scores)
    assert mean == pytest.approx(0.8, abs=0.12)
