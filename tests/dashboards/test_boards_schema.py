"""Grafana's own model of a dashboard judges ours, and what the layer adds to grafanalib."""

from __future__ import annotations

import json
import warnings
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins

from agentaflow_dashboards import BOARDS
from agentaflow_dashboards.modern import Row, board, query, stat, timeseries

with warnings.catch_warnings():
    # it recommends the next form of dashboards, which Grafana 12 and older do not read
    warnings.simplefilter("ignore", DeprecationWarning)
    from grafana_foundation_sdk.models.dashboard import Dashboard

register_default_plugins()


@pytest.mark.parametrize("name", BOARDS)
def test_grafanas_model_knows_every_field(name: str) -> None:
    """Read into Grafana's model and written again, nothing is lost and nothing is changed."""
    ours = BOARDS[name]()
    theirs = json.loads(JSONEncoder().encode(Dashboard.from_json(ours)))
    assert _lost(ours, theirs) == []
    assert ours["schemaVersion"] == theirs["schemaVersion"] == 42


def test_the_judge_finds_what_grafana_does_not_know() -> None:
    """A misspelt field is found, so that silence above means something."""
    ours = BOARDS["fleet.json"]()
    ours["panels"][1]["fieldConfig"]["defaults"]["unitt"] = "watt"
    theirs = json.loads(JSONEncoder().encode(Dashboard.from_json(ours)))
    assert _lost(ours, theirs) == [".panels.1.fieldConfig.defaults.unitt"]


def test_panels_flow_and_wrap() -> None:
    """Panels fill 24 columns from the left, then go below the tallest; a title takes a line."""
    small = stat("a", "", query("up"), size=(8, 4))
    tall = stat("b", "", query("up"), size=(12, 9))
    made = board([Row("one", (small, tall, small)), Row("two", (small,))], title="t")
    places = [tuple(panel["gridPos"][key] for key in "xywh") for panel in made["panels"]]
    assert places == [
        (0, 0, 24, 1), (0, 1, 8, 4), (8, 1, 12, 9), (0, 10, 8, 4),
        (0, 14, 24, 1), (0, 15, 8, 4),
    ]  # fmt: skip


def test_a_base_threshold_stays_null() -> None:
    """The base step is a real null: as a string it would give every value the base colour."""
    panel = timeseries("a", "", query("up"), steps=(("green", None), ("red", 1.0)))
    made = board([Row("one", (panel,))], title="t")["panels"][1]
    defaults = made["fieldConfig"]["defaults"]
    assert defaults["thresholds"]["steps"] == [
        {"color": "green", "value": None},
        {"color": "red", "value": 1.0},
    ]
    assert defaults["custom"]["thresholdsStyle"] == {"mode": "dashed"}


def _lost(ours: Any, theirs: Any, path: str = "") -> list[str]:
    """Paths of ours that are absent or different in theirs; Grafana may add defaults."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return [
            lost
            for key, value in ours.items()
            if value is not None
            for lost in _lost(value, theirs.get(key), f"{path}.{key}")
        ]
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        return [
            lost
            for index, pair in enumerate(zip(ours, theirs, strict=True))
            for lost in _lost(*pair, f"{path}.{index}")
        ]
    return [] if ours == theirs else [path]
