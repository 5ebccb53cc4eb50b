"""Every alert is complete: texts, severity, runbook, tests both ways, metrics that exist."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentaflow_advisor.analyze.xids import APPLICATION, CRITICAL, INFORMATION, WARNING
from agentaflow_exporter.xids import BY_KERNEL_LOG
from tests.support.promql import COUNTERS, selections, undeclared

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
WITHOUT_A_VALUE = {
    "AgentaflowAdvisorDown": "`up` is 0, and absent() makes a 1 of a series that is not there",
    "AgentaflowExporterDown": "`up` is 0, and absent() makes a 1 of a series that is not there",
}
XIDS = re.compile(r'xid(=~|!~)"([\d|]+)"')
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


def test_a_description_tells_what_was_measured(name: str) -> None:
    """It has the value, save where there is none to tell; WITHOUT_A_VALUE says why."""
    said = re.findall(r"{{[^}]*\$value[^}]*}}", RULES[name]["annotations"]["description"])
    assert bool(said) != (name in WITHOUT_A_VALUE)


def test_an_xid_is_as_grave_to_the_alerts_as_to_the_advisor() -> None:
    """Each code of the advisor's table is in one alert, with the severity of its class."""
    told: list[tuple[str, str]] = []
    for rule in RULES.values():
        for sign, codes in XIDS.findall(rule["expr"]):
            if sign == "=~":
                told += [(code, rule["labels"]["severity"]) for code in codes.split("|")]
    classes = {"critical": CRITICAL, "warning": WARNING, "info": {*APPLICATION, *INFORMATION}}
    weighed = [(code, severity) for severity, codes in classes.items() for code in codes]
    assert sorted(told) == sorted(weighed)
    other = RULES["AgentaflowXidOther"]
    ((sign, codes),) = XIDS.findall(other["expr"])
    assert (sign, other["labels"]["severity"]) == ("!~", "warning")
    assert sorted(codes.split("|")) == sorted(code for code, _ in told)


def test_an_xid_that_the_exporter_expects_is_in_a_class() -> None:
    """What it tells as 0 beforehand is nothing that AgentaflowXidOther would have to tell."""
    assert set(map(str, BY_KERNEL_LOG)) <= {*CRITICAL, *WARNING, *APPLICATION, *INFORMATION}


def test_an_xid_runbook_explains_each_of_its_codes(name: str) -> None:
    """The cause says of every code what it is."""
    page = (ALERTS / "runbooks" / f"{name}.md").read_text()
    for sign, codes in XIDS.findall(RULES[name]["expr"]):
        if sign == "=~":
            cause = page.split("## Cause")[1].split("## Check")[0]
            assert set(codes.split("|")) == set(re.findall(r"\b\d+\b", cause))


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


def _minutes(check: dict[str, Any]) -> int:
    number, unit = re.fullmatch(r"(\d+)([mh])", check["eval_time"]).groups()  # type: ignore[union-attr]
    return int(number) * (60 if unit == "h" else 1)
