"""The Capacity board: what is held and free, where it lies in pieces, and when it runs out."""

from __future__ import annotations

from typing import Any

from agentaflow_dashboards.frame import DAY, clusters, framed
from agentaflow_dashboards.held import EACH_GPU
from agentaflow_dashboards.kinds import Column, bars, named_values, wide_table
from agentaflow_dashboards.modern import Row, Viz, override, query, stat, timeseries
from agentaflow_dashboards.nodes import line_to_cluster, link_to_cluster
from agentaflow_dashboards.promql import PODS_KNOWN, SAME_GPU

OF = '{cluster=~"$cluster"}'
UP = f"agentaflow_gpu_up{OF}"
POD = f"agentaflow_gpu_pod_info{OF}"
HELD = f"max {EACH_GPU} ({POD})"
WEEK = 604800
KNOWN_THEN = f"sum by (cluster) (agentaflow:cluster_gpus:count{OF})"
RECORDED_HELD = f"agentaflow:cluster_gpus_held:count{OF}"
HELD_THEN = f"sum by (cluster) ({RECORDED_HELD} {PODS_KNOWN})"
"""As recorded: a line through a day would read every GPU at every step."""


def capacity() -> dict[str, Any]:
    return framed(
        "capacity",
        "Capacity and forecast",
        "How many GPUs are held and free, and when there will be none left.",
        [clusters()],
        [
            Row("Now", _now()),
            Row("Held and free", _lines()),
            Row("Forecast", _forecast()),
            Row("Where the room is", _room()),
        ],
        **DAY,
    )


def _held(by: str = "") -> str:
    return f"count {by} ({HELD})".replace("  ", " ")


def _free(by: str) -> str:
    return f"(count {by} ({UP} unless {SAME_GPU} {HELD}) or 0 * count {by} ({UP}))"


def _now() -> tuple[Viz, ...]:
    whole_nodes = (
        f"count by (cluster, node) ({UP}) unless count by (cluster, node) ({HELD}) {PODS_KNOWN}"
    )
    return (
        stat(
            "GPUs",
            "All that exporters know. Good: as many as you pay for.",
            query(f"count({UP})", now=True),
        ),
        stat(
            "Held",
            "GPUs that at least one pod holds. Good: nearly all. Missing where exporters do not "
            "know the pods.",
            query(_held(), now=True),
        ),
        stat(
            "Free",
            "GPUs without a pod, in clusters whose pods are known. Good: what bursts need.",
            query(
                f"sum({_free('by (cluster)')} and on (cluster) {_held('by (cluster)')})", now=True
            ),
        ),
        stat(
            "Nodes all free",
            "Nodes none of whose GPUs is held: a job that needs a whole node fits. Good: as many "
            "as your largest job has nodes.",
            query(f"count({whole_nodes}) or 0 * count({HELD})", now=True),
        ),
        stat(
            "Power room",
            "Enforced limits less what is drawn. Good: above 0 with the room that your circuits "
            "have; a lower limit on GPUs that do not need theirs makes more.",
            query(
                f'sum(agentaflow_gpu_power_limit_watts{{limit="enforced",cluster=~"$cluster"}})'
                f" - sum(agentaflow_gpu_power_watts{OF})",
                now=True,
            ),
            unit="watt",
        ),
        stat(
            "Memory free",
            "Of all GPUs together. Good: what is needed is in one place; see the table below.",
            query(f"sum(agentaflow_gpu_memory_free_bytes{OF})", now=True),
            unit="bytes",
        ),
    )


def _lines() -> tuple[Viz, ...]:
    each = "by (cluster)"
    return (
        timeseries(
            "GPUs held and known",
            "Good: held close to known, and known steady. Where held is at known, pods wait.",
            query(_held(each), "{{cluster}} held"),
            query(f"count {each} ({UP})", "{{cluster}} known", ref="B"),
            defaults={"min": 0, "links": [line_to_cluster()]},
        ),
        timeseries(
            "Held GPUs that work",
            "GPUs with a pod and with a kernel at the scrape, as share of the held ones. Good: "
            "above 80 %. The rest is room that nobody else can have.",
            query(
                f"avg {each} (({HELD}) * 0 + on (cluster, node, gpu, uuid) group_left ()"
                f" (max {EACH_GPU} (agentaflow_gpu_utilization_ratio"
                '{engine="gpu",cluster=~"$cluster"}) > bool 0))',
                "{{cluster}}",
            ),
            unit="percentunit",
            defaults={"min": 0, "max": 1, "links": [line_to_cluster()]},
        ),
    )


def _forecast() -> tuple[Viz, ...]:
    day = f"{RECORDED_HELD}[1d:15m]"
    slope = f"(deriv({day}) {PODS_KNOWN})"
    ahead = f"clamp_min(predict_linear({day}, {WEEK}), 0) {PODS_KNOWN}"
    days = f"(({KNOWN_THEN} - {HELD_THEN}) / ({slope} > 0)) / 86400"
    return (
        wide_table(
            "In a week, as the last day went",
            "A straight line through the last day: a first look, which knows neither weekends nor "
            "steps. `agentaflow report forecast` judges its own error and refuses where it cannot "
            "tell. Good: held in a week stays below known.",
            {"cluster": "Cluster"},
            [
                Column("Known", KNOWN_THEN),
                Column("Held", HELD_THEN),
                Column("Held in a week", ahead, more={"decimals": 0}),
                Column("GPUs more a day", f"{slope} * 86400", more={"decimals": 2}),
                Column(
                    "Days until none is free",
                    f"clamp_max({days}, 365) or {slope} * 0 + 365",
                    steps=(("red", None), ("orange", 7.0), ("text", 30.0)),
                    more={
                        "decimals": 0,
                        "mappings": [named_values([(365.0, "a year or more", "text")])],
                    },
                ),
            ],
            overrides=[link_to_cluster()],
            size=(24, 4),
        ),
        timeseries(
            "Held, and what each moment foretold",
            "The dashed line is how many would be held a week after that moment, by the day before "
            "it. Good: it stays below known; where it jumps about, a straight line says little. "
            "Needs the recording rules.",
            query(HELD_THEN, "{{cluster}} held"),
            query(ahead, "{{cluster}} foretold", ref="B"),
            query(KNOWN_THEN, "{{cluster}} known", ref="C"),
            defaults={"min": 0, "links": [line_to_cluster()]},
            overrides=[
                {
                    "matcher": {"id": "byRegexp", "options": ".* foretold"},
                    "properties": [
                        {"id": "custom.lineStyle", "value": {"fill": "dash", "dash": [8, 6]}}
                    ],
                }
            ],
            size=(24, 7),
        ),
    )


def _room() -> tuple[Viz, ...]:
    model = f"max by (cluster, node, gpu, uuid, name) (agentaflow_gpu_info{OF})"
    of_model = f"count by (cluster, name) ({model} unless {SAME_GPU} {HELD})"
    pieces = f"count by (cluster, node) ({UP} unless {SAME_GPU} {HELD} {PODS_KNOWN})"
    return (
        wide_table(
            "Each model",
            "Known and free GPUs of each model. Good: what waits finds its model; free ones of a "
            "dear model are asked for by name, or given to others.",
            {"cluster": "Cluster", "name": "Model"},
            [
                Column("Known", f"count by (cluster, name) ({model})"),
                Column(
                    "Free",
                    f"({of_model} or 0 * count by (cluster, name) ({model})) {PODS_KNOWN}",
                    steps=(("text", None), ("orange", 1.0)),
                ),
            ],
            overrides=[override("Model", {"custom.width": 240}), link_to_cluster()],
            size=(12, 6),
        ),
        bars(
            "Nodes with free GPUs",
            "How the free GPUs lie: eight free on one node take a job of eight, one free on each "
            "of eight nodes do not. Good: few nodes with one or two free; `agentaflow defragment` "
            "says what to move.",
            query(
                f'sort_desc(count_values("free", {pieces}))',
                "nodes with {{free}} free",
                now=True,
            ),
            defaults={"min": 0, "color": {"mode": "fixed", "fixedColor": "blue"}},
            names="top",
            size=(12, 6),
        ),
    )
