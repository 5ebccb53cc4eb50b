"""docs/queries.md and the dialect tell the same signals."""

from __future__ import annotations

import re
from pathlib import Path

import promql_parser
import pytest

from agentaflow_advisor.analyze import cost, efficiency, idle
from agentaflow_advisor.observe.dialects import GRID, grid_points, ours, render, step_seconds

QUERIES = Path(__file__).parents[3] / "docs" / "queries.md"


def test_every_signal_is_documented() -> None:
    """A row for each signal, and none for what is not asked."""
    rows = re.findall(r"^\| `(\w+)` \|", QUERIES.read_text(), re.MULTILINE)
    assert rows == list(ours.DIALECT)
    assert f"grid of {GRID} steps" in QUERIES.read_text()


@pytest.mark.parametrize("analysis", [idle, cost, efficiency])
def test_analyses_declare_signals_that_exist(analysis: object) -> None:
    """What an analysis needs is in the dialect."""
    assert set(ours.DIALECT) >= analysis.SIGNALS  # type: ignore[attr-defined]


@pytest.mark.parametrize("window", [0.5, 30.0, 3600.0, 5400.0, 604_800.0, 100_000.7])
@pytest.mark.parametrize("signal", ours.DIALECT)
def test_every_template_renders_to_promql(signal: str, window: float) -> None:
    """Whatever the window, the text parses and nothing is left to fill in."""
    text = render(ours.DIALECT[signal], window_seconds=window, percentile=0.99)
    promql_parser.parse(text)
    assert not re.search(r"\{(window|step|window_seconds|step_seconds|percentile)\}", text)


@pytest.mark.parametrize(
    ("window", "shown"), [(604_800, "[7d]"), (5400, "[90m]"), (45, "[45s]"), (0.5, "[500ms]")]
)
def test_windows_are_written_short(window: float, shown: str) -> None:
    """Queries stay readable: 7d, not 604800s."""
    assert shown in render(ours.DIALECT["energy"], window_seconds=window, percentile=0.9)


@pytest.mark.parametrize("at", [1_800_000_000.0, 1_800_000_123.4])
@pytest.mark.parametrize("window", [1.0, 60.0, 86_400.0, 604_800.0])
def test_the_grid_has_about_as_many_points_as_steps(window: float, at: float) -> None:
    """Prometheus aligns the grid to the epoch, so that a window may hold one point more or less."""
    assert abs(grid_points(window, at) - window / step_seconds(window)) <= 1
