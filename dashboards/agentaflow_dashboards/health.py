"""The Health board: GPUs that are lost, slowed down, making errors, or about to."""

from __future__ import annotations

from typing import Any

from agentaflow_dashboards.frame import GPU_COLUMNS, NONE_IS_GOOD, clusters, framed, nodes
from agentaflow_dashboards.kinds import Column, states, wide_table
from agentaflow_dashboards.modern import Row, Viz, query, stat, table, timeseries
from agentaflow_dashboards.names import OURS, SLOWED_DOWN
from agentaflow_dashboards.nodes import link_to_gpu, link_to_node
from agentaflow_dashboards.promql import EACH_NODE, SAME_GPU, UNCORRECTED, gpu

TOP = 20
EACH = "by (cluster, node, gpu)"
CORRECTED = 'type="corrected"'
SLOW = ((0.0, "full speed", "green"), (1.0, "slowed down", "red"))
NO_XID = ((0.0, "none", "green"),)


def health() -> dict[str, Any]:
    return framed(
        "health",
        "Health and reliability",
        "GPUs that are lost, slowed down, making errors, or about to.",
        [clusters(), nodes()],
        [
            Row("Now", _now()),
            Row("Slowed down", _slow()),
            Row("Xid errors", _xids()),
            Row("Memory and links", _errors()),
            Row("Alerts", (_alerts(),)),
        ],
        since="now-24h",
    )


def _now() -> tuple[Viz, ...]:
    return (
        _count(
            "GPUs lost",
            "Known to an exporter and without an answer. Good: 0. Drain the node, then reset.",
            f"sum(1 - {gpu('up')})",
        ),
        _count(
            "Need an action",
            "GPUs whose driver asks for a reset, a reboot or a drain. Good: 0. Missing before "
            "driver R570.",
            f"sum({gpu('recovery_action')} > bool 0)",
        ),
        _count(
            "Uncorrected errors",
            "Memory errors in this range that killed what met them. Good: 0.",
            f"sum(increase({gpu('ecc_errors_total', UNCORRECTED)}[$__range]))",
        ),
        _count(
            "Rows to be remapped",
            "GPUs that wait for a reset to replace a bad row of memory. Good: 0. Reset them when "
            "they are free. GPUs before Ampere have no such reading.",
            f"sum({gpu('row_remap_pending')})",
        ),
        _count(
            "Due for return",
            "GPUs that could not replace a bad row: they have no spare left. Good: 0.",
            f"sum({gpu('row_remap_failure')})",
        ),
        _count(
            "NVLinks down",
            "Links that are down or carry no traffic. Good: 0. Jobs on these GPUs are slow or "
            "hang. Missing where there is no NVLink.",
            f"sum(1 - {gpu('nvlink_up')})",
        ),
    )


def _count(title: str, description: str, expr: str) -> Viz:
    return stat(
        title,
        description,
        query(expr, now=True),
        steps=NONE_IS_GOOD,
        defaults={"decimals": 0},
    )


def _slow() -> tuple[Viz, ...]:
    hard = gpu("clock_event_active", 'reason=~".+_slowdown"')
    seconds = gpu("clock_event_seconds_total", SLOWED_DOWN)
    worst = f"max by (cluster, node, gpu, uuid) (rate({seconds}[$__rate_interval]))"
    slowest = f"topk({TOP}, sum {EACH_NODE} ({worst}))"
    each_gpu = "by (cluster, node, gpu, uuid)"
    room = (
        f"min {EACH} (max {each_gpu} ({OURS('slowdown_temperature')})"
        f" - {SAME_GPU} max {each_gpu} ({OURS('temperature')}))"
    )
    return (
        states(
            "Nodes slowed down by heat or a brake",
            f"Red while at least one GPU of the node is slowed down; the {TOP} nodes that are it "
            "most at each time. Good: green throughout.",
            query(f"topk({TOP}, max {EACH_NODE} ({hard}))", "{{node}}"),
            mappings=SLOW,
        ),
        timeseries(
            "GPUs' time slowed down",
            f"How many GPUs of a node are slowed down, as time counters tell, the {TOP} nodes with "
            "most. Good: 0, or only what a power limit holds under full load.",
            query(slowest, "{{node}}"),
            defaults={"min": 0},
        ),
        table(
            "Closest to slowing down",
            "Degrees up to the temperature at which the GPU slows itself down, by its own "
            f"threshold, the {TOP} with least. Good: ten or more.",
            f"bottomk({TOP}, {room})",
            "Room",
            GPU_COLUMNS,
            unit="celsius",
            steps=(("red", None), ("orange", 5.0), ("text", 10.0)),
            overrides=[link_to_node(), link_to_gpu()],
            ascending=True,
        ),
        timeseries(
            "Hottest GPUs",
            f"The {TOP} hottest at each time. Good: below 80 °C.",
            query(f"topk({TOP}, max {EACH} ({OURS('temperature')}))", "{{node}} GPU {{gpu}}"),
            unit="celsius",
            steps=(("transparent", None), ("orange", 80.0), ("red", 87.0)),
        ),
    )


def _xids() -> tuple[Viz, ...]:
    grown = f"increase({gpu('xid_errors_total')}[$__range])"
    return (
        states(
            "Last Xid of each GPU",
            f"The {TOP} GPUs with the highest code; none is green. Good: green throughout. 48, 63, "
            "64, 79, 94 and 95 are the hardware's; 13, 31 and 43 are mostly the application's.",
            query(f"topk({TOP}, max {EACH} ({gpu('last_xid')}))", "{{node}} GPU {{gpu}}"),
            mappings=NO_XID,
            steps=(("green", None), ("red", 1.0)),
        ),
        table(
            "Xid errors in this range",
            f"By GPU and code, the {TOP} with most. Good: every count is 0. The runbook of "
            "AgentaflowGpuXid says what each code asks for.",
            f"topk({TOP}, sum by (cluster, node, gpu, xid) ({grown}))",
            "Times",
            {**GPU_COLUMNS, "xid": "Xid"},
            steps=(("text", None), ("red", 0.5)),
            defaults={"decimals": 0},
            overrides=[link_to_node(), link_to_gpu()],
        ),
    )


def _errors() -> tuple[Viz, ...]:
    def top(metric: str, *matchers: str) -> str:
        return f"topk({TOP}, sum {EACH} (increase({gpu(metric, *matchers)}[$__range])))"

    narrow = f"{gpu('pcie_link_width')} < {gpu('pcie_link_width_max')}"
    whole = {"decimals": 0}
    bad = (("text", None), ("red", 0.5))
    return (
        wide_table(
            "Errors of memory and links in this range",
            f"The {TOP} GPUs with the most of each. Good: all 0. Corrected errors cost "
            "nothing yet, but a GPU that makes many is the next to make uncorrected ones.",
            GPU_COLUMNS,
            [
                Column("Uncorrected", top("ecc_errors_total", UNCORRECTED), steps=bad, more=whole),
                Column("Corrected", top("ecc_errors_total", CORRECTED), more=whole),
                Column("PCIe replays", top("pcie_replays_total"), more=whole),
                Column("NVLink errors", top("nvlink_errors_total"), more=whole),
            ],
            overrides=[link_to_node(), link_to_gpu()],
            size=(16, 8),
        ),
        stat(
            "PCIe links too narrow",
            "GPUs that run with fewer PCIe lanes than their slot has. Good: 0. The card is not "
            "seated well, or the riser is bad. Width does not go down with idleness, speed does.",
            query(f"count({narrow}) or 0 * count({gpu('pcie_link_width')})", now=True),
            steps=(("green", None), ("orange", 1.0)),
            size=(8, 8),
        ),
    )


def _alerts() -> Viz:
    alerts = (
        'ALERTS{alertname=~"Agentaflow.+",alertstate=~"firing|pending",cluster=~"$cluster",'
        'node=~"$node"}'
    )
    labels = {
        "alertname": "Alert",
        "alertstate": "State",
        "severity": "Severity",
        **GPU_COLUMNS,
    }
    return wide_table(
        "AgentaFlow's alerts",
        "What fires or is about to. Good: an empty table, with the rules loaded.",
        labels,
        [Column("Series", f"count by ({', '.join(labels)}) ({alerts})")],
        overrides=[link_to_node(), link_to_gpu()],
        size=(24, 7),
    )
