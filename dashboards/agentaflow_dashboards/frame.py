"""What every board has: its variables, its links to the others, and its annotations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from grafanalib import core as G  # noqa: N812

from agentaflow_dashboards.modern import (
    DATASOURCE,
    Row,
    board,
    datasource_variable,
    label_variable,
)
from agentaflow_dashboards.names import OURS, Names

TAG = "agentaflow"
REPOSITORY = "https://github.com/agentaflow/agentaflow"

FEW_POINTS = 240  # 6 hours in steps of 2 minutes
DAY: Mapping[str, Any] = {
    "since": "now-24h",
    "refresh": "5m",
    "points": 144,
}  # in steps of 10 minutes
NONE_IS_GOOD = (("green", None), ("red", 1.0))
NONE_IS_BEST = (("green", None), ("orange", 1.0))
BUSY_IS_GOOD = (("orange", None), ("yellow", 0.3), ("green", 0.6))
HOT = (("green", None), ("orange", 80.0), ("red", 87.0))
HOT_LINES = (("transparent", None), ("orange", 80.0), ("red", 87.0))
TEMPERATURES = {"axisSoftMin": 30, "axisSoftMax": 95}
"""Room for the limits, and one scale for warm and cool GPUs."""
GPU_COLUMNS = {"cluster": "Cluster", "node": "Node", "gpu": "GPU"}


def framed(
    name: str,
    title: str,
    description: str,
    variables: Sequence[G.Template],
    rows: Sequence[Row],
    *,
    names: Names = OURS,
    since: str = "now-6h",
    refresh: str = "1m",
    points: int | None = FEW_POINTS,
) -> dict[str, Any]:
    """A board of the family; `variables` come after the data source.

    points: how many each line has at most, None for as many as the panel is wide. What a line
    costs grows with them, and with the fleet.
    """
    made = board(
        rows,
        title=f"{names.title} / {title}",
        description=description,
        uid=names.board(name),
        tags=[TAG, "gpu", "nvidia", *([] if names is OURS else ["dcgm"])],
        editable=False,  # an edit would be lost with the next version: save a copy
        refresh=refresh,
        time=G.Time(since, "now"),
        graphTooltip=G.GRAPH_TOOLTIP_MODE_SHARED_CROSSHAIR,
        annotations=G.Annotations(_annotations(names)),
        links=[_link_to_boards(), _link_to_runbooks()],
        templating=G.Templating([datasource_variable(), *variables]),
    )
    for panel in made["panels"]:
        if points and panel["type"] != "row":
            panel.setdefault("maxDataPoints", points)
    return made


def clusters(names: Names = OURS) -> G.Template:
    return label_variable("cluster", "Cluster", names.inventory)


def nodes(names: Names = OURS, *, one: bool = False) -> G.Template:
    series = f'{names.inventory}{{cluster=~"$cluster"}}'
    return label_variable("node", "Node", series, value=names.node, one=one)


def gpus(names: Names = OURS) -> G.Template:
    return label_variable("gpu", "GPU", f"{names.inventory}{{{names.chosen}}}", one=True)


def namespaces() -> G.Template:
    series = 'agentaflow_gpu_pod_info{cluster=~"$cluster"}'
    return label_variable("namespace", "Namespace", series)


def pods() -> G.Template:
    series = 'agentaflow_gpu_pod_info{cluster=~"$cluster",namespace=~"$namespace"}'
    return label_variable("pod", "Pod", series)


def link(title: str, uid: str, **chosen: str) -> dict[str, str]:
    """To another board, with data source and time kept, and these variables set."""
    sets = "".join(f"&var-{name}={value}" for name, value in chosen.items())
    return {
        "title": title,
        "url": f"/d/{uid}?${{datasource:queryparam}}&${{__url_time_range}}{sets}",
    }


def budget() -> G.Template:
    """What the chosen clusters may cost a month; 0 for no budget."""
    return G.Template(name="budget", label="Budget a month", type="textbox", query="0")


def _annotations(names: Names) -> list[dict[str, Any]]:
    found = [_firing("Agentaflow.+")]
    if names.ours:
        found += [_applied(), _drivers()]
    return found


def _firing(alerts: str) -> dict[str, Any]:
    """An annotation for each stretch in which one of the alerts, a regular expression, fired."""
    expr = f'ALERTS{{alertstate="firing",alertname=~"{alerts}",cluster=~"$cluster"}}'
    return {
        "name": "Alerts",
        "datasource": DATASOURCE,
        "enable": True,
        "iconColor": "red",
        "expr": expr,
        "step": "60s",
        "titleFormat": "{{alertname}}",
        "textFormat": "{{node}} {{gpu}}",
    }


def _applied() -> dict[str, Any]:
    done = 'agentaflow_advisor_decisions{state=~"applied|verified"}'
    return {
        "name": "Applied decisions",
        "datasource": DATASOURCE,
        "enable": True,
        "iconColor": "blue",
        "expr": f"sum(delta({done}[2m])) > 0",
        "step": "60s",
        "titleFormat": "Decision applied",
        "textFormat": "AgentaFlow changed the cluster: agentaflow journal list",
    }


def _drivers() -> dict[str, Any]:
    info = "agentaflow_gpu_driver_info"
    chosen = '{cluster=~"$cluster"}'
    each = "by (cluster, driver_version)"
    return {
        "name": "Driver changes",
        "datasource": DATASOURCE,
        "enable": True,
        "iconColor": "purple",
        "expr": f"count {each} ({info}{chosen}) unless count {each} ({info}{chosen} offset 5m)"
        f" and on (cluster) count by (cluster) ({info}{chosen} offset 5m)",
        "step": "60s",
        "titleFormat": "Driver {{driver_version}}",
        "textFormat": "first seen in {{cluster}}",
    }


def _link_to_boards() -> G.DashboardLink:
    return G.DashboardLink(title="Boards", tags=[TAG], asDropdown=True, includeVars=True)


def _link_to_runbooks() -> G.DashboardLink:
    return G.DashboardLink(
        title="Runbooks",
        type="link",
        icon="doc",
        uri=f"{REPOSITORY}/tree/main/alerts/runbooks",
        targetBlank=True,
        keepTime=False,
    )
