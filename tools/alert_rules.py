"""Alert rules of one file of thresholds, so that nobody edits numbers in forty expressions.

python -m tools.alert_rules [--values FILE] [--rules FOLDER] [--prometheusrule FOLDER]

alerts/templates holds the rules with `<<name>>` for each threshold; alerts/values.yaml says of
each its default, unit, bounds and meaning. FILE holds `name: number` for those that differ.
Written are rules for plain Prometheus and the same as PrometheusRule objects for its operator.
"""

from __future__ import annotations

import argparse
import difflib
import math
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

ALERTS = Path(__file__).parents[1] / "alerts"
PLACEHOLDER = re.compile(r"<<(\w+)>>")
MADE = "# Made by `make generate` of alerts/templates and alerts/values.yaml: change those.\n"
OPERATOR = """\
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: {name}
  labels: {{app.kubernetes.io/part-of: agentaflow}}
spec:
"""


class ValuesError(Exception):
    """A file of thresholds cannot be used; one line that says what, where and what to do."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """A number in the rules, and what it may be."""

    value: float
    unit: str
    minimum: float
    maximum: float
    meaning: str


def thresholds(path: Path = ALERTS / "values.yaml") -> Mapping[str, Threshold]:
    """The defaults, by name."""
    return {name: Threshold(**said) for name, said in yaml.safe_load(path.read_text()).items()}


def values(own: Path | None = None) -> Mapping[str, float]:
    """The number for each name, those of `own` first. Raises ValuesError."""
    known = thresholds()
    numbers = {name: each.value for name, each in known.items()}
    if own:
        for name, number in _read(own).items():
            numbers[name] = _checked(own, name, number, known)
    return numbers


def rules(numbers: Mapping[str, float]) -> Mapping[str, str]:
    """The text of each file of rules for plain Prometheus, by its name."""
    return {
        path.name: MADE + PLACEHOLDER.sub(lambda found: _text(numbers[found[1]]), path.read_text())
        for path in sorted((ALERTS / "templates").glob("*.yaml"))
    }


def operator_rules(numbers: Mapping[str, float]) -> Mapping[str, str]:
    """The same as PrometheusRule objects."""
    made = {}
    for name, text in rules(numbers).items():
        spec = "".join(f"  {line}" if line.strip() else line for line in text.splitlines(True))
        made[name] = OPERATOR.format(name=Path(name).stem) + spec
    return made


def _read(path: Path) -> Mapping[str, object]:
    try:
        said = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ValuesError(f"{path}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValuesError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(said, dict):
        raise ValuesError(f"{path}: no mapping; write lines of the form `name: number`")
    return {str(name): number for name, number in said.items()}


def _checked(path: Path, name: str, number: object, known: Mapping[str, Threshold]) -> float:
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]}?" if near else "alerts/values.yaml has those there are"
        raise ValuesError(f"{path}: {name}: there is no such threshold; {hint}")
    threshold = known[name]
    allowed = f"give one from {_text(threshold.minimum)} to {_text(threshold.maximum)}"
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        raise ValuesError(f"{path}: {name}: {number!r} is not a number; {allowed}")
    if not math.isfinite(number) or not threshold.minimum <= number <= threshold.maximum:
        said = f"{_text(number)} {threshold.unit}"
        raise ValuesError(f"{path}: {name}: {said} is out of bounds; {allowed}")
    return number


def _text(number: float) -> str:
    """As PromQL and people read it; never with an exponent that hides its size."""
    return f"{number:.10f}".rstrip("0").rstrip(".") if math.isfinite(number) else str(number)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.alert_rules")
    parser.add_argument("--values", type=Path, help="`name: number` for each that differs")
    parser.add_argument("--rules", type=Path, default=ALERTS / "rules")
    parser.add_argument("--prometheusrule", type=Path, default=ALERTS / "prometheusrule")
    given = parser.parse_args(arguments)
    try:
        numbers = values(given.values)
        for folder, files in (
            (given.rules, rules(numbers)),
            (given.prometheusrule, operator_rules(numbers)),
        ):
            folder.mkdir(parents=True, exist_ok=True)
            for name, text in files.items():
                (folder / name).write_text(text)
    except ValuesError as error:
        print(f"alert rules: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"alert rules: cannot write {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
