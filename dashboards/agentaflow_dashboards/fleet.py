"""The Fleet board: how many GPUs there are, how well they work, and which need somebody."""

from __future__ import annotations

from typing import Any

from grafanalib import core as G  # noqa: N812

from agentaflow_dashboards.modern import (
    Row,
    Viz,
    board,
    datasource_variable,
    firing,
    label_variable,
    query,
    stat,
    table,
    timeseries,
)
from agentaflow_dashboards.nodes import by_node, link_to_node
from agentaflow_dashboards.promql import (
    CHOSEN,
    EACH_NODE,
    HELD_BY_NO_POD,
    IDLE,
    IDLE_WITH_PODS,
    SLOWED_DOWN,
    TEMPERATURE,
    UNCORRECTED,
    UTILIZATION,
    exporter,
    gpu,
)

UID = "agentaflow-fleet"
TAG = "agentaflow"
REPOSITORY = "https://github.com/agentaflow/agentaflow"

HOT = (("transparent", None), ("orange", 80.0), ("red", 87.0))
NONE_IS_GOOD = (("green", None), ("red", 1.0))
GPU_COLUMNS = {"cluster": "Cluster", "node": "Node", "gpu": "GPU"}


def fleet() -> dict[str, Any]:
    return board(
        [
            Row("Now", (*_counts(), *_totals())),
            _work(),
            _heat_and_power(),
            _health(),
            _waste(),
            _exporters(),
        ],
        title="AgentaFlow / Fleet",
        description="Every GPU of the chosen clusters: work, heat, power, errors and waste.",
        uid=UID,
        tags=[TAG, "gpu", "nvidia"],
        refresh="1m",
        time=G.Time("now-6h", "now"),
        graphTooltip=G.GRAPH_TOOLTIP_MODE_SHARED_CROSSHAIR,
        annotations=G.Annotations([firing("Agentaflow.+")]),
        links=[_link_to_boards(), _link_to_runbooks()],
        templating=G.Templating(
            [
                datasource_variable(),
                label_variable("cluster", "Cluster", "agentaflow_gpu_up"),
                label_variable("node", "Node", 'agentaflow_gpu_up{cluster=~"$cluster"}'),
            ]
        ),
    )


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


def _counts() -> tuple[Viz, ...]:
    return (
        stat(
            "GPUs",
            "GPUs that answered the last scrape, of those the exporters know. "
            "Good: both numbers are the same, and as many as you pay for.",
            query(f"sum({gpu('up')})", "answering", now=True),
            query(f"count({gpu('up')})", "known", ref="B", now=True),
        ),
        stat(
            "GPUs lost",
            "GPUs that are known but do not answer: fallen off the bus, hung, or in need of "
            "a reset. Good: 0. GPUs that the driver no longer lists are not in this number; "
            "the alert AgentaflowGpuLost counts them as well.",
            query(f"sum(1 - {gpu('up')})", now=True),
            steps=NONE_IS_GOOD,
        ),
        stat(
            "Idle all this range",
            "GPUs on which no kernel was seen running in the whole chosen range. GPUs that "
            "were not there at its start are not judged. Good: 0 over a day or more.",
            query(f"count({IDLE}) or 0 * count({gpu('up')} offset $__range)", now=True),
            steps=(("green", None), ("orange", 1.0)),
        ),
    )


def _totals() -> tuple[Viz, ...]:
    return (
        stat(
            "Utilisation",
            "Mean share of time in which a kernel ran, over all GPUs, at the last scrape. "
            "Good: above 60 %. High does not mean efficient: a kernel on one of the "
            "multiprocessors counts as fully busy.",
            query(f"avg({UTILIZATION})", now=True),
            unit="percentunit",
            steps=(("orange", None), ("yellow", 0.3), ("green", 0.6)),
        ),
        stat(
            "Power",
            "What all GPUs draw together now. Good: it follows utilisation; a fleet that "
            "draws much and works little is held up by something else than GPUs.",
            query(f"sum({gpu('power_watts')})", now=True),
            unit="watt",
        ),
        stat(
            "Energy in this range",
            "Energy that the GPUs used in the chosen time range, from their own counters. "
            "Hosts, fans and cooling are not in it. Good: in proportion to the work done.",
            query(f"sum(increase({gpu('energy_joules_total')}[$__range])) / 3600", now=True),
            unit="watth",
        ),
    )


def _work() -> Row:
    used = f"sum {EACH_NODE} ({gpu('memory_used_bytes')})"
    total = f"sum {EACH_NODE} ({gpu('memory_total_bytes')})"
    return Row(
        "Work",
        (
            by_node(
                UID,
                "Utilisation of each node",
                "Mean over the GPUs of a node. Good: high and even. One node far below the "
                "others of the same job waits for data, or holds GPUs that nobody uses.",
                f"avg {EACH_NODE} ({UTILIZATION})",
                unit="percentunit",
                defaults={"min": 0, "max": 1},
            ),
            by_node(
                UID,
                "Memory in use on each node",
                "Used part of the GPU memory of a node. Good: it rises and falls with "
                "utilisation. Much memory held and little work done is the mark of a forgotten "
                "notebook.",
                f"{used} / {total}",
                unit="percentunit",
                defaults={"min": 0, "max": 1},
            ),
        ),
    )


def _heat_and_power() -> Row:
    return Row(
        "Heat and power",
        (
            by_node(
                UID,
                "Hottest GPU of each node",
                "Core temperature. Good: below 80 °C. From about 87 °C most data centre GPUs are "
                "close to slowing themselves down; the alert uses each GPU's own threshold.",
                f"max {EACH_NODE} ({TEMPERATURE})",
                unit="celsius",
                steps=HOT,
            ),
            by_node(
                UID,
                "Power of each node",
                "What the GPUs of a node draw together. Good: steady under load. A sudden drop "
                "under load is a job that stopped or a power brake.",
                f"sum {EACH_NODE} ({gpu('power_watts')})",
                unit="watt",
                defaults={"min": 0},
            ),
        ),
    )


def _health() -> Row:
    seconds = f"rate({gpu('clock_event_seconds_total', SLOWED_DOWN)}[$__rate_interval])"
    active = gpu("clock_event_active", SLOWED_DOWN)
    errors = f"increase({gpu('ecc_errors_total', UNCORRECTED)}[$__range])"
    return Row(
        "Health",
        (
            timeseries(
                "GPUs slowed down, by reason",
                "How many GPUs run below their clocks, and why: from the time counters where the "
                "driver has them, else from the state at the scrape. Good: 0. sw_power_cap under "
                "full load is normal; any thermal or hw reason is not.",
                query(f"sum by (reason) ({seconds} or {active})", "{{reason}}"),
                defaults={"min": 0},
            ),
            table(
                "Memory errors in this range",
                "The 20 GPUs with the most uncorrectable ECC errors. Good: every count is 0. One "
                "kills the job that meets it; a GPU that repeats them should be drained and "
                "replaced. GPUs without ECC are not listed.",
                f"topk(20, sum by (cluster, node, gpu) ({errors}))",
                "Errors",
                GPU_COLUMNS,
                steps=(("text", None), ("red", 0.5)),
                defaults={"decimals": 0},
                overrides=[link_to_node(UID)],
            ),
        ),
    )


def _waste() -> Row:
    return Row(
        "Waste",
        (
            table(
                "GPUs idle all this range",
                "Which GPUs never ran a kernel in the chosen range, the memory each holds, and "
                "the pods that have it; a shared GPU has a row for each pod. Good: empty over a "
                "day or more. Ask the owner before you take one away.",
                IDLE_WITH_PODS,
                "Memory held",
                {**GPU_COLUMNS, "namespace": "Namespace", "pod": "Pod"},
                unit="bytes",
                overrides=[link_to_node(UID)],
                size=(14, 8),
            ),
            table(
                "Memory held by no pod",
                "GPUs with more than 1 GiB in use and no pod on them: a process left behind, or "
                "started outside Kubernetes. Good: empty. Shown only for clusters in which "
                "exporters know the pods.",
                HELD_BY_NO_POD,
                "Memory held",
                GPU_COLUMNS,
                unit="bytes",
                overrides=[link_to_node(UID)],
                size=(10, 8),
            ),
        ),
    )


def _exporters() -> Row:
    up = f'up{{job="agentaflow-exporter",{CHOSEN}}}'
    timeouts = f"sum(increase({exporter('gpu_timeouts_total')}[$__rate_interval]))"
    errors = f"sum(increase({exporter('nvml_errors_total')}[$__rate_interval]))"
    nothing_failed = f"0 * count({exporter('driver_up')})"
    return Row(
        "Exporters",
        (
            timeseries(
                "What could not be read",
                "Exporters that do not answer, exporters without a driver, collectors that "
                "failed, GPUs that did not answer in time, and errors from NVML. Good: all 0.",
                query(f"sum(1 - {up})", "exporters down"),
                query(f"sum(1 - {exporter('driver_up')})", "without a driver", ref="B"),
                query(f"sum(1 - {exporter('collector_success')})", "collectors failed", ref="C"),
                query(f"{timeouts} or {nothing_failed}", "GPUs too slow", ref="D"),
                query(f"{errors} or {nothing_failed}", "NVML errors", ref="E"),
                defaults={"min": 0},
                custom={"axisSoftMax": 1},
                steps=(("transparent", None), ("red", 1.0)),
            ),
            by_node(
                UID,
                "Time of a scrape on each node",
                "How long an exporter took to read all its GPUs. Good: well below 1 s and steady. "
                "A driver that becomes slow shows here before GPUs are lost.",
                f"max {EACH_NODE} ({exporter('scrape_duration_seconds')})",
                unit="s",
                defaults={"min": 0},
            ),
        ),
    )
