"""docs/queries.md and the dialects tell the same signals, by metrics that their exporters have."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import promql_parser
import pytest

from agentaflow_advisor.analyze import (
    cost,
    efficiency,
    fragmentation,
    idle,
    rightsizing,
    stranded,
    zombies,
)
from agentaflow_advisor.observe.detect import NOW_THERE, before
from agentaflow_advisor.observe.dialects import (
    DIALECTS,
    GRID,
    Dialect,
    dcgm,
    dcgm46,
    grid_points,
    ours,
    render,
    step_seconds,
)
from agentaflow_advisor.observe.signals import COUNTS, SCALARS
from agentaflow_exporter.compat.dcgm import FIELDS
from agentaflow_exporter.metrics import ALL

QUERIES = Path(__file__).parents[3] / "docs" / "queries.md"
SIGNALS = {"info", "pods", "held", "held_pods", "held_slices", *SCALARS, *COUNTS}


def test_every_signal_is_documented() -> None:
    """A row for each signal, and none for what is not asked."""
    table, _, dialects = QUERIES.read_text().partition("## Dialects")
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == list(ours.DIALECT)
    assert f"grid of {GRID} steps" in dialects


def test_every_dialect_is_documented() -> None:
    """A row for each, in the order in which they are preferred, with a metric that tells it."""
    rows = re.findall(r"^\| `([\w.-]+)` \| [^|]+ \| `(\w+)`", QUERIES.read_text(), re.MULTILINE)
    assert rows == [(dialect.name, dialect.probes[0]) for dialect in DIALECTS]


@pytest.mark.parametrize(
    "analysis", [idle, cost, efficiency, rightsizing, stranded, fragmentation, zombies]
)
def test_analyses_declare_signals_that_exist(analysis: object) -> None:
    """What an analysis needs is in the dialect."""
    assert set(ours.DIALECT) >= analysis.SIGNALS  # type: ignore[attr-defined]


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_dialects_have_known_signals_only(dialect: Dialect) -> None:
    """A signal without a rule would be asked for and thrown away; ours has them all."""
    assert set(dialect) <= SIGNALS
    assert set(ours.DIALECT) == SIGNALS


@pytest.mark.parametrize("window", [0.5, 30.0, 3600.0, 5400.0, 604_800.0, 100_000.7])
@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_every_template_renders_to_promql(dialect: Dialect, window: float) -> None:
    """Whatever the window, the text parses and nothing is left to fill in."""
    for template in dialect.values():
        text = render(template, window_seconds=window, percentile=0.99)
        promql_parser.parse(text)
        assert not re.search(r"\{(window|step|window_seconds|step_seconds|percentile)\}", text)


def test_the_query_for_dialects_is_promql() -> None:
    """It names a metric of each."""
    for template in (before({}), NOW_THERE):
        text = render(template, window_seconds=604_800, percentile=0.5)
        promql_parser.parse(text)
        assert all(dialect.probes[0] in text for dialect in DIALECTS)


def test_our_dialect_asks_for_metrics_that_we_export() -> None:
    """But for those that are on their way."""
    asked = {name for text in ours.DIALECT.values() for name in re.findall(r"agentaflow_\w+", text)}
    unknown = asked - {metric.name for metric in ALL}
    assert unknown == set()


def test_dcgm_renamed_what_we_think_it_renamed() -> None:
    """Old and new names are those of the same field, as the exporter has them in its table."""
    renamed = {field.names[0]: field.names[1] for field in FIELDS}
    assert set(dcgm.OLD) == set(dcgm46.NAMES)
    pairs = {dcgm.OLD[each]: dcgm46.NAMES[each] for each in dcgm.OLD}
    known = {old: new for old, new in pairs.items() if old in renamed}
    assert known == {old: renamed[old] for old in known}
    not_translated = {"nvlink_errors"}
    assert set(known) == {dcgm.OLD[each] for each in dcgm.OLD.keys() - not_translated}


def test_dcgm_dialects_ask_for_fields_of_their_own_version() -> None:
    """No name of the other version is in a table, but for those that both have."""
    renamed = [field.names for field in FIELDS if field.names[0] != field.names[1]]
    for dialect, (old, new) in product((dcgm.DIALECT, dcgm46.DIALECT), renamed):
        foreign = new if dialect is dcgm.DIALECT else old
        assert not any(re.search(rf"\b{foreign}\b", text) for text in dialect.values()), foreign


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
