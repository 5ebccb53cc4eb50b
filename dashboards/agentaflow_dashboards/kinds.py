"""Kinds of panels beside stat, lines and table: states over time, heat maps, tiles, wide tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import attr
from grafanalib import core as G  # noqa: N812

from agentaflow_dashboards.modern import MISSING, Step, Viz, override, query, sorted_by, viz


def states(title: str, description: str, *targets: G.Target, **more: Any) -> Viz:
    """A bar for each series, coloured by its state over time.

    `mappings` name the states; `others` do so for the series whose names match a pattern.
    """
    more["defaults"] = {
        "mappings": [named_values(more.pop("mappings"))],
        "color": {"mode": "thresholds"},
        **more.get("defaults", {}),
    }
    more["overrides"] = [
        {
            "matcher": {"id": "byRegexp", "options": pattern},
            "properties": [{"id": "mappings", "value": [named_values(states_of_series)]}],
        }
        for pattern, states_of_series in more.pop("others", {}).items()
    ]
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


def named_values(mappings: Sequence[tuple[float, str, str]]) -> dict[str, Any]:
    """The mapping that shows a text and a colour instead of a value."""
    return {
        "type": "value",
        "options": {
            f"{value:g}": {"text": text, "color": color, "index": index}
            for index, (value, text, color) in enumerate(mappings)
        },
    }


def coloured_words(colours: Mapping[str, str]) -> dict[str, Any]:
    """A column whose words have colours."""
    words = {
        word: {"color": colour, "index": index, "text": word}
        for index, (word, colour) in enumerate(colours.items())
    }
    return {
        "custom.cellOptions": {"type": "color-text"},
        "mappings": [{"type": "value", "options": words}],
    }


def heatmap(title: str, description: str, target: G.Target, **more: Any) -> Viz:
    """How many there are in each bucket over time; the series' names, in order, are the buckets."""
    options = {
        "calculate": False,
        "cellGap": 1,
        "color": {
            "mode": "opacity",  # of one colour: how many there are is neither good nor bad
            "fill": "blue",
            "scale": "exponential",
            "exponent": 0.5,
            "steps": 64,
        },
        "filterValues": {"le": 1e-09},
        "legend": {"show": True},
        "rowsFrame": {"layout": "auto"},
        "showValue": "never",
        "tooltip": {"mode": "single", "yHistogram": True, "showColorScale": True},
        "yAxis": {"axisPlacement": "left", "unit": "none", "reverse": False},
    }
    custom = {"scaleDistribution": {"type": "linear"}}
    return viz("heatmap", title, description, [target], options=options, custom=custom, **more)


def all_buckets(counted: str, label: str, buckets: Sequence[str]) -> str:
    """Empty buckets as 0, so that a gap between two bands is seen; nothing where nothing is."""
    zeros = (f'label_replace(vector(0), "{label}", "{bucket}", "", "")' for bucket in buckets)
    return f"({counted} or {' or '.join(zeros)}) and on () sum({counted})"


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
    more["defaults"] = {
        "mappings": [MISSING],
        **more.get("defaults", {}),
    }
    return viz("stat", title, description, [target], options=options, **more)


def bars(title: str, description: str, target: G.Target, **more: Any) -> Viz:
    """A horizontal bar for each series, with the newest value."""
    options = {
        "displayMode": "basic",
        "maxVizHeight": 36,
        "minVizHeight": 16,
        "minVizWidth": 8,
        "namePlacement": more.pop("names", "left"),
        "orientation": "horizontal",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "showUnfilled": True,
        "sizing": "auto",
        "valueMode": "color",
        "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": False},
    }
    more["defaults"] = {
        "mappings": [MISSING],
        **more.get("defaults", {}),
    }
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

    `labels` (label to heading) must be all that the queries' answers have in common. `order` are
    the headings from left to right, where it is not first the labels, then the values.
    """
    targets = [
        attr.evolve(query(column.expr, ref=_letter(index), now=True), format=G.TABLE_TARGET_FORMAT)
        for index, column in enumerate(columns)
    ]
    values = {
        "Value" if len(columns) == 1 else f"Value #{_letter(index)}": column.title
        for index, column in enumerate(columns)
    }
    headings = {**labels, **values}
    order = more.pop("order", list(headings.values()))
    sort_by, descending = more.pop("sort_by", columns[0].title), not more.pop("ascending", False)
    (raw,) = (name for name, heading in headings.items() if heading == sort_by)
    transformations = [
        {"id": "merge", "options": {}},
        sorted_by(raw, descending=descending),  # before a column that is only for that is hidden
        _organized(headings, order, more.pop("hidden", {})),
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
            "sortBy": [{"desc": descending, "displayName": sort_by}],
        },
        custom={"minWidth": 50},
        transformations=transformations,
        **{"size": (24, 8), **more},
    )


def _organized(
    headings: Mapping[str, str], order: Sequence[str], hidden: Mapping[str, bool]
) -> dict[str, Any]:
    options = {
        "excludeByName": {"Time": True, **hidden},
        "indexByName": {name: order.index(heading) for name, heading in headings.items()},
        "renameByName": headings,
    }
    return {"id": "organize", "options": options}


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
