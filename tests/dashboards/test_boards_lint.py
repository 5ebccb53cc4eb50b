"""The rules that every panel, query and variable of every board keeps."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import promql_parser
import pytest
from grafana_foundation_sdk.models import units

from agentaflow_dashboards import BOARDS
from agentaflow_dashboards.modern import DATASOURCE, GRID_WIDTH
from tests.support.boards import panels, queries, variables
from tests.support.promql import COUNTERS, DECLARED, selections, substituted, undeclared

OF_THE_ADVISOR_ITSELF = {
    name
    for name, labels in DECLARED.items()
    if name.startswith("agentaflow_advisor_") and "cluster" not in labels
}
RUNBOOKS = Path(__file__).parents[2] / "alerts" / "runbooks"
GROWTH = {"rate", "increase"}
MADE = {name: make() for name, make in BOARDS.items()}
PANELS = [
    pytest.param(panel, id=f"{name}: {panel['title']}")
    for name, board in MADE.items()
    for panel in panels(board)
]
QUERIES = [
    pytest.param(target, id=f"{name}: {title}")
    for name, board in MADE.items()
    for title, target in queries(board)
]
UNITS = {getattr(units, name) for name in units.__annotations__}


def unit_of(panel: dict[str, Any]) -> str:
    """A table's unit is that of its value column alone."""
    if panel["type"] == "table":
        column = panel["options"]["sortBy"][0]["displayName"]
        of_value, *_ = (
            override["properties"]
            for override in panel["fieldConfig"]["overrides"]
            if override["matcher"]["options"] == column
        )
        return str(of_value[0]["value"])
    return str(panel["fieldConfig"]["defaults"]["unit"])


@pytest.fixture(params=MADE)
def board(request: pytest.FixtureRequest) -> dict[str, Any]:
    return MADE[request.param]


@pytest.mark.parametrize("target", QUERIES)
def test_a_query_is_promql_over_declared_metrics(target: dict[str, Any]) -> None:
    """Every expression parses and reads only metrics and labels that the exporter declares."""
    assert undeclared(target["expr"]) == set()


@pytest.mark.parametrize("target", QUERIES)
def test_counters_are_read_by_their_growth(target: dict[str, Any]) -> None:
    """A counter stands only under rate or increase, and nothing else does."""
    for selection in selections(target["expr"]):
        grows = selection.function in GROWTH
        assert grows == (selection.metric in COUNTERS), selection


@pytest.mark.parametrize("target", QUERIES)
def test_a_query_reads_no_more_than_was_chosen(target: dict[str, Any]) -> None:
    """Every selector is narrowed to the chosen clusters; lines use the interval Grafana picks."""
    for selection in selections(target["expr"]):
        of_no_cluster = selection.metric in OF_THE_ADVISOR_ITSELF
        assert ("cluster" in selection.labels) != of_no_cluster, selection
    if " rate(" in target["expr"] or "(rate(" in target["expr"]:
        assert "$__rate_interval" in target["expr"]
    assert target["instant"] != target["range"]


@pytest.mark.parametrize("target", QUERIES)
def test_a_panel_over_time_never_looks_at_the_whole_range_at_each_step(
    target: dict[str, Any],
) -> None:
    """`$__range` is for values of now: in a line it would make the cost square in the range.

    What is asked at the end of the range is asked once, whatever the steps.
    """
    at_each_step = re.sub(r"\[\$__range(:\d+m)?\] @ end\(\)", "", target["expr"])
    assert target["instant"] or "$__range" not in at_each_step


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_says_what_good_looks_like(panel: dict[str, Any]) -> None:
    """Title, a description with the good state, and a unit that Grafana knows."""
    assert panel["title"]
    assert "Good: " in panel["description"]
    assert unit_of(panel) in UNITS


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_asks_the_chosen_data_source(panel: dict[str, Any]) -> None:
    """Panel and targets follow the variable `datasource`; each target has a letter of its own."""
    assert panel["datasource"] == DATASOURCE
    assert panel["targets"]
    assert all(target["datasource"] == DATASOURCE for target in panel["targets"])
    letters = [target["refId"] for target in panel["targets"]]
    assert len(set(letters)) == len(letters)


@pytest.mark.parametrize("panel", PANELS)
def test_thresholds_begin_at_the_bottom_and_rise(panel: dict[str, Any]) -> None:
    """The first step holds from -infinity, a real null, and the others rise."""
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    first, *others = [step["value"] for step in steps]
    assert first is None
    assert others == sorted(others)


def test_an_alert_that_a_board_names_exists(board: dict[str, Any]) -> None:
    """Texts send nobody to a runbook that is not there."""
    named = set(re.findall(r"\bAgentaflow[A-Z]\w+", json.dumps(board)))
    assert named <= {path.stem for path in RUNBOOKS.glob("*.md")}


def test_panels_have_ids_of_their_own_and_do_not_overlap(board: dict[str, Any]) -> None:
    """No two panels share an id or a cell of the grid, and none leaves the grid."""
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in board["panels"]:
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= GRID_WIDTH
    for one, other in combinations(board["panels"], 2):
        assert not _cells(one) & _cells(other), (one["title"], other["title"])


def test_titles_are_unique(board: dict[str, Any]) -> None:
    """A panel can be spoken of by its title."""
    titles = [panel["title"] for panel in board["panels"]]
    assert len(set(titles)) == len(titles)


def test_variables_are_read_again_when_the_time_changes(board: dict[str, Any]) -> None:
    """Data source and cluster come first; what is queried follows the time; many offer All."""
    found = variables(board)
    assert list(found)[:2] == ["datasource", "cluster"]
    for variable in found.values():
        if variable["type"] == "query":
            assert variable["refresh"] == 2
            assert variable["multi"] == variable["includeAll"]
            assert variable.get("allValue") == (".*" if variable["multi"] else None)
            assert variable["query"]["query"] == variable["definition"]
            assert undeclared(variable["definition"].split("(", 1)[1].rsplit(",", 1)[0]) == set()


def test_the_alerts_are_drawn_into_the_board(board: dict[str, Any]) -> None:
    """Alerts, and what was changed, are PromQL over series that somebody exports."""
    alerts, *others = board["annotations"]["list"]
    assert "Agentaflow" in alerts["expr"]
    for annotation in (alerts, *others):
        assert undeclared(annotation["expr"]) == set()


def test_no_null_and_no_empty_word_is_left(board: dict[str, Any]) -> None:
    """Null means something in two places only: the board's id and a threshold's base step."""
    nulls = {path for path, value in _leaves(board) if value is None}
    assert {path.rsplit(".", 1)[-1] for path in nulls} == {"id", "value"}
    assert all(path == "id" or ".steps." in path for path in nulls)


def test_every_query_survives_pretty_printing(board: dict[str, Any]) -> None:
    """What the parser prints parses to the same, so that precedence is what it looks like."""
    for _, target in queries(board):
        tree = promql_parser.parse(substituted(target["expr"]))
        assert promql_parser.parse(tree.prettify()).prettify() == tree.prettify()


def _cells(panel: dict[str, Any]) -> set[tuple[int, int]]:
    place = panel["gridPos"]
    return {
        (x, y)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    }


def _leaves(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict | list):
        items = node.items() if isinstance(node, dict) else enumerate(node)
        for key, value in items:
            yield from _leaves(value, f"{path}.{key}".lstrip("."))
    else:
        yield path, node
