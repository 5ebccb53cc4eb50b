"""Every alert is complete: texts, severity, runbook, tests both ways, metrics that exist."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.promql import COUNTERS, DECLARED, OF_ADVISOR, selections, undeclared

ALERTS = Path(__file__).parents[2] / "alerts"
RUNBOOKS = "https://github.com/agentaflow/agentaflow/blob/main/alerts/runbooks"
RULES: dict[str, dict[str, Any]] = {
    rule["alert"]: rule
    for path in sorted((ALERTS / "rules").glob("*.yaml"))
    for group in yaml.safe_load(path.read_text())["groups"]
    for rule in group["rules"]
    if "alert" in rule
}
RECORDING = {"agentaflow-recording", "agentaflow-fleet"}
FLEET = {
    rule["record"]: rule
    for group in yaml.safe_load((ALERTS / "rules/agentaflow-fleet.yaml").read_text())["groups"]
    for rule in group["rules"]
}
OF_COUNTERS = {"increase", "rate", "irate"}
SEVERITIES, TEAMS = {"critical", "warning", "info"}, {"gpu", "finops", "advisor"}


@pytest.fixture(params=RULES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_an_alert_reads_only_what_is_exported(name: str) -> None:
    """The expression parses and uses only metrics and labels that the exporter declares."""
    assert selections(RULES[name]["expr"])
    assert undeclared(RULES[name]["expr"]) <= set(FLEET)


@pytest.mark.parametrize("record", FLEET)
def test_what_is_recorded_for_alerts_reads_what_is_there(record: str) -> None:
    """Only exported metrics, and what is recorded itself."""
    assert undeclared(FLEET[record]["expr"]) <= set(FLEET)


def test_increase_is_asked_of_counters_only(name: str) -> None:
    """`increase` and `rate` of a gauge mean nothing; a counter by itself means little."""
    for each in selections(RULES[name]["expr"]):
        if each.metric.startswith("agentaflow_"):
            counter = each.metric in COUNTERS or each.metric.endswith("_total")
            assert (each.function in OF_COUNTERS) == counter, each


def test_there_are_enough_of_them() -> None:
    """At least 30, and each group has some."""
    assert len(RULES) >= 30


def test_an_alert_says_who_is_woken_and_why(name: str) -> None:
    """Each has a severity, waits for a while, and tells with values what happened."""
    rule = RULES[name]
    assert name.startswith("Agentaflow")
    assert rule["labels"]["severity"] in SEVERITIES
    assert rule["labels"]["team"] in TEAMS
    assert re.fullmatch(r"\d+[mh]", rule["for"])
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    assert "{{" in rule["annotations"]["summary"]
    assert "$labels" in rule["annotations"]["summary"] + rule["annotations"]["description"]


def test_an_alert_has_a_runbook(name: str) -> None:
    """The link leads to a page of the repository that has cause, check and fix."""
    assert RULES[name]["annotations"]["runbook_url"] == f"{RUNBOOKS}/{name}.md"
    page = (ALERTS / "runbooks" / f"{name}.md").read_text()
    assert page.startswith(f"# {name}\n")
    assert f"Severity: {RULES[name]['labels']['severity']}." in page
    assert re.findall(r"^## (.+)$", page, re.MULTILINE) == ["Cause", "Check", "Fix"]


def test_an_alert_is_tested_both_ways(name: str) -> None:
    """Its tests expect it to fire, to stay silent on a near miss, to end, and series to vanish."""
    tests = yaml.safe_load((ALERTS / "tests" / f"{name}.yaml").read_text())["tests"]
    fires, ends, stays_silent = False, False, False
    for test in tests:
        expected = [
            bool(check["exp_alerts"])
            for check in sorted(test["alert_rule_test"], key=lambda check: _minutes(check))
            if check["alertname"] == name
        ]
        fires |= any(expected)
        ends |= (True, False) in pairwise(expected)
        stays_silent |= test["name"].startswith("near miss") and not any(expected)
    assert (fires, ends, stays_silent) == (True, True, True)
    assert any("stale" in series["values"] for test in tests for series in test["input_series"])


def test_the_readme_lists_each_alert(name: str) -> None:
    """The table of alerts/README.md has a line with its severity and a link to its runbook."""
    line = rf"^\| {name} \| {RULES[name]['labels']['severity']} \|.+\(runbooks/{name}\.md\) \|$"
    assert re.search(line, (ALERTS / "README.md").read_text(), re.MULTILINE)


def test_no_page_is_left_over() -> None:
    """Every runbook and every file of tests belongs to an alert."""
    assert {path.stem for path in (ALERTS / "runbooks").iterdir()} == set(RULES)
    assert {path.stem for path in (ALERTS / "tests").iterdir()} == {*RULES, *RECORDING}


def test_runbooks_ask_for_metrics_that_exist(name: str) -> None:
    """Whole metric names in a runbook are the exporter's or the advisor's own."""
    page = (ALERTS / "runbooks" / f"{name}.md").read_text()
    used = set(
        re.findall(r"\bagentaflow_(?:gpu|exporter|advisor)_[a-z0-9_]+[a-z0-9]\b(?!_\()", page)
    )
    assert used <= {*DECLARED, *OF_ADVISOR, "agentaflow_gpu"}


def _minutes(check: dict[str, Any]) -> int:
    number, unit = re.fullmatch(r"(\d+)([mh])", check["eval_time"]).groups()  # type: ignore[union-attr]
    return int(number) * (60 if unit == "h" else 1)
