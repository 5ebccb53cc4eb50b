"""Kinds of panels beside stat, lines and table: states over time, heat maps, tiles, wide tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import attr
from grafanalib import core as G  # noqa: N812

from agentaflow_dashboards.modern import Step, Viz, override, query, sorted_by, viz

NOT_MEASURED = "not measured"


def states(title: str, description: str, *targets: G.Target, **more: Any) -> Viz:
    """A bar for each series, coloured by its state over time; `mappings` name the states."""
    mappings = more.pop("mappings", ())
    more["defaults"] = {
        "mappings": [_mapping(mappings)] if mappings else [],
        "color": {"mode": "thresholds"},
        **more.get("defaults", {}),
    }
    options = {
        "alignValue": "left",
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": False},
        "mergeValues": True,
        "rowHeight": 0.85,
        "showValue": "auto",
        "tooltip": {"mode": "single", "sort": "none"},
    }
    custom = {"fillOpacity": 80, "lineWidth": 0}
    return viz(
        "state-timeline", title, description, targets, options=options, custom=custom, **more
    )


def _mapping(mappings: Sequence[tuple[float, str, str]]) -> dict[str, Any]:
    return {
        "type": "value",
        "options": {
            f"{value:g}": {"text": text, "color": color, "index": index}
            for index, (value, text, color) in enumerate(mappings)
        },
    }


def heatmap(title: str, description: str, target: G.Target, **more: Any) -> Viz:
    """How many there are in each bucket over time; the series' names are the buckets."""
    options = {
        "calculate": False,
        "cellGap": 1,
        "color": {
            "mode": "scheme",
            "scheme": more.pop("scheme", "Turbo"),
            "scale": "exponential",
            "exponent": 0.5,
            "steps": 64,
            "reverse": False,
        },
        "filterValues": {"le": 1e-09},
        "legend": {"show": True},
        "rowsFrame": {"layout": "auto"},
        "showValue": "never",
        "tooltip": {"mode": "single", "yHistogram": True, "showColorScale": True},
        "yAxis": {"axisPlacement": "left", "unit": more.pop("axis", "none"), "reverse": False},
    }
    custom = {"scaleDistribution": {"type": "linear"}}
    return viz("heatmap", title, description, [target], options=options, custom=custom, **more)


def tiles(title: str, description: str, target: G.Target, **more: Any) -> Viz:
    """A coloured tile for each series: the heat of many things at a glance."""
    options = {
        "colorMode": "background_solid",
        "graphMode": "none",
        "justifyMode": "center",
        "orientation": "auto",
        "percentChangeColorMode": "standard",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "showPercentChange": False,
        "textMode": "value_and_name",
        "wideLayout": False,
    }
    more["defaults"] = {"noValue": NOT_MEASURED, **more.get("defaults", {})}
    return viz("stat", title, description, [target], options=options, **more)


def bars(title: str, description: str, target: G.Target, **more: Any) -> Viz:
    """A horizontal bar for each series, with the newest value."""
    options = {
        "displayMode": "basic",
        "maxVizHeight": 28,
        "minVizHeight": 16,
        "minVizWidth": 8,
        "namePlacement": "left",
        "orientation": "horizontal",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "showUnfilled": True,
        "sizing": "auto",
        "valueMode": "color",
        "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": False},
    }
    more["defaults"] = {"noValue": NOT_MEASURED, **more.get("defaults", {})}
    return viz("bargauge", title, description, [target], options=options, **more)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of values: its heading, its query, and how it is shown."""

    title: str
    expr: str
    unit: str = "none"
    steps: Sequence[Step] = ()
    more: Mapping[str, Any] = field(default_factory=dict)


def wide_table(
    title: str,
    description: str,
    labels: Mapping[str, str],
    columns: Sequence[Column],
    **more: Any,
) -> Viz:
    """A row for each set of labels, a column for each query; sorted by the first or `sort_by`.

    `labels` (label to heading) must be all that the queries' answers have in common.
    """
    targets = [
        attr.evolve(query(column.expr, ref=_letter(index), now=True), format=G.TABLE_TARGET_FORMAT)
        for index, column in enumerate(columns)
    ]
    values = {
        "Value" if len(columns) == 1 else f"Value #{_letter(index)}": column.title
        for index, column in enumerate(columns)
    }
    organize = {
        "excludeByName": {"Time": True, **more.pop("hidden", {})},
        "indexByName": {name: index for index, name in enumerate([*labels, *values])},
        "renameByName": {**labels, **values},
    }
    sort_by = more.pop("sort_by", columns[0].title)
    transformations = [
        {"id": "merge", "options": {}},
        {"id": "organize", "options": organize},
        sorted_by(sort_by),
    ]
    more["overrides"] = [*map(_of_column, columns), *more.get("overrides", ())]
    return viz(
        "table",
        title,
        description,
        targets,
        options={
            "cellHeight": "sm",
            "showHeader": True,
            "sortBy": [{"desc": True, "displayName": sort_by}],
        },
        custom={"minWidth": 50},
        transformations=transformations,
        **{"size": (24, 8), **more},
    )


def _of_column(column: Column) -> dict[str, Any]:
    properties: dict[str, Any] = {"unit": column.unit, **column.more}
    if column.steps:
        properties["custom.cellOptions"] = {"type": "color-text"}
        properties["thresholds"] = {
            "mode": "absolute",
            "steps": [{"color": color, "value": value} for color, value in column.steps],
        }
    return override(column.title, properties)


def _letter(index: int) -> str:
    return chr(ord("A") + index)
