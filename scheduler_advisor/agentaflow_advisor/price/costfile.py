"""The cost file: your terms as YAML, refused in one line with the place of what is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from agentaflow_advisor.price.tablefile import PriceTableError
from agentaflow_advisor.price.terms import Terms

_TERMS = TypeAdapter(Terms)


class CostFileError(PriceTableError):
    """The cost file cannot be used. `str()` is one line: file:line:column, what, what to do."""


def load(path: Path) -> Terms:
    """The terms in that file. Raises CostFileError."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        said = " ".join(str(error).split())
        raise CostFileError(
            f"{path}: cannot read the cost file ({said}): give a readable YAML file"
        ) from error
    return parse(path, text)


def parse(path: Path, text: str) -> Terms:
    """The terms in that text; `path` is for messages. Raises CostFileError."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        content = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        said = " ".join(str(error).split())
        raise CostFileError(f"{path}: is not YAML ({said}): correct it") from error
    if content is None:
        return Terms()
    if not isinstance(content, dict):
        raise CostFileError(f"{path}:1:1: has to be a mapping, such as: currency: EUR")
    try:
        return _TERMS.validate_python(content)
    except ValidationError as error:
        raise CostFileError(_first_problem(path, root, error)) from error


def _first_problem(path: Path, root: yaml.Node | None, error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_context=False)[0]
    place = [str(part) for part in problem["loc"]]
    mark = _mark(root, place)
    said = problem["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if problem["type"] == "unexpected_keyword_argument":
        said = "is not known; docs/cost.md has what there is"
    value = problem["input"]
    shown = f", not {value!r}" if isinstance(value, (str, int, float)) else ""
    where = ".".join(place) or "cost file"
    return f"{path}:{mark}: {where} {said[:1].lower()}{said[1:]}{shown}: correct or remove it"


def _mark(root: yaml.Node | None, place: Sequence[str]) -> str:
    """line:column of that part of the document, or of the nearest thing around it."""
    node: Any = root
    for part in place:
        inner = _inside(node, part)
        if inner is None:
            break
        node = inner
    return f"{node.start_mark.line + 1}:{node.start_mark.column + 1}" if node else "1:1"


def _inside(node: Any, part: str) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == part), None)
    if isinstance(node, yaml.SequenceNode) and part.isdigit() and int(part) < len(node.value):
        found: yaml.Node = node.value[int(part)]
        return found
    return None
