"""Panels by node, whose lines and rows lead to the same board with that node alone."""

from __future__ import annotations

from typing import Any

from agentaflow_dashboards.modern import Viz, override, query, timeseries


def by_node(uid: str, title: str, description: str, expr: str, **more: Any) -> Viz:
    """A line for each node."""
    more["defaults"] = {
        "links": [_only_node(uid, "${__field.labels.node}")],
        **more.get("defaults", {}),
    }
    return timeseries(title, description, query(expr, "{{node}}"), **more)


def link_to_node(uid: str) -> dict[str, Any]:
    """The override that makes a link of a table's column Node."""
    return override("Node", {"links": [_only_node(uid, "${__value.text}")]})


def _only_node(uid: str, node: str) -> dict[str, str]:
    kept = "${datasource:queryparam}&${cluster:queryparam}&${__url_time_range}"
    return {"title": f"Only {node}", "url": f"/d/{uid}?{kept}&var-node={node}"}
