"""The Health board: GPUs that are lost, slowed down, making errors, or about to."""

from __future__ import annotations

from typing import Any

from agentaflow_dashboards.frame import (
    DAY,
    GPU_COLUMNS,
    HOT_LINES,
    NONE_IS_GOOD,
    TEMPERATURES,
    clusters,
    framed,
    nodes,
)
from agentaflow_dashboards.kinds import (
    Column,
    coloured_words,
    named_values,
    states,
    wide_table,
)
from agentaflow_dashboards.modern import Row, Viz, override, query, stat, table, timeseries
from agentaflow_dashboards.names import OURS, SLOWED_DOWN
from agentaflow_dashboards.nodes import line_to_gpu, link_to_gpu, link_to_node
from agentaflow_dashboards.promql import (
    CHOSEN,
    EACH_GPU,
    EACH_NODE,
    SAME_BOARD,
    SAME_GPU,
    gpu,
    grown,
    leading,
    none_of,
    numbered,
    or_none,
    recorded,
)
from agentaflow_dashboards.xids import XID_NAMES, XIDS_SAID

TOP = 20
MOST = 10
EACH = "by (cluster, node, gpu)"
HARD = 'reason=~".+_slowdown"'
SLOW = ((0.0, "full speed", "green"), (1.0, "slowed down", "red"))
HAS_ECC = gpu("ecc_mode_enabled", 'mode="current"') + " == 1"
RECORDED = recorded("present:last")
RULES_LOADED = 'agentaflow:cluster_gpus:count{cluster=~"$cluster"}'
SEVERITIES = {"critical": "red", "warning": "orange", "info": "blue"}


def health() -> dict[str, Any]:
    return framed(
        "health",
        "Health and reliability",
        "GPUs that are lost, slowed down, making errors, or about to.",
        [clusters(), nodes()],
        [
            Row("Now", _now()),
            Row("Slowed down", (*_slow(), *_hot())),
            Row("Xid errors", _xids()),
            Row("Memory and links", _errors()),
            Row("Alerts", (_alerts(),)),
        ],
        **DAY,
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
            "Memory errors in this range that killed what met them. Good: 0. Missing where the "
            "GPUs have no ECC, or the recording rules are not loaded.",
            f"sum({grown('ecc_uncorrected')}) or 0 * count({HAS_ECC} and {SAME_BOARD} {RECORDED})",
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
    hard = f"{recorded('throttled_seconds:increase', HARD)} > bool 0"
    slowed = recorded("throttled_seconds:increase", SLOWED_DOWN)
    any_reason = f"max by (cluster, node, uuid) ({slowed})"
    seconds = gpu("clock_event_seconds_total", 'reason="sw_power_cap"')
    has_counters = f"increase({seconds}[10m:5m]) and on () {RECORDED}"
    return (
        states(
            "Nodes slowed down by heat or a brake",
            f"Red while at least one GPU of the node is slowed down; at most {MOST} nodes, only "
            "those that were; none where there was no such node. Good: none.",
            query(f"topk({MOST}, max {EACH_NODE} ({hard}))", "{{node}}"),
            query(none_of(hard, has_counters), "none", ref="B"),
            mappings=SLOW,
        ),
        timeseries(
            "GPUs' time slowed down",
            f"How many GPUs of a node are slowed down, their power limit too, as time counters "
            f"tell, at most {MOST} nodes. Good: none, or only what a power limit holds under full "
            "load. GPUs whose driver has no such counters are not judged.",
            query(f"topk({MOST}, sum {EACH_NODE} ({any_reason}) / 300)", "{{node}}"),
            query(none_of(any_reason, has_counters), "none", ref="B"),
            defaults={"min": 0},
            custom={"axisSoftMax": 1},
        ),
    )


def _hot() -> tuple[Viz, ...]:
    room = (
        f"min {EACH} (max {EACH_GPU} ({OURS('slowdown_temperature')})"
        f" - {SAME_GPU} max {EACH_GPU} ({OURS('temperature')}))"
    )
    return (
        table(
            "Closest to slowing down",
            "Degrees up to the temperature at which the GPU slows itself down, by its own "
            f"threshold, the {MOST} with least. Good: ten or more.",
            f"bottomk({MOST}, {room})",
            "Room",
            GPU_COLUMNS,
            unit="celsius",
            steps=(("red", None), ("orange", 5.0), ("text", 10.0)),
            overrides=[link_to_node(), link_to_gpu()],
            ascending=True,
        ),
        timeseries(
            "Hottest GPUs",
            f"The {MOST} that were hottest on average. Good: below 80 °C.",
            query(
                leading(f"max {EACH} ({OURS('temperature')})", "cluster, node, gpu", most=MOST),
                "{{node}} GPU {{gpu}}",
            ),
            unit="celsius",
            steps=HOT_LINES,
            custom=TEMPERATURES,
            defaults={"links": [line_to_gpu()]},
        ),
    )


def _xids() -> tuple[Viz, ...]:
    last = f"max {EACH} ({gpu('last_xid')})"
    of_code = numbered(grown("xids", "xid"))
    told = f"{gpu('last_xid')} and {SAME_BOARD} {RECORDED}"
    return (
        states(
            "Last Xid of each GPU",
            f"Of the GPUs that had one, at most {TOP}; none where no GPU had. Good: none. "
            f"{XIDS_SAID}",
            query(f"topk({TOP}, {last} > 0)", "{{node}} GPU {{gpu}}"),
            query(none_of(f"{last} > 0", gpu("last_xid")), "none", ref="B"),
            mappings=XID_NAMES,
            steps=(("green", None), ("red", 1.0)),
            size=(12, 6),
        ),
        table(
            "Xid errors in this range",
            f"By GPU and code, the {TOP} with most; a row called none where there were none. "
            "Good: that row. The runbooks of the Xid alerts say what each code asks for.",
            or_none(f"topk({TOP}, sum by (cluster, node, gpu, xid) ({of_code}) > 0)", told),
            "Times",
            {**GPU_COLUMNS, "xid": "Xid"},
            steps=(("text", None), ("red", 0.5)),
            defaults={"decimals": 0},
            overrides=[
                link_to_node(),
                link_to_gpu(),
                override("Xid", {"mappings": [named_values(XID_NAMES)], "custom.width": 260}),
            ],
            size=(12, 6),
        ),
    )


def _errors() -> tuple[Viz, ...]:
    narrow = f"{gpu('pcie_link_width')} < {gpu('pcie_link_width_max')}"
    whole = {"decimals": 0}
    bad = (("text", None), ("red", 0.5))
    return (
        wide_table(
            "Errors of memory and links in this range",
            f"The {TOP} GPUs with errors of any kind, uncorrected ones first; a row called none "
            "where there were none. An empty cell is what the GPU does not tell. Good: that row. "
            "Corrected errors cost nothing yet, but a GPU that makes many is the next to make "
            "uncorrected ones.",
            GPU_COLUMNS,
            [
                Column(title, _errors_of(family, measured), steps=steps, more=whole)
                for title, family, measured, steps in (
                    ("Uncorrected", "ecc_uncorrected", HAS_ECC, bad),
                    ("Corrected", "ecc_corrected", HAS_ECC, ()),
                    ("PCIe replays", "pcie_replays", gpu("pcie_link_width"), ()),
                    ("NVLink errors", "nvlink_errors", f"{gpu('nvlink_links')} > 0", ()),
                )
            ],
            overrides=[link_to_node(), link_to_gpu()],
            size=(20, 6),
        ),
        stat(
            "PCIe links too narrow",
            "GPUs that run with fewer PCIe lanes than their slot has. Good: 0. The card is not "
            "seated well, or the riser is bad. Width does not go down with idleness, speed does.",
            query(f"count({narrow}) or 0 * count({gpu('pcie_link_width')})", now=True),
            steps=(("green", None), ("orange", 1.0)),
            size=(4, 6),
        ),
    )


def _errors_of(family: str, measured: str) -> str:
    """The errors of a kind, or a 0 that was measured, of the GPUs that had any kind of errors."""
    kinds = ("ecc_corrected", "pcie_replays", "nvlink_errors")
    ranked = f" or {SAME_BOARD} ".join([f"1e12 * {grown('ecc_uncorrected')}", *map(grown, kinds)])
    zeros = f"0 * max by (cluster, node, uuid) ({measured})"
    errors = f"({grown(family)} or {SAME_BOARD} {zeros}) and {SAME_BOARD} topk({TOP}, {ranked})"
    judged = f"{measured} and {SAME_BOARD} {RECORDED} unless on () ({ranked})"
    return or_none(f"max {EACH} ({numbered(errors)})", judged)


def _alerts() -> Viz:
    labels = {
        "severity": "Severity",
        "alertname": "Alert",
        "alertstate": "State",
        **GPU_COLUMNS,
    }
    return wide_table(
        "AgentaFlow's alerts",
        "What fires or is about to, the gravest first; a row called none where nothing does. Good: "
        "that row. Missing where the rules are not loaded.",
        labels,
        [Column("Weight", or_none(_weighed(", ".join(labels)), RULES_LOADED, "alertname"))],
        hidden={"Value": True},
        overrides=[
            override("Alert", {"custom.width": 260}),
            override("Severity", coloured_words(SEVERITIES)),
            override("State", coloured_words({"firing": "red", "pending": "text"})),
            link_to_node(),
            link_to_gpu(),
        ],
        size=(24, 8),
    )


def _weighed(labels: str) -> str:
    """Each alert with a number by which it is sorted: its severity, firing before pending."""
    found = []
    for weight, severity in enumerate(reversed(SEVERITIES), start=1):
        for more, state in ((0.5, "firing"), (0, "pending")):
            chosen = (
                f'severity="{severity}",alertstate="{state}",alertname=~"Agentaflow.+",{CHOSEN}'
            )
            found.append(f"group by ({labels}) (ALERTS{{{chosen}}}) * {weight + more}")
    return f"({' or '.join(found)})"
