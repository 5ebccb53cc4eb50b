"""The panels, queries and variables of a board's JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    """The panels that show something, so not the rows."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def queries(board: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each target with a name for it: the panel's title and the target's letter."""
    for panel in panels(board):
        for target in panel["targets"]:
            yield f"{panel['title']} {target['refId']}", target


def variables(board: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {variable["name"]: variable for variable in board["templating"]["list"]}
