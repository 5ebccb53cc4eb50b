"""One file of thresholds: what is kept is what it makes; a user's own, and how it may be wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tools.alert_rules import ALERTS, PLACEHOLDER, main, operator_rules, rules, thresholds, values

WRONG = [
    ("gpu_hot_margin: 4", "did you mean gpu_hot_margin_celsius?"),
    ("nothing_like_it: 4", "alerts/values.yaml has those there are"),
    ("capacity_days: soon", "'soon' is not a number; give one from 0.5 to 30"),
    ("capacity_days: true", "True is not a number"),
    ("capacity_days: 31", "31 days is out of bounds; give one from 0.5 to 30"),
    ("capacity_days: .nan", "nan days is out of bounds"),
    ("capacity_days", "write lines of the form `name: number`"),
    ("capacity_days: [", "not YAML"),
]


def test_what_is_kept_is_what_is_made() -> None:
    """`make generate` would change nothing."""
    made = values()
    for name, text in rules(made).items():
        assert (ALERTS / "rules" / name).read_text() == text
    kept = {path.name: path.read_text() for path in (ALERTS / "prometheusrule").iterdir()}
    assert kept == operator_rules(made)


def test_the_operator_gets_the_same_rules() -> None:
    """A PrometheusRule holds the groups of the plain file."""
    for name, text in operator_rules(values()).items():
        made = yaml.safe_load(text)
        assert (made["apiVersion"], made["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")
        assert made["metadata"]["name"] == name.removesuffix(".yaml")
        assert made["spec"] == yaml.safe_load((ALERTS / "rules" / name).read_text())


def test_a_threshold_is_explained_bounded_and_used() -> None:
    """Each has a unit and a sentence, a default within its bounds, and a place in a rule."""
    used = {
        name
        for path in (ALERTS / "templates").glob("*.yaml")
        for name in PLACEHOLDER.findall(path.read_text())
    }
    assert used == set(thresholds())
    for each in thresholds().values():
        assert each.minimum <= each.value <= each.maximum
        assert each.unit
        assert re.fullmatch(r"[A-Z].+\.", each.meaning)


def test_a_users_own_number_is_in_both_kinds_of_rules(tmp_path: Path) -> None:
    """Expression and text have it; all else is as it was."""
    own = tmp_path / "mine.yaml"
    own.write_text("gpu_shutdown_margin_celsius: 4.5\n")
    plain, operator = tmp_path / "rules", tmp_path / "operator"
    folders = [f"--rules={plain}", f"--prometheusrule={operator}"]
    assert main([f"--values={own}", *folders]) == 0
    for folder, kept in ((plain, "rules"), (operator, "prometheusrule")):
        text = (folder / "agentaflow-thermal.yaml").read_text()
        assert "- 4.5)" in text
        assert "4.5 °C" in text
        other = "agentaflow-links.yaml"
        assert (folder / other).read_text() == (ALERTS / kept / other).read_text()


@pytest.mark.parametrize(("text", "says"), WRONG)
def test_a_wrong_file_is_refused_in_one_line(
    text: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It names file and threshold, says what to do, and writes nothing."""
    own = tmp_path / "mine.yaml"
    own.write_text(text)
    rules_, operator = tmp_path / "rules", tmp_path / "operator"
    assert main([f"--values={own}", f"--rules={rules_}", f"--prometheusrule={operator}"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"alert rules: {own}: ")
    assert says in said
    assert said.count("\n") == 1
    assert not rules_.exists()


def test_a_file_that_is_not_there_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, no traceback."""
    assert main([f"--values={tmp_path / 'none.yaml'}", f"--rules={tmp_path}"]) == 2
    assert "cannot be read: No such file or directory" in capsys.readouterr().err
