"""The rules of Grafana's dashboard-linter, by their names there, on every board.

Four do not hold here, each with its reason in `EXCLUDED`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import promql_parser
import pytest
from grafana_foundation_sdk.models import units

from agentaflow_dashboards import BOARDS
from tests.support.boards import panels, queries, variables
from tests.support.promql import COUNTERS, selections, substituted

Board = dict[str, Any]
UNITS = {getattr(units, name) for name in units.__annotations__}
EXCLUDED = {
    "template-job-rule": "GPUs are chosen by cluster and node, whatever the scrape job is called",
    "template-instance-rule": "instance is an exporter's address; node is what people know",
    "target-job-rule": "as template-job-rule; cluster and node are held by test_boards_lint",
    "target-instance-rule": "as template-instance-rule",
}


def template_datasource(board: Board) -> Iterator[str]:
    """The first variable is the data source."""
    first = board["templating"]["list"][0]
    if (first["type"], first["name"], first["query"]) != ("datasource", "datasource", "prometheus"):
        yield "no data source variable"


def template_label_promql(board: Board) -> Iterator[str]:
    """label_values over PromQL that parses."""
    for name, variable in variables(board).items():
        if variable["type"] == "query":
            found = re.fullmatch(r"label_values\((.+), \w+\)", variable["definition"])
            if not found or not promql_parser.parse(substituted(found[1])):
                yield name


def template_on_time_change(board: Board) -> Iterator[str]:
    """Variables are read again when the time changes."""
    for name, variable in variables(board).items():
        if variable["type"] == "query" and variable["refresh"] != 2:
            yield name


def panel_datasource(board: Board) -> Iterator[str]:
    """Panels follow the variable."""
    for panel in panels(board):
        if panel["datasource"]["uid"] != "${datasource}":
            yield panel["title"]


def panel_title_description(board: Board) -> Iterator[str]:
    """Each panel has both."""
    for panel in panels(board):
        if not (panel["title"] and panel["description"]):
            yield panel["title"]


def panel_units(board: Board) -> Iterator[str]:
    """Each has a unit that Grafana knows; so has each column that sets its own."""
    for panel in panels(board):
        config = panel["fieldConfig"]
        properties = [each for one in config["overrides"] for each in one["properties"]]
        own = [each["value"] for each in properties if each["id"] == "unit"]
        if {config["defaults"]["unit"], *own} - UNITS:
            yield panel["title"]


def panel_no_targets(board: Board) -> Iterator[str]:
    """Each panel asks something."""
    for panel in panels(board):
        if not panel["targets"]:
            yield panel["title"]


def target_logql(board: Board) -> Iterator[str]:
    """No query is for logs: every data source is Prometheus; so holds target-logql-auto-rule."""
    for title, target in queries(board):
        if target["datasource"]["type"] != "prometheus":
            yield title


def target_promql(board: Board) -> Iterator[str]:
    """Every query parses."""
    for title, target in queries(board):
        try:
            promql_parser.parse(substituted(target["expr"]))
        except ValueError as error:
            yield f"{title}: {error}"


def target_rate_interval(board: Board) -> Iterator[str]:
    """Lines take rates over the interval that Grafana picks."""
    for title, target in queries(board):
        ranges = re.findall(r"\brate\([^\[]+\[([^\]]+)\]", target["expr"])
        if any(each != "$__rate_interval" for each in ranges):
            yield title


def target_counter_agg(board: Board) -> Iterator[str]:
    """Counters are made rates before they are added up."""
    for title, target in queries(board):
        for one in selections(target["expr"]):
            if one.metric in COUNTERS and one.function not in ("rate", "increase"):
                yield title


def uneditable_dashboard(board: Board) -> Iterator[str]:
    """An edit of a generated board would be lost."""
    if board["editable"]:
        yield board["title"]


RULES: dict[str, Callable[[Board], Iterator[str]]] = {
    "template-datasource-rule": template_datasource,
    "template-label-promql-rule": template_label_promql,
    "template-on-time-change-reload-rule": template_on_time_change,
    "panel-datasource-rule": panel_datasource,
    "panel-title-description-rule": panel_title_description,
    "panel-units-rule": panel_units,
    "panel-no-targets-rule": panel_no_targets,
    "target-logql-rule": target_logql,
    "target-logql-auto-rule": target_logql,
    "target-promql-rule": target_promql,
    "target-rate-interval-rule": target_rate_interval,
    "target-counter-agg-rule": target_counter_agg,
    "uneditable-dashboard": uneditable_dashboard,
}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", BOARDS)
def test_a_board_keeps_the_rule(name: str, rule: str) -> None:
    """The linter would say nothing."""
    assert list(RULES[rule](BOARDS[name]())) == []


def test_each_of_the_seventeen_rules_is_kept_or_excluded_with_a_reason() -> None:
    """None is forgotten."""
    assert len(RULES.keys() | EXCLUDED.keys()) == 17
    assert all(EXCLUDED.values())


@pytest.mark.parametrize(
    ("rule", "path", "value"),
    [
        ("panel-units-rule", ("fieldConfig", "defaults", "unit"), "watts"),
        ("panel-title-description-rule", ("description",), ""),
        ("target-promql-rule", ("targets", 0, "expr"), "sum("),
        ("target-rate-interval-rule", ("targets", 0, "expr"), "rate(up[5m])"),
        (
            "target-counter-agg-rule",
            ("targets", 0, "expr"),
            "sum(process_cpu_seconds_total)",
        ),
    ],
)
def test_a_rule_finds_what_breaks_it(rule: str, path: tuple[str | int, ...], value: str) -> None:
    """A board that breaks a rule is found, so that silence above means something."""
    board = BOARDS["fleet.json"]()
    part: Any = panels(board)[0]
    *steps, last = path
    for step in steps:
        part = part[step]
    part[last] = value
    assert list(RULES[rule](board))
