"""Each queue policy and each measure has its line in the docs."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from agentaflow_advisor.place.measures import Measures
from agentaflow_advisor.place.policies import POLICIES

PAGE = (Path(__file__).parents[3] / "docs" / "simulation.md").read_text()


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_every_queue_policy_is_documented(name: str) -> None:
    """docs/simulation.md has a row for it, and its file says the same name."""
    assert f"\n| `{name}`" in PAGE
    assert POLICIES[name]([], 1.0).name == name


@pytest.mark.parametrize("name", [field.name for field in fields(Measures)])
def test_every_measure_is_documented(name: str) -> None:
    """By its name in the JSON, where the percentiles are told by one of them."""
    told = name.replace("waited_", "…").replace("_seconds", "…") if "waited" in name else name
    assert f"`{name}`" in PAGE or f"`{told}`" in PAGE
