"""A thin layer over grafanalib, so that its boards come out in the form Grafana writes today.

grafanalib 0.7.1 writes schema version 12: null keys, panel layouts of Grafana 6 and thresholds
whose base step is the string "null", which colours every value with the base colour. Here panels
carry `options` and `fieldConfig` as they are now, and the keys that have left the schema go.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import attr
from grafanalib import core as G  # noqa: N812 - the name its own examples use
from grafanalib._gen import DashboardEncoder

SCHEMA_VERSION = 42
GRID_WIDTH = 24
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}

_LEFT_THE_SCHEMA = {
    "dashboard": {"__inputs", "gnetId", "hideControls", "rows", "sharedCrosshair", "style"},
    "panel": {"cacheTimeout", "editable", "error", "height", "minSpan", "span"},
    "target": {"intervalFactor", "metric", "query", "step", "target"},
    "variable": {"auto", "auto_count", "auto_min", "tagsQuery", "tagValuesQuery", "useTags"},
}
_OF_A_ROW = {"collapsed", "gridPos", "id", "panels", "title", "type"}

NOT_MEASURED = "not measured"
MISSING = {
    "type": "special",
    "options": {"match": "null+nan", "result": {"text": NOT_MEASURED, "color": "text"}},
}
"""Without it, what is missing has the colour of the first step: mostly a healthy green."""

Step = tuple[str, float | None]
"""A colour, and the value from which it holds; None for the first, which holds from -infinity."""


@attr.s
class Viz(G.Panel):  # type: ignore[misc]  # grafanalib carries no types
    """A panel of any kind. `steps` are its thresholds, `size` is (width, height) on the grid."""

    kind: str = attr.ib(default="timeseries")
    unit: str = attr.ib(default="none")
    size: tuple[int, int] = attr.ib(default=(12, 8))
    options: dict[str, Any] = attr.ib(factory=dict)
    custom: dict[str, Any] = attr.ib(factory=dict)
    defaults: dict[str, Any] = attr.ib(factory=dict)
    overrides: list[dict[str, Any]] = attr.ib(factory=list)
    steps: Sequence[Step] = attr.ib(default=(("text", None),))

    def to_json_data(self) -> dict[str, Any]:
        defaults = {"unit": self.unit, "custom": self.custom, **self.defaults}
        panel: dict[str, Any] = self.panel_json(
            {
                "type": self.kind,
                "options": self.options,
                "fieldConfig": {"defaults": defaults, "overrides": self.overrides},
            }
        )
        panel["fieldConfig"]["defaults"]["thresholds"] = {
            "mode": "absolute",
            "steps": [{"color": color, "value": value} for color, value in self.steps],
        }
        return panel


@dataclass(frozen=True, slots=True)
class Row:
    """A titled row; its panels flow from left to right and wrap at the grid's width."""

    title: str
    panels: tuple[Viz, ...]


def query(expr: str, legend: str = "", *, ref: str = "A", now: bool = False) -> G.Target:
    """A PromQL target; `now` asks for one value at the end of the range instead of a series."""
    return G.Target(expr=expr, legendFormat=legend, refId=ref, instant=now, datasource=DATASOURCE)


def stat(title: str, description: str, *targets: G.Target, named: bool = False, **more: Any) -> Viz:
    """Numbers of now in large type; `named` ones with their legends, as several always are.

    A query that is not of now leaves a faint curve behind its newest number.
    """
    options = {
        "colorMode": "value",
        "graphMode": "none" if all(target.instant for target in targets) else "area",
        "justifyMode": "center",
        "orientation": "auto",
        "percentChangeColorMode": "standard",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "showPercentChange": False,
        "textMode": "value_and_name" if named or len(targets) > 1 else "auto",
        "wideLayout": not named,  # the name above the number
    }
    more["defaults"] = {"mappings": [MISSING], **more.get("defaults", {})}
    return viz("stat", title, description, targets, options=options, **{"size": (4, 4), **more})


def timeseries(title: str, description: str, *targets: G.Target, **more: Any) -> Viz:
    """Lines over time, with a table of the last value and the maximum; steps are drawn as lines."""
    options = {
        "legend": {
            "calcs": ["lastNotNull", "max"],
            "displayMode": "table",
            "placement": "right" if more.get("size", (12, 8))[0] >= 12 else "bottom",
            "showLegend": True,
            "sortBy": "Last *",
            "sortDesc": True,
        },
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    custom = {
        "drawStyle": "line",
        "fillOpacity": 0,
        "lineWidth": 1,
        "showPoints": "auto",
        "spanNulls": False,
        "thresholdsStyle": {"mode": "dashed" if len(more.get("steps", ())) > 1 else "off"},
        **more.pop("custom", {}),
    }
    more["defaults"] = {"color": {"mode": "palette-classic"}, **more.get("defaults", {})}
    return viz("timeseries", title, description, targets, options=options, custom=custom, **more)


def table(
    title: str,
    description: str,
    expr: str,
    value: str,
    names: Mapping[str, str],
    *,
    unit: str = "none",
    ascending: bool = False,
    **more: Any,
) -> Viz:
    """An instant query as columns: the labels in `names` (label to heading), then the `value`.

    The unit is the value column's alone: on the others it would turn GPU 1 into "1 B". So are the
    colours of the steps.
    """
    target = attr.evolve(query(expr, now=True), format=G.TABLE_TARGET_FORMAT)
    organize = {
        "excludeByName": {"Time": True, "uuid": "uuid" not in names},
        "indexByName": {name: index for index, name in enumerate([*names, "Value"])},
        "renameByName": {**names, "Value": value},
    }
    of_value: dict[str, Any] = {"unit": unit}
    if len(more.get("steps", ())) > 1:
        of_value["custom.cellOptions"] = {"type": "color-text"}
    more["overrides"] = [override(value, of_value), *more.get("overrides", ())]
    return viz(
        "table",
        title,
        description,
        [target],
        options={
            "cellHeight": "sm",
            "showHeader": True,
            "sortBy": [{"desc": not ascending, "displayName": value}],
        },
        custom={"minWidth": 50},
        transformations=[
            {"id": "organize", "options": organize},
            sorted_by(value, descending=not ascending),
        ],
        **more,
    )


def sorted_by(column: str, *, descending: bool = True) -> dict[str, Any]:
    """The transformation that puts the rows of a table in order."""
    return {
        "id": "sortBy",
        "options": {"fields": {}, "sort": [{"field": column, "desc": descending}]},
    }


def override(column: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    """What holds for one column of a table only."""
    return {
        "matcher": {"id": "byName", "options": column},
        "properties": [{"id": name, "value": value} for name, value in properties.items()],
    }


def coloured(series: str, colour: str, *, dashed: bool = False) -> dict[str, Any]:
    """What gives one line its colour, whatever lines are beside it; limits are dashed."""
    properties: dict[str, Any] = {"color": {"mode": "fixed", "fixedColor": colour}}
    if dashed:
        properties["custom.lineStyle"] = {"fill": "dash", "dash": [8, 6]}
    return override(series, properties)


def viz(kind: str, title: str, text: str, targets: Sequence[G.Target], **more: Any) -> Viz:
    """A panel of that kind over the chosen data source."""
    more |= {"title": title, "description": text, "targets": list(targets)}
    if kind != "table":  # there it would stand in every empty cell
        more["defaults"] = {"noValue": NOT_MEASURED, **more.get("defaults", {})}
    more = {"dataSource": DATASOURCE, "maxDataPoints": None, **more}
    return Viz(kind=kind, **more)


def datasource_variable() -> G.Template:
    return G.Template(name="datasource", label="Data source", type="datasource", query="prometheus")


def label_variable(
    name: str, label: str, series: str, *, value: str = "", one: bool = False
) -> G.Template:
    """The values of a label. "All" is `.*`, so that series without the label count too.

    value: the label, where it is not called as the variable. one: only one can be chosen.
    """
    text = f"label_values({series}, {value or name})"
    return G.Template(
        name=name,
        label=label,
        query={"qryType": 1, "query": text, "refId": "PrometheusVariableQueryEditor-VariableQuery"},
        dataSource=DATASOURCE,
        multi=not one,
        includeAll=not one,
        allValue=None if one else ".*",
        refresh=G.REFRESH_ON_TIME_RANGE_CHANGE,
    )


def board(rows: Sequence[Row], **more: Any) -> dict[str, Any]:
    """A board as JSON data; `more` are grafanalib.core.Dashboard's own parameters."""
    dashboard = G.Dashboard(panels=_laid_out(rows), **{"timezone": "browser", **more})
    data = json.loads(json.dumps(dashboard.to_json_data(), cls=DashboardEncoder))
    data = _without(data, "dashboard")
    data["schemaVersion"] = SCHEMA_VERSION
    data["timepicker"] = {}
    data["panels"] = [_modern_panel(panel) for panel in data["panels"]]
    variables = data["templating"]["list"]
    data["templating"]["list"] = [_modern_variable(variable) for variable in variables]
    pruned: dict[str, Any] = _pruned(data)
    return pruned


def _laid_out(rows: Sequence[Row]) -> list[G.Panel]:
    """Every panel with its place and its id."""
    placed: list[G.Panel] = []
    top = 0
    for row in rows:
        placed.append(G.RowPanel(title=row.title, gridPos=G.GridPos(1, GRID_WIDTH, 0, top)))
        top, left, tallest = top + 1, 0, 0
        for panel in row.panels:
            width, height = panel.size
            if left + width > GRID_WIDTH:
                top, left, tallest = top + tallest, 0, 0
            place = {"gridPos": G.GridPos(height, width, left, top)}
            placed.append(attr.evolve(panel, **place))
            left, tallest = left + width, max(tallest, height)
        top += tallest
    return [attr.evolve(panel, id=number) for number, panel in enumerate(placed, start=1)]


def _modern_panel(panel: dict[str, Any]) -> dict[str, Any]:
    if panel["type"] == "row":
        return {key: value for key, value in panel.items() if key in _OF_A_ROW}
    panel = _without(panel, "panel")
    panel["targets"] = [_modern_target(target) for target in panel["targets"]]
    return panel


def _modern_target(target: dict[str, Any]) -> dict[str, Any]:
    target = _without(target, "target")
    target["range"] = not target["instant"]
    return target


def _modern_variable(variable: dict[str, Any]) -> dict[str, Any]:
    variable = _without(variable, "variable")
    everything = {"text": ["All"], "value": ["$__all"]}
    variable["current"] = everything if variable["includeAll"] else {}
    if variable["type"] == "textbox":
        variable["current"] = {"text": variable["query"], "value": variable["query"]}
    if isinstance(variable["query"], dict):
        variable["definition"] = variable["query"]["query"]
    return variable


def _without(node: dict[str, Any], kind: str) -> dict[str, Any]:
    return {key: value for key, value in node.items() if key not in _LEFT_THE_SCHEMA[kind]}


def _pruned(node: Any) -> Any:
    """Without nulls, save a threshold's first `value` and the board's `id`: they mean something."""
    if isinstance(node, dict):
        return {k: _pruned(v) for k, v in node.items() if v is not None or k in ("value", "id")}
    if isinstance(node, list):
        return [_pruned(item) for item in node]
    return node
