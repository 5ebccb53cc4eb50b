"""The Node board: the GPUs of one machine beside each other."""

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
from agentaflow_dashboards.holders import pods_of_node
from agentaflow_dashboards.kinds import Column, named_values, states, wide_table
from agentaflow_dashboards.modern import Row, Viz, coloured, query, stat, timeseries
from agentaflow_dashboards.names import DCGM, OURS, Names, slowdowns
from agentaflow_dashboards.nodes import (
    by_gpu,
    line_to_gpu,
    link_to_gpu,
)
from agentaflow_dashboards.xids import XID_NAMES

SLOW = ((0.0, "full speed", "green"), (1.0, "slowed down", "red"))
PERFORMANCE = tuple(
    (float(state), f"P{state}", "green" if state < 3 else "yellow" if state < 8 else "blue")
    for state in range(16)
)
"""P0 to P2 for work, from P8 on asleep."""


def node() -> dict[str, Any]:
    return _board(OURS)


def node_dcgm() -> dict[str, Any]:
    return _board(DCGM)


def _board(names: Names) -> dict[str, Any]:
    rows = [
        Row("Now", _now(names)),
        Row("Each GPU", (_gpus(names),)),
        Row("Work", _work(names)),
        Row("Heat and power", _heat(names)),
        Row("States", _states(names)),
        Row("Links", _links(names)),
    ]
    if names.ours:
        rows.append(Row("Who holds the GPUs", (pods_of_node(),)))
    return framed(
        "node",
        "Node",
        "The GPUs of one machine: work, heat, power, states and links.",
        [clusters(names), nodes(names, one=True)],
        rows,
        names=names,
        points=None,
    )


def _now(names: Names) -> tuple[Viz, ...]:
    return (
        stat(
            "GPUs",
            "GPUs of this node that the exporter tells of. Good: as many as are in the machine.",
            query(f"count({names('known')})", now=True),
        ),
        stat(
            "Utilisation",
            "Mean over the node's GPUs. Good: above 60 %.",
            query(f"avg({names('utilization')})", now=True),
            unit="percentunit",
            defaults={"decimals": 0},
            steps=BUSY_IS_GOOD,
        ),
        stat(
            "Memory in use",
            "Mean share of GPU memory in use. Good: it goes with utilisation.",
            query(f"avg({names('memory_ratio')})", now=True),
            unit="percentunit",
            defaults={"decimals": 0},
        ),
        stat(
            "Hottest GPU",
            "Good: below 80 °C. From about 87 °C most data centre GPUs slow themselves down.",
            query(f"max({names('temperature')})", now=True),
            unit="celsius",
            steps=HOT,
        ),
        stat(
            "Power",
            "What the node's GPUs draw together. Good: it follows utilisation.",
            query(f"sum({names('power')})", now=True),
            unit="watt",
        ),
        stat(
            "Energy in this range",
            "From the GPUs' own counters; the host is not in it. Good: in proportion to the work.",
            query(f"sum({names.increase('energy')}) / 3600", now=True),
            unit="watth",
        ),
    )


def _gpus(names: Names) -> Viz:
    def of_gpu(expr: str) -> str:
        return f"max by (cluster, {names.node}, gpu) ({expr})"

    return wide_table(
        "GPUs of this node",
        "A row for each GPU; its number leads to its board. Good: alike in temperature and power "
        "when they do the same work, no error, and none idle that holds memory.",
        {"cluster": "Cluster", names.node: "Node", "gpu": "GPU"},
        [
            Column(
                "Utilisation",
                of_gpu(names("utilization")),
                "percentunit",
                BUSY_IS_GOOD,
                {"decimals": 0},
            ),
            Column("Memory", of_gpu(names("memory_used")), "bytes"),
            Column("Temperature", of_gpu(names("temperature")), "celsius", HOT),
            Column("Power", of_gpu(names("power")), "watt"),
            Column("Power limit", of_gpu(names("power_limit")), "watt"),
            Column("SM clock", of_gpu(names("sm_clock")), "hertz"),
            Column(
                "Last Xid",
                of_gpu(names("last_xid")),
                steps=(("text", None), ("red", 1.0)),
                more={"mappings": [named_values(XID_NAMES)]},
            ),
        ],
        overrides=[link_to_gpu(names)],
        sort_by="Utilisation",
        size=(24, 7),
    )


def _work(names: Names) -> tuple[Viz, ...]:
    return (
        by_gpu(
            "Utilisation of each GPU",
            "Share of time in which a kernel ran. Good: the GPUs of one job go together; one that "
            "lags holds up the others.",
            names("utilization"),
            names=names,
            unit="percentunit",
            defaults={"min": 0, "max": 1},
        ),
        timeseries(
            "Memory in use by each GPU",
            "Dashed is what the largest of them has. Good: it rises and falls with the work. "
            "Memory without work is forgotten.",
            query(names("memory_used"), "GPU {{gpu}}"),
            query(f"max({names('memory_total')})", "of one GPU", ref="B"),
            unit="bytes",
            defaults={"min": 0, "links": [line_to_gpu(names)]},
            overrides=[coloured("of one GPU", "text", dashed=True)],
        ),
    )


def _heat(names: Names) -> tuple[Viz, ...]:
    return (
        by_gpu(
            "Temperature of each GPU",
            "Good: below 80 °C, and alike under the same work. One that is hotter than its "
            "neighbours has dust, a loose heat sink or a bad place in the air stream.",
            names("temperature"),
            names=names,
            unit="celsius",
            steps=HOT_LINES,
            custom=TEMPERATURES,
        ),
        by_gpu(
            "Power of each GPU",
            "Good: near the limit under full load, and low when idle.",
            names("power"),
            names=names,
            unit="watt",
            defaults={"min": 0},
        ),
    )


def _states(names: Names) -> tuple[Viz, ...]:
    ((legend, expr),) = slowdowns(names).items()
    return (
        states(
            "Slowed down by heat or a brake",
            "Red while heat, a power brake or the hardware holds the clocks of a GPU down; its "
            "own power limit does not count. Good: green throughout.",
            query(expr, legend),
            mappings=SLOW,
            size=(12, 6),
        ),
        states(
            "Performance state",
            "From P0, the fastest, to P15. Good: P0 under load. A GPU at work in P8 is held back.",
            query(names("performance_state"), "GPU {{gpu}}"),
            mappings=PERFORMANCE,
            size=(12, 6),
        ),
    )


def _links(names: Names) -> tuple[Viz, ...]:
    return tuple(
        timeseries(
            f"{what} traffic",
            f"Bytes a second over {what}, of the GPUs that measure it. Good: {good}",
            query(names(f"{reading}_transmit"), "GPU {{gpu}} sent"),
            query(names(f"{reading}_receive"), "GPU {{gpu}} received", ref="B"),
            unit="Bps",
            defaults={"min": 0},
        )
        for what, reading, good in (
            ("PCIe", "pcie", "steady while data is loaded; near the link's limit it holds back."),
            ("NVLink", "nvlink", "alike on all GPUs of a job; none at 0 while others send."),
        )
    )
