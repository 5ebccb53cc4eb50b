"""The boards before the types of Grafana's own schema, @grafana/schema, compiled by TypeScript."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agentaflow_dashboards import BOARDS
from tests.support.boards import panels
from tests.support.parts import need
from tools.schema_types import compiler, errors

Change = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module", autouse=True)
def types() -> None:
    need("Grafana's libraries", compiler().exists())


def test_a_board_is_of_grafanas_types() -> None:
    """Each option, field setting, override, variable and link is known, and its value one of its
    type.
    """
    assert errors({name.removesuffix(".json"): make() for name, make in BOARDS.items()}) == []


def of_kind(board: dict[str, Any], kind: str) -> dict[str, Any]:
    return next(panel for panel in panels(board) if panel["type"] == kind)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda board: of_kind(board, "stat")["options"].update(colourMode="value"), "colourMode"),
        (lambda board: of_kind(board, "stat")["options"].update(graphMode="aera"), "aera"),
        (
            lambda board: of_kind(board, "timeseries")["fieldConfig"]["defaults"]["custom"].update(
                fillopacity=1
            ),
            "fillopacity",
        ),
        (
            lambda board: of_kind(board, "table")["fieldConfig"]["overrides"][0][
                "properties"
            ].append({"id": "custom.widht", "value": 1}),
            "custom.widht",
        ),
        (lambda board: board["templating"]["list"][0].update(refresh=7), "7"),
        (lambda board: board.update(refreshh="1m"), "refreshh"),
    ],
    ids=["option", "value of an option", "field setting", "override", "variable", "board"],
)
def test_a_wrong_one_is_found(change: Change, says: str) -> None:
    """A misspelt name or a value that there is not, so that silence above means something."""
    board = BOARDS["fleet.json"]()
    change(board)
    found = errors({"fleet": board})
    assert len(found) == 1
    assert found[0].startswith("fleet.board.ts")
    assert says in found[0]
