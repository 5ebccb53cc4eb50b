"""docs/analyses.md tells every sign, its points and its remedy, as the code has them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agentaflow_advisor.analyze import (
    capacity,
    defragmentation,
    fragmentation,
    health,
    idle,
    rightsizing,
    sharing,
    stranded,
    throttling,
    zombies,
)
from agentaflow_advisor.analyze.activity import KIND
from agentaflow_advisor.analyze.signs import ACTIONS, XIDS

PAGE = (Path(__file__).parents[3] / "docs" / "analyses.md").read_text()
ROWS = [
    [cell.strip() for cell in line.split("|")[1:-1]] for line in PAGE.splitlines() if "|" in line
]


@pytest.mark.parametrize("code", sorted(XIDS))
def test_every_xid_has_its_row(code: str) -> None:
    """With the points and the remedy that it has."""
    points, remedy, _ = XIDS[code]
    rows = [row for row in ROWS if "Xid" in row[0] and code in re.findall(r"\d+", row[0])]
    assert [(row[1], row[2]) for row in rows] == [(str(points), remedy)]


@pytest.mark.parametrize("action", sorted(ACTIONS))
def test_every_recovery_action_has_its_row(action: int) -> None:
    """The same."""
    points, remedy, _ = ACTIONS[action]
    rows = [row for row in ROWS if row[0].startswith("recovery action")]
    found = [row for row in rows if str(action) in re.findall(r"\d+", row[0])]
    assert [(row[1], row[2]) for row in found] == [(str(points), remedy)]


def test_every_kind_is_named() -> None:
    """A recommendation's kind can be looked up."""
    kinds = {*idle.KINDS.values(), *health.KINDS.values(), *throttling.KINDS.values(), KIND}
    kinds |= {rightsizing.SMALLER, rightsizing.SLICE, sharing.KIND, stranded.KIND}
    kinds |= {
        fragmentation.KIND,
        defragmentation.KIND,
        zombies.PROCESS,
        zombies.ENDED,
        capacity.KIND,
    }
    assert all(f"`{kind}`" in PAGE for kind in kinds)
