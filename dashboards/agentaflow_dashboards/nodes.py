"""Panels whose lines and rows are nodes, GPUs or pods, and lead to the boards about them.

Where a link leads follows from its row or line alone, its cluster too: two clusters may have nodes
of one name.
"""

from __future__ import annotations

from typing import Any

from agentaflow_dashboards.frame import link
from agentaflow_dashboards.modern import Viz, override, query, timeseries
from agentaflow_dashboards.names import OURS, Names

OF_LINE = "${__field.labels.%s}"
OF_ROW = "${__data.fields.%s}"
SELF = "${__value.text}"


def by_node(title: str, description: str, expr: str, *, names: Names = OURS, **more: Any) -> Viz:
    """A line for each node; give a query that bounds how many there are."""
    more["defaults"] = {"links": [line_to_node(names)], **more.get("defaults", {})}
    return timeseries(title, description, query(expr, names.label_of_node), **more)


def by_gpu(title: str, description: str, expr: str, *, names: Names = OURS, **more: Any) -> Viz:
    """A line for each GPU of the chosen node."""
    more["defaults"] = {"links": [line_to_gpu(names)], **more.get("defaults", {})}
    return timeseries(title, description, query(expr, "GPU {{gpu}}"), **more)


def line_to_cluster() -> dict[str, str]:
    return link("This cluster", OURS.board("cluster"), cluster=OF_LINE % "cluster")


def line_to_node(names: Names = OURS) -> dict[str, str]:
    node = OF_LINE % names.node
    return link(f"Node {node}", names.board("node"), cluster=OF_LINE % "cluster", node=node)


def line_to_gpu(names: Names = OURS) -> dict[str, str]:
    """For a line whose series has the labels cluster, node and gpu."""
    place = {"cluster": OF_LINE % "cluster", "node": OF_LINE % names.node, "gpu": OF_LINE % "gpu"}
    return link("This GPU", names.board("gpu"), **place)


def line_to_pod() -> dict[str, str]:
    place = {name: OF_LINE % name for name in ("cluster", "namespace", "pod")}
    return link("This pod", "agentaflow-workload", **place)


def link_to_cluster() -> dict[str, Any]:
    """The override that makes a link of a table's column Cluster."""
    return override(
        "Cluster", {"links": [link("This cluster", OURS.board("cluster"), cluster=SELF)]}
    )


def link_to_node(names: Names = OURS) -> dict[str, Any]:
    """The override that makes a link of a table's column Node; the row has a column Cluster."""
    there = link(f"Node {SELF}", names.board("node"), cluster=OF_ROW % "Cluster", node=SELF)
    return override("Node", {"links": [there]})


def link_to_gpu(names: Names = OURS) -> dict[str, Any]:
    """The same of a column GPU; the row has the columns Cluster and Node."""
    place = {"cluster": OF_ROW % "Cluster", "node": OF_ROW % "Node", "gpu": SELF}
    return override("GPU", {"links": [link("This GPU", names.board("gpu"), **place)]})


def link_to_namespace() -> dict[str, Any]:
    """The same of a column Namespace; the row has a column Cluster."""
    place = {"cluster": OF_ROW % "Cluster", "namespace": SELF}
    return override("Namespace", {"links": [link("Its pods", "agentaflow-workload", **place)]})


def link_to_pod() -> dict[str, Any]:
    """The same of a column Pod; the row has the columns Cluster and Namespace."""
    place = {"cluster": OF_ROW % "Cluster", "namespace": OF_ROW % "Namespace", "pod": SELF}
    return override("Pod", {"links": [link("This pod", "agentaflow-workload", **place)]})
