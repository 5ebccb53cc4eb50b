"""Panels whose lines and rows are nodes or GPUs, and lead to the boards about them."""

from __future__ import annotations

from typing import Any

from agentaflow_dashboards.frame import link
from agentaflow_dashboards.modern import Viz, override, query, timeseries
from agentaflow_dashboards.names import OURS, Names


def by_node(title: str, description: str, expr: str, *, names: Names = OURS, **more: Any) -> Viz:
    """A line for each node; give a query that bounds how many there are."""
    node = f"${{__field.labels.{names.node}}}"
    more["defaults"] = {"links": [_to_node(names, node)], **more.get("defaults", {})}
    return timeseries(title, description, query(expr, names.label_of_node), **more)


def by_gpu(title: str, description: str, expr: str, *, names: Names = OURS, **more: Any) -> Viz:
    """A line for each GPU of the chosen node."""
    gpu = link("This GPU", names.board("gpu"), "cluster", "node", gpu="${__field.labels.gpu}")
    more["defaults"] = {"links": [gpu], **more.get("defaults", {})}
    return timeseries(title, description, query(expr, "GPU {{gpu}}"), **more)


def link_to_node(names: Names = OURS) -> dict[str, Any]:
    """The override that makes a link of a table's column Node."""
    return override("Node", {"links": [_to_node(names, "${__value.text}")]})


def link_to_gpu(names: Names = OURS) -> dict[str, Any]:
    """The override that makes a link of a table's column GPU; the row has a column Node."""
    there = link(
        "This GPU",
        names.board("gpu"),
        cluster="${__data.fields.Cluster}",
        node="${__data.fields.Node}",
        gpu="${__value.text}",
    )
    return override("GPU", {"links": [there]})


def link_to_namespace() -> dict[str, Any]:
    there = link("Its pods", "agentaflow-workload", "cluster", namespace="${__value.text}")
    return override("Namespace", {"links": [there]})


def _to_node(names: Names, node: str) -> dict[str, str]:
    return link(f"Node {node}", names.board("node"), "cluster", node=node)
