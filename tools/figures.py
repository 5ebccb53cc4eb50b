"""How many boards, panels, queries, alerts, rules and tests there are: python -m tools.figures.

What a query costs only a Prometheus can say: `make boards` measures it and adds it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from agentaflow_dashboards import BOARDS

ALERTS = Path(__file__).parents[1] / "alerts"
CHECKS = ("alert_rule_test", "promql_expr_test")


def figures() -> Mapping[str, int]:
    """Each by its name."""
    made = [make() for make in BOARDS.values()]
    panels = [panel for board in made for panel in board["panels"] if panel["type"] != "row"]
    variables = [each for board in made for each in board["templating"]["list"]]
    rules = list(_rules())
    cases = list(_cases())
    return {
        "boards": len(made),
        "panels": len(panels),
        "queries of panels": sum(len(panel["targets"]) for panel in panels),
        "queries of variables": sum(each["type"] == "query" for each in variables),
        "alerts": sum("alert" in rule for rule in rules),
        "recording rules": sum("record" in rule for rule in rules),
        "promtool test cases": len(cases),
        "promtool checks": sum(len(case.get(kind, ())) for case in cases for kind in CHECKS),
    }


def said(*more: str) -> str:
    """In one line, `more` at its end."""
    return ", ".join([*(f"{number:,} {name}" for name, number in figures().items()), *more])


def _rules() -> Iterator[Mapping[str, Any]]:
    for path in sorted((ALERTS / "rules").glob("*.yaml")):
        for group in yaml.safe_load(path.read_text())["groups"]:
            yield from group["rules"]


def _cases() -> Iterator[Mapping[str, Sequence[Any]]]:
    for path in sorted((ALERTS / "tests").glob("*.yaml")):
        yield from yaml.safe_load(path.read_text())["tests"]


if __name__ == "__main__":
    sys.stdout.write(said() + "\n")
