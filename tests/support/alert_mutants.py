"""Alerts changed in small ways, many beside each other in one run of promtool's tests.

A mutant is a rule with one thing changed: a label matcher gone, a comparison that includes its
bound or does not, a window or a wait of half or twice its length, no rounding. All mutants of an
alert are evaluated over the same series under names of their own; those for which no check of
the alert's tests fails are what the tests do not hold.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

MATCHER = re.compile(r'(?P<before>,\s*)?(?P<matcher>\w+(?:=~|!~|!=|=)"[^"]*")(?P<after>,\s*)?')
COMPARISON = re.compile(r"(?<=\s)(>=|<=|==|!=|>|<)(?=\s)")
OTHER = {">": ">=", ">=": ">", "<": "<=", "<=": "<", "==": "!=", "!=": "=="}
WINDOW = re.compile(r"(?<=\[)\d+[mhd]|(?<=offset )\d+[mhd]")
MINUTES = {"m": 1, "h": 60, "d": 1440}
WAITS = ("for", "keep_firing_for")

Rule = Mapping[str, Any]


def mutants(rule: Rule) -> Mapping[str, Rule]:
    """Each by what was changed, a number at its end where the same change is made twice."""
    made: dict[str, Rule] = {}
    for change, mutant in [*_of_the_expression(rule), *_of_the_waits(rule)]:
        again = sum(each.partition(" #")[0] == change for each in made)
        made[f"{change} #{again + 1}" if again else change] = mutant
    return made


def survivors(promtool: Path, alerts: Path, rule: Rule, folder: Path) -> set[str]:
    """The changes of an alert that all its tests let pass, reckoned in a folder of one's own."""
    name, left = rule["alert"], dict(mutants(rule))
    tests = yaml.safe_load((alerts / "tests" / f"{name}.yaml").read_text())
    while left:
        by_alias = {f"{name}Mutant{number}": change for number, change in enumerate(left)}
        rules = [{**left[change], "alert": alias} for alias, change in by_alias.items()]
        _write(folder / "rules.yaml", {"groups": [{"name": "mutants", "rules": rules}]})
        _write(folder / "tests.yaml", _renamed(tests, name, by_alias))
        noticed = {by_alias[alias] for alias in _failed(promtool, folder / "tests.yaml")}
        if not noticed:
            break
        left = {change: mutant for change, mutant in left.items() if change not in noticed}
    return set(left)


def _of_the_expression(rule: Rule) -> Iterator[tuple[str, Rule]]:
    expr = rule["expr"]
    for found in MATCHER.finditer(expr):
        kept = ", " if found["before"] and found["after"] else ""
        yield f"without {found['matcher']}", _with(rule, found.span(), kept)
    for found in COMPARISON.finditer(expr):
        yield f"{OTHER[found[0]]} for {found[0]}", _with(rule, found.span(), OTHER[found[0]])
    for found in WINDOW.finditer(expr):
        for length in (_minutes(found[0]) // 2, _minutes(found[0]) * 2):
            yield f"{length}m for {found[0]}", _with(rule, found.span(), f"{length}m")
    for found in re.finditer(r"\bround(?=\()", expr):
        yield "without round", _with(rule, found.span(), "")


def _of_the_waits(rule: Rule) -> Iterator[tuple[str, Rule]]:
    for key in WAITS:
        minutes = _minutes(rule.get(key, "0m"))
        for other in (0, minutes * 2) if minutes else (1,):
            yield f"{key}: {other}m", {**rule, key: f"{other}m"}


def _with(rule: Rule, span: tuple[int, int], text: str) -> Rule:
    expr = rule["expr"]
    return {**rule, "expr": expr[: span[0]] + text + expr[span[1] :]}


def _minutes(duration: str) -> int:
    return int(duration[:-1]) * MINUTES[duration[-1]]


def _renamed(tests: Mapping[str, Any], name: str, aliases: Collection[str]) -> Mapping[str, Any]:
    """The alert's tests, each check made of every mutant."""
    cases = [
        {
            **test,
            "alert_rule_test": [
                {**check, "alertname": alias}
                for check in test["alert_rule_test"]
                if check["alertname"] == name
                for alias in aliases
            ],
        }
        for test in tests["tests"]
    ]
    return {**tests, "rule_files": ["rules.yaml"], "tests": cases}


def _failed(promtool: Path, tests: Path) -> set[str]:
    command: list[str | Path] = [promtool, "test", "rules", tests]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300)
    said = ended.stdout + ended.stderr
    if ended.returncode and "FAILED" not in said:
        raise RuntimeError(f"promtool: {said[-2000:]}")
    return set(re.findall(r"^\s*(?:alertname|rule): (\w+),", said, re.MULTILINE))


def _write(path: Path, made: Mapping[str, Any]) -> None:
    path.write_text(yaml.safe_dump(made, sort_keys=False, width=1000))
