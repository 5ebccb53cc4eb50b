"""The recording rules are what is generated, read what is exported, and are read by the advisor."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from agentaflow_advisor.observe.dialects import DIALECTS
from agentaflow_advisor.observe.recording import NOW, RARE, TOLD, questions
from agentaflow_advisor.observe.recording.rules import files
from tests.support.promql import undeclared

ALERTS = Path(__file__).parents[2] / "alerts"
FILES = sorted((ALERTS / "rules").glob("agentaflow-recording-*.yaml"))
EVERY_SIGNAL = frozenset(signal for dialect in DIALECTS for signal in dialect)
OF_THE_HOUR_BEFORE = "agentaflow:gpu_utilization_ratio:max23h"  # one that is an hour old will do
RECORDED = re.compile(r"agentaflow:\w+:\w+")


def rules(path: Path) -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(path.read_text())["groups"]
    return list(group["rules"])


def recorded() -> set[str]:
    return {rule["record"] for path in FILES for rule in rules(path)}


def test_the_files_are_up_to_date() -> None:
    """`make generate` would change nothing."""
    assert {path.name: path.read_text() for path in FILES} == dict(files())


def test_there_are_rules_for_every_dialect() -> None:
    """One file for each, and one for the hours of all."""
    names = {path.stem.removeprefix("agentaflow-recording-") for path in FILES}
    assert names == {dialect.name for dialect in DIALECTS} | {"hours"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_rules_are_valid_and_named_by_practice(path: Path) -> None:
    """level:metric:operation, each expression parses, and a 5-minute rule says whose it is."""
    for rule in rules(path):
        promql_parser.parse(rule["expr"])
        assert re.fullmatch(
            r"agentaflow:(gpu|node|recorded)_\w+:[a-z]+(5m|1h|23h|1d)?", rule["record"]
        )
        if rule["record"].endswith("5m"):
            assert rule["labels"] == {"exporter": path.stem.removeprefix("agentaflow-recording-")}


def test_a_rule_reads_what_is_there() -> None:
    """Of ours only metrics that are declared; of recorded ones only those that come before."""
    for rule in rules(ALERTS / "rules" / "agentaflow-recording-agentaflow.yaml"):
        missing = {each.partition("{")[0] for each in undeclared(rule["expr"])}
        assert {each for each in missing if not RECORDED.match(each)} == set(), rule["record"]
    for path in FILES:
        before = recorded() if path.stem.endswith("hours") else {OF_THE_HOUR_BEFORE}
        for rule in rules(path):
            assert set(RECORDED.findall(rule["expr"])) <= before
            before.add(rule["record"])


@pytest.mark.parametrize(("step", "whole"), [("5m", ""), ("1h", ""), ("1h", "1d")])
@pytest.mark.parametrize("percentile", [0.95, 0.99])
def test_the_advisor_asks_for_what_is_recorded(step: str, whole: str, percentile: float) -> None:
    """Every text parses and names recorded series only; a day is asked for where it is kept."""
    asked = list(
        questions(
            EVERY_SIGNAL,
            "dcgm",
            step=step,
            window="24h",
            steps=288,
            percentile=percentile,
            whole=whole,
        )
    )
    assert {question.signal for question in asked} >= {*NOW, *RARE, TOLD, "utilization_max"}
    for question in asked:
        promql_parser.parse(question.promql)
        assert set(RECORDED.findall(question.promql)) <= recorded()
    days = {question.signal for question in asked if "1d{" in question.promql}
    assert ("utilization_broken" in days) == bool(whole)
    assert ("utilization_high" in days) == (bool(whole) and percentile == 0.95)


def test_every_day_that_is_kept_is_asked_for() -> None:
    """A series for each GPU is dear: none is recorded that nothing reads."""
    asked = [
        question
        for signals in (EVERY_SIGNAL, frozenset({"present"}))
        for question in questions(
            signals, "dcgm", step="1h", window="24h", steps=288, percentile=0.95, whole="1d"
        )
    ]
    read = {name for question in asked for name in RECORDED.findall(question.promql)}
    assert {name for name in recorded() if name.endswith("1d")} <= read


def test_every_family_is_documented() -> None:
    """alerts/README.md names each, without its step."""
    told = (ALERTS / "README.md").read_text()
    families = {re.sub(r"(5m|1h|23h|1d)$", "", name) for name in recorded()}
    families = {re.sub(r"^agentaflow:(gpu|node)_", "", name) for name in families}
    missing = {name for name in families if f"`{name}`" not in told}
    assert missing == set()
