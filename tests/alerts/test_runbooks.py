"""What a runbook names at three in the morning is there: metrics, boards, commands, pages."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from agentaflow_advisor.cli import app
from agentaflow_dashboards import BOARDS
from agentaflow_exporter.collectors import NAMES
from tests.support.promql import DECLARED, undeclared
from tools.alert_rules import thresholds

ALERTS = Path(__file__).parents[2] / "alerts"


def panels(board: dict[str, Any]) -> set[str]:
    rows = [panel for panel in board["panels"] if panel["type"] == "row"]
    return {
        panel["title"]
        for panel in [*board["panels"], *(each for row in rows for each in row.get("panels", ()))]
        if panel["type"] != "row"
    }


PAGES = {path.stem: path.read_text() for path in sorted((ALERTS / "runbooks").glob("*.md"))}
RECORDED = {
    rule["record"]
    for group in yaml.safe_load((ALERTS / "rules/agentaflow-fleet.yaml").read_text())["groups"]
    for rule in group["rules"]
}
PANELS = {
    made["title"].removeprefix("AgentaFlow / "): panels(made)
    for made in (make() for make in BOARDS.values())
}
METRIC = re.compile(r"\bagentaflow(?:_(?:gpu|exporter|advisor)_|:)\w*(?::\w+)*")
QUERIES = re.compile(r"Ask Prometheus[^\n]*:\n\n((?:    .+\n)+)")
BOARD = re.compile(r'(?:"([^"]+)" on )?the ([A-Z]\w+(?: (?:and )?\w+)*?) board')
COMMAND = re.compile(
    r"(?:`|^ +|-- )agentaflow ((?:[a-z][a-z-]* ?)+)((?:[A-Z]+ ?)*(?:--[a-z-]+ ?)*)", re.MULTILINE
)


@pytest.fixture(params=PAGES)
def page(request: pytest.FixtureRequest) -> str:
    return PAGES[request.param]


def test_each_metric_is_exported(page: str) -> None:
    """A name that is cut off, or that a regular expression makes, cannot be looked for."""
    assert set(METRIC.findall(page)) <= {*DECLARED, *RECORDED}


def test_each_query_can_be_asked(page: str) -> None:
    """There is one at least; it parses, and the labels it matches are the metric's."""
    (queries,) = QUERIES.findall(page)
    for query in queries.splitlines():
        assert undeclared(query.strip()) <= RECORDED, query


def test_each_board_and_panel_is_there(page: str) -> None:
    """By the titles that Grafana shows."""
    for panel, board in BOARD.findall(" ".join(page.split())):
        assert board in PANELS
        assert not panel or panel in PANELS[board], panel


def test_each_command_of_ours_is_there(page: str) -> None:
    """Down to its subcommand and its options."""
    for names, rest in COMMAND.findall(page):
        command: Any = typer.main.get_command(app)
        for name in names.split():
            assert name in command.commands, names
            command = command.commands[name]
        assert not hasattr(command, "commands"), names
        known = {option for parameter in command.params for option in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", rest)) <= known


def test_each_link_leads_somewhere(page: str) -> None:
    """Pages of the repository; what is elsewhere is NVIDIA's."""
    for target in re.findall(r"\]\(([^)]+)\)", page):
        if target.startswith("https://"):
            assert target.startswith("https://docs.nvidia.com/")
        else:
            assert (ALERTS / "runbooks" / target).exists(), target


def test_each_alert_and_threshold_that_it_names_is_there(page: str) -> None:
    """Under that very name."""
    assert set(re.findall(r"\bAgentaflow[A-Z]\w+", page)) <= set(PAGES)
    for names in re.findall(r"^Thresholds \(`alerts/values.yaml`\): (.+)\.$", page, re.MULTILINE):
        assert set(re.findall(r"`(\w+)`", names)) <= set(thresholds())


def test_each_collector_is_there(page: str) -> None:
    """As its flag is spelt."""
    flags = re.findall(r"--(?:no-)?collector\.([a-z_]+)", page)
    assert set(flags) <= {*NAMES}


def test_it_is_more_than_a_line(page: str) -> None:
    """A cause, something to look at, and more than one thing to do."""
    assert len(re.findall(r"^\d\. ", page.split("## Fix")[1], re.MULTILINE)) >= 2
