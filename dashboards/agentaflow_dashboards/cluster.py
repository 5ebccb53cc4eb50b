"""The Cluster board: its nodes beside each other, and those that stand out."""

from __future__ import annotations

from typing import Any

from agentaflow_dashboards.frame import (
    BUSY_IS_GOOD,
    HOT,
    HOT_LINES,
    TEMPERATURES,
    clusters,
    framed,
    nodes,
)
from agentaflow_dashboards.kinds import Column, bars, tiles, wide_table
from agentaflow_dashboards.modern import Row, Viz, query, stat
from agentaflow_dashboards.names import OURS
from agentaflow_dashboards.nodes import by_node, line_to_node, link_to_node
from agentaflow_dashboards.promql import (
    CHOSEN,
    EACH_NODE,
    PODS_KNOWN,
    SAME_GPU,
    gpu,
    leading,
    lowest,
    short_name,
)

MOST_TILES = 1000
MOST = 10
EXPORTERS = f'up{{job="agentaflow-exporter",{CHOSEN}}}'


def cluster() -> dict[str, Any]:
    return framed(
        "cluster",
        "Cluster",
        "The nodes of a cluster beside each other: which work, which are hot, which are free.",
        [clusters(), nodes()],
        [
            Row("Now", _now()),
            Row("Heat of the nodes", _heat()),
            Row("Nodes that stand out", _lines()),
            Row("All nodes", (_nodes(),)),
        ],
    )


def _now() -> tuple[Viz, ...]:
    held = f"count(max by (cluster, node, gpu, uuid) ({gpu('pod_info')}))"
    return (
        stat(
            "Nodes",
            "Nodes whose exporter answers, of those that Prometheus scrapes. Good: the same.",
            query(f"sum({EXPORTERS})", "answering", now=True),
            query(f"count({EXPORTERS})", "scraped", ref="B", now=True),
            size=(5, 4),
        ),
        stat(
            "GPUs that pods hold",
            "GPUs that at least one pod holds, of all. Good: nearly all of them; what is free for "
            "days is paid for and not used. Missing where exporters do not know the pods.",
            query(held, "held", now=True),
            query(f"count({gpu('up')})", "all", ref="B", now=True),
            size=(5, 4),
        ),
        stat(
            "Utilisation",
            "Mean over all GPUs of the cluster. Good: above 60 %.",
            query(f"avg({OURS('utilization')})", now=True),
            unit="percentunit",
            defaults={"decimals": 0},
            steps=BUSY_IS_GOOD,
            size=(4, 4),
        ),
        stat(
            "Memory in use",
            "Mean share of GPU memory in use. Good: it rises and falls with utilisation.",
            query(f"avg({OURS('memory_ratio')})", now=True),
            unit="percentunit",
            defaults={"decimals": 0},
            size=(4, 4),
        ),
        bars(
            "GPUs by model",
            "How many of each model. Good: what was bought.",
            query(short_name(f"count by (name) ({gpu('info')})"), "{{name}}", now=True),
            size=(6, 4),
            names="top",
            defaults={"color": {"mode": "fixed", "fixedColor": "blue"}, "min": 0},
        ),
    )


def _heat() -> tuple[Viz, ...]:
    return (
        tiles(
            "Utilisation of each node",
            f"A tile for each node, at most {MOST_TILES}, the busiest first to be left out. Good: "
            "green. Orange nodes work less than 30 %.",
            query(
                f"bottomk({MOST_TILES}, avg {EACH_NODE} ({OURS('utilization')}))",
                "{{node}}",
                now=True,
            ),
            unit="percentunit",
            steps=(("semi-dark-orange", None), ("yellow", 0.3), ("dark-green", 0.6)),
            defaults={"decimals": 0, "links": [line_to_node()]},
        ),
        tiles(
            "Hottest GPU of each node",
            f"A tile for each node, at most {MOST_TILES}, the coolest first to be left out. Good: "
            "green. Orange from 80 °C, red from 87 °C, where most GPUs begin to slow down.",
            query(
                f"topk({MOST_TILES}, max {EACH_NODE} ({OURS('temperature')}))",
                "{{node}}",
                now=True,
            ),
            unit="celsius",
            steps=(("dark-green", None), ("semi-dark-orange", 80.0), ("semi-dark-red", 87.0)),
            defaults={"links": [line_to_node()]},
        ),
    )


def _lines() -> tuple[Viz, ...]:
    of_each = "cluster, node"
    hottest = f"max {EACH_NODE} ({OURS('temperature')})"
    return (
        bars(
            "Least busy nodes",
            f"Mean over the range and the GPUs of a node, the {MOST} lowest. Good: high. One node "
            "far below the others of the same job waits for data, or holds GPUs that nobody uses.",
            query(
                lowest(f"avg {EACH_NODE} ({OURS('utilization')})", most=MOST), "{{node}}", now=True
            ),
            unit="percentunit",
            steps=BUSY_IS_GOOD,
            defaults={"min": 0, "max": 1, "decimals": 0, "links": [line_to_node()]},
        ),
        by_node(
            "Fullest memory",
            f"Used part of the GPU memory of a node, the {MOST} highest. Good: it rises and falls "
            "with utilisation. Much memory held and little work done is a forgotten notebook.",
            leading(f"avg {EACH_NODE} ({OURS('memory_ratio')})", of_each, most=MOST),
            unit="percentunit",
            defaults={"min": 0, "max": 1},
        ),
        by_node(
            "Hottest nodes",
            f"Core temperature of a node's hottest GPU, the {MOST} highest. Good: below 80 °C. "
            "From about 87 °C most data centre GPUs are close to slowing themselves down; the "
            "alert AgentaflowGpuTooHot knows each GPU's own threshold.",
            leading(hottest, of_each, most=MOST),
            unit="celsius",
            steps=HOT_LINES,
            custom=TEMPERATURES,
        ),
        by_node(
            "Power of the nodes that draw most",
            f"What the GPUs of a node draw together, the {MOST} highest. Good: steady under load. "
            "A sudden drop under load is a job that stopped or a power brake.",
            leading(f"sum {EACH_NODE} ({OURS('power')})", of_each, most=MOST),
            unit="watt",
            defaults={"min": 0},
        ),
    )


def _nodes() -> Viz:
    held = f"max by (cluster, node, gpu, uuid) ({gpu('pod_info')})"
    free = (
        f"(count {EACH_NODE} ({gpu('up')} unless {SAME_GPU} {held}) or 0 * {_count()}) {PODS_KNOWN}"
    )
    return wide_table(
        "Each node",
        "A row for each node; its name leads to its board. Good: no GPU free for long, utilisation "
        "above 60 %, temperature below 80 °C.",
        {"cluster": "Cluster", "node": "Node"},
        [
            Column("GPUs", _count()),
            Column("Free", free, steps=(("text", None), ("orange", 1.0))),
            Column(
                "Utilisation",
                f"avg {EACH_NODE} ({OURS('utilization')})",
                "percentunit",
                BUSY_IS_GOOD,
                {"decimals": 0},
            ),
            Column(
                "Memory in use",
                f"avg {EACH_NODE} ({OURS('memory_ratio')})",
                "percentunit",
                more={"decimals": 0},
            ),
            Column("Hottest GPU", f"max {EACH_NODE} ({OURS('temperature')})", "celsius", HOT),
            Column("Power", f"sum {EACH_NODE} ({OURS('power')})", "watt"),
        ],
        overrides=[link_to_node()],
        sort_by="Free",
        size=(24, 11),
    )


def _count() -> str:
    return f"count {EACH_NODE} ({gpu('up')})"
