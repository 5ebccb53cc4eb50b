"""The published JSON Schema: what is printed fits it, and nothing else does."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from agentaflow_advisor.documents import advice_document
from agentaflow_advisor.model import PlacePod, Refusal
from agentaflow_advisor.render import to_json
from agentaflow_advisor.schema import advice_schema
from tests.support.advice import advice, recommendation
from tests.support.cli import Cli
from tests.support.fake_prometheus import Card, fake_prometheus

PUBLISHED = Path(__file__).parents[2] / "docs" / "recommendation.schema.json"
SCHEMA = json.loads(PUBLISHED.read_text())
CHECK = Draft202012Validator(SCHEMA, format_checker=FormatChecker())
ACTION = PlacePod(
    namespace="ml",
    name="train",
    uid="u",
    resource_version="1",
    gate="gate",
    node="node-0",
    hostname="node-0",
    spec_hash="hash",
)


@pytest.fixture
def document(cli: Cli) -> Any:
    """What the command prints about a priced and an unpriced idle GPU."""
    cards = (
        Card("node-0", 0, pod="research/notebook"),
        Card("node-1", 0, model="NVIDIA GeForce RTX 4090"),
    )
    with fake_prometheus(*cards) as prometheus:
        return cli("recommend", "-o", "json", "--prometheus-url", prometheus.url).json


def objects(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every object in a document, but for those with free keys."""
    if isinstance(value, dict):
        if path[-1:] != ("inputs",):
            yield path
        for key, item in value.items():
            yield from objects(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from objects(item, (*path, index))


def at(value: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        value = value[step]
    return value


def test_the_schema_is_published_and_sound(cli: Cli) -> None:
    """`python -m agentaflow_advisor.schema > docs/recommendation.schema.json` brings it up."""
    Draft202012Validator.check_schema(SCHEMA)
    assert advice_schema() == SCHEMA
    assert cli("schema").json == SCHEMA


def test_what_the_command_prints_fits(document: Any) -> None:
    """With a price and without."""
    assert [error.message for error in CHECK.iter_errors(document)] == []
    assert {each["saves"] is None for each in document["recommendations"]} == {True, False}


def test_an_action_a_stale_sample_and_no_finding_fit() -> None:
    """The corners that the command seldom shows."""
    acting = recommendation(action=ACTION)
    stale = recommendation("two", None)
    object.__setattr__(stale.evidence, "newest_age_seconds", float("inf"))
    for found in ([], [acting, stale]):
        told = advice_document(advice(found, [Refusal("a", "b")]), "old prices")
        assert [error.message for error in CHECK.iter_errors(json.loads(to_json(told)))] == []


def test_a_field_that_the_schema_lacks_or_the_document_lacks_is_refused(document: Any) -> None:
    """In every object of the document, so that neither can change alone."""
    paths = list(objects(document))
    assert len(paths) > 20
    for path in paths:
        more, less = copy.deepcopy(document), copy.deepcopy(document)
        at(more, path)["surprise"] = 1
        assert not CHECK.is_valid(more), path
        for key in list(at(document, path)):
            less = copy.deepcopy(document)
            del at(less, path)[key]
            assert not CHECK.is_valid(less), (*path, key)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("schema_version",), 2),
        (("recommendations", 0, "confidence"), 1.5),
        (("recommendations", 0, "enforceable"), "perhaps"),
        (("recommendations", 0, "saves", "per_month", "amount"), 3759.01),
        (("recommendations", 0, "history", "times_seen"), 0),
        (("evidence", "taken_at"), 1_800_000_000),
    ],
)
def test_a_value_of_another_kind_is_refused(
    document: Any, path: tuple[Any, ...], value: object
) -> None:
    """Money is a string, times are ISO 8601, ratios end at 1."""
    changed = copy.deepcopy(document)
    at(changed, path[:-1])[path[-1]] = value
    assert not CHECK.is_valid(changed)
