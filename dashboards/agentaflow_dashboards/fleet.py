"""The Fleet board: how many GPUs there are, how well they work, and which need somebody.

Nothing on it grows with the fleet: lines are by cluster, tables have a top, heat is in buckets.
"""

from __future__ import annotations

from typing import Any

from agentaflow_dashboards.frame import (
    BUSY_IS_GOOD,
    GPU_COLUMNS,
    NONE_IS_BEST,
    NONE_IS_GOOD,
    clusters,
    framed,
    link,
    nodes,
)
from agentaflow_dashboards.kinds import Column, all_buckets, heatmap, wide_table
from agentaflow_dashboards.modern import (
    Row,
    Viz,
    coloured,
    override,
    query,
    stat,
    table,
    timeseries,
)
from agentaflow_dashboards.names import COLOUR_OF_REASON, DCGM, OURS, Names, slowed
from agentaflow_dashboards.nodes import SELF, line_to_cluster, link_to_gpu, link_to_node
from agentaflow_dashboards.promql import CHOSEN, IDLE, JUDGED, exporter, or_none

EACH_CLUSTER = "by (cluster)"
MOST = 20
COOLEST, HOTTEST = 20, 95  # °C, of the rows
FEWER_POINTS = 72  # where a GPU or node has many series: every 5 minutes of 6 hours


def fleet() -> dict[str, Any]:
    return _board(OURS)


def fleet_dcgm() -> dict[str, Any]:
    return _board(DCGM)


def _board(names: Names) -> dict[str, Any]:
    rows = [
        Row("Now", (*_counts(names), *_totals(names))),
        Row("Clusters", (_clusters(names),)),
        Row("Heat", _heat(names)),
        Row("Work and power", _work(names)),
        Row("Health", _health(names)),
    ]
    if names.ours:
        rows.append(Row("Exporters", (_unread(),)))
    return framed(
        "fleet",
        "Fleet",
        "Every GPU of the chosen clusters: work, heat, power and errors.",
        [clusters(names), nodes(names)],
        rows,
        names=names,
    )


def _counts(names: Names) -> tuple[Viz, ...]:
    if not names.ours:
        return _known(names)
    up = names("known")
    return (
        stat(
            "GPUs",
            "GPUs that answered the last scrape, of those the exporters know. "
            "Good: both numbers are the same, and as many as you pay for.",
            query(f"sum({up})", "answering", now=True),
            query(f"count({up})", "known", ref="B", now=True),
        ),
        stat(
            "GPUs lost",
            "GPUs that are known but do not answer: fallen off the bus, hung, or in need of "
            "a reset. Good: 0. GPUs that the driver no longer lists are not in this number; "
            "the alert AgentaflowGpuLost counts them as well.",
            query(f"sum(1 - {up})", now=True),
            steps=NONE_IS_GOOD,
        ),
        stat(
            "Idle all this range",
            "GPUs on which no kernel was seen running in the whole chosen range. GPUs that "
            "were not there at its start are not judged. Good: 0 over a day or more. Needs the "
            "recording rules.",
            query(f"count({IDLE}) or 0 * {JUDGED}", now=True),
            steps=NONE_IS_BEST,
        ),
    )


def _known(names: Names) -> tuple[Viz, ...]:
    known = names("known")
    before = known.replace("}", "} offset $__range", 1)
    gone = f"{before} unless on (cluster, {names.node}, {names.uuid}) {known}"
    return (
        stat(
            "GPUs",
            "GPUs that dcgm-exporter tells of. Good: as many as you pay for.",
            query(f"count({known})", now=True),
        ),
        stat(
            "GPUs gone in this range",
            "GPUs that dcgm-exporter told of when the range began, and no more. Good: 0: a GPU "
            "that is lost just vanishes under these names.",
            query(f"count({gone}) or 0 * count({before})", now=True),
            steps=NONE_IS_GOOD,
            size=(5, 4),
        ),
    )


def _totals(names: Names) -> tuple[Viz, ...]:
    wide = (4, 4) if names.ours else (5, 4)
    return (
        stat(
            "Utilisation",
            "Mean share of time in which a kernel ran, over all GPUs, at the last scrape. "
            "Good: above 60 %. High does not mean efficient: a kernel on one of the "
            "multiprocessors counts as fully busy.",
            query(f"avg({names('utilization')})", now=True),
            unit="percentunit",
            defaults={"decimals": 0},
            steps=BUSY_IS_GOOD,
            size=wide,
        ),
        stat(
            "Power",
            "What all GPUs draw together now. Good: it follows utilisation; a fleet that "
            "draws much and works little is held up by something else than GPUs.",
            query(f"sum({names('power')})", now=True),
            unit="watt",
            size=wide,
        ),
        stat(
            "Energy in this range",
            "Energy that the GPUs used in the chosen time range, from their own counters. "
            "Hosts, fans and cooling are not in it. Good: in proportion to the work done.",
            query(f"sum({names.grown('energy')}) / 3600", now=True),
            unit="watth",
            size=wide,
        ),
    )


def _clusters(names: Names) -> Viz:
    known, busy = names("known"), names("utilization")
    return wide_table(
        "Each cluster",
        "A row for each cluster; its name leads to its board. Good: as many GPUs as you pay for, "
        "mean utilisation above 60 %, and no GPU near 87 °C.",
        {"cluster": "Cluster"},
        [
            Column("GPUs", f"count {EACH_CLUSTER} ({known})"),
            Column("Nodes", f"count {EACH_CLUSTER} (count {names.each_node} ({known}))"),
            Column("Utilisation", f"avg {EACH_CLUSTER} ({busy})", "percentunit", BUSY_IS_GOOD),
            Column("Memory in use", f"avg {EACH_CLUSTER} ({names('memory_ratio')})", "percentunit"),
            Column("Power", f"sum {EACH_CLUSTER} ({names('power')})", "watt"),
            Column(
                "Hottest GPU",
                f"max {EACH_CLUSTER} ({names('temperature')})",
                "celsius",
                (("text", None), ("orange", 80.0), ("red", 87.0)),
            ),
        ],
        overrides=[override("Cluster", {"links": [_to_cluster(names)]})],
        size=(24, 4),
    )


def _to_cluster(names: Names) -> dict[str, str]:
    if names.ours:
        return link("This cluster", names.board("cluster"), cluster=SELF)
    return link("Only this cluster", names.board("fleet"), cluster=SELF)


def _heat(names: Names) -> tuple[Viz, ...]:
    busy = f'count_values("busy", (ceil({names("utilization")} * 10) - 1) * 10)'
    busy = f'label_replace({busy}, "busy", "over $1 %", "busy", "(\\\\d+)")'
    busy = f'label_replace({busy}, "busy", "idle", "busy", "-10")'
    hot = f"clamp(floor({names('temperature')} / 5) * 5, {COOLEST}, {HOTTEST})"
    hot = f'label_replace(count_values("hot", {hot}), "hot", "$1 °C", "hot", "(.+)")'
    return (
        heatmap(
            "GPUs by utilisation",
            "How many GPUs were how busy: each row is ten percent, the lowest ran no kernel. 11 "
            "series, however large the fleet. Good: the colour is at the top. A band that stays at "
            "the bottom is GPUs that nobody uses.",
            query(
                all_buckets(
                    busy, "busy", ["idle", *(f"over {low} %" for low in range(0, 100, 10))]
                ),
                "{{busy}}",
            ),
        ),
        heatmap(
            "GPUs by temperature",
            "How many GPUs were how warm: each row is five degrees, named by its lower end; the "
            "last ones hold what is beyond. 16 series. Good: nothing at 85 and above. One band "
            "apart from the others is a rack that is cooled differently.",
            query(
                all_buckets(hot, "hot", [f"{low} °C" for low in range(COOLEST, HOTTEST + 1, 5)]),
                "{{hot}}",
            ),
        ),
    )


def _work(names: Names) -> tuple[Viz, ...]:
    links = {"links": [line_to_cluster()]} if names.ours else {}
    return (
        timeseries(
            "Utilisation of each cluster",
            "Mean over the GPUs of a cluster. Good: high and even by day and night.",
            query(f"avg {EACH_CLUSTER} ({names('utilization')})", "{{cluster}}"),
            unit="percentunit",
            defaults={"min": 0, "max": 1, **links},
        ),
        timeseries(
            "Power of each cluster",
            "What the GPUs of a cluster draw together. Good: it follows utilisation. A sudden drop "
            "under load is a job that stopped or a power brake.",
            query(f"sum {EACH_CLUSTER} ({names('power')})", "{{cluster}}"),
            unit="watt",
            defaults={"min": 0, **links},
        ),
    )


def _health(names: Names) -> tuple[Viz, ...]:
    return (
        timeseries(
            "GPUs slowed down, by reason",
            "How many GPUs run below their clocks at each look, and why. Good: 0. sw_power_cap, "
            "blue, is normal under full load; any thermal or hw reason is not.",
            *(
                query(expr, legend, ref=chr(ord("A") + index))
                for index, (legend, expr) in enumerate(slowed(names).items())
            ),
            defaults={"min": 0},
            custom={"axisSoftMax": 1, "showPoints": "never"},
            overrides=[coloured(reason, colour) for reason, colour in COLOUR_OF_REASON.items()],
            maxDataPoints=FEWER_POINTS,
        ),
        _memory_errors(names),
    )


def _memory_errors(names: Names) -> Viz:
    keys = f"cluster, {names.node}, gpu"
    errors = names.numbered(names.grown("uncorrected"))
    errors = f"topk({MOST}, sum by ({keys}) ({errors}) > 0)"
    return table(
        "Memory errors in this range",
        f"The {MOST} GPUs with the most uncorrectable ECC errors; a row called none where there "
        "were none. Good: that row. One kills the job that meets it; a GPU that repeats them "
        "should be drained and replaced. GPUs without ECC are not judged.",
        or_none(errors, names.counted("uncorrected")),
        "Errors",
        {names.node if key == "node" else key: text for key, text in GPU_COLUMNS.items()},
        steps=(("text", None), ("red", 0.5)),
        defaults={"decimals": 0},
        overrides=[link_to_node(names), link_to_gpu(names)],
    )


def _unread() -> Viz:
    up = f'up{{job="agentaflow-exporter",{CHOSEN}}}'
    errors = f"sum(increase({exporter('nvml_errors_total')}[$__rate_interval]))"
    nothing_failed = f"0 * count({exporter('driver_up')})"
    return timeseries(
        "What could not be read",
        "Exporters that do not answer, exporters without a driver, collectors that "
        "failed, GPUs that are lost or did not answer in time, and errors from NVML. Good: all 0.",
        query(f"sum(1 - {up})", "exporters down"),
        query(f"sum(1 - {exporter('driver_up')})", "without a driver", ref="B"),
        query(f"sum(1 - {exporter('collector_success')})", "collectors failed", ref="C"),
        query(f"sum(1 - {OURS('known')})", "GPUs without an answer", ref="D"),
        query(f"{errors} or {nothing_failed}", "NVML errors", ref="E"),
        defaults={"min": 0},
        custom={"axisSoftMax": 1, "showPoints": "never"},
        steps=(("transparent", None), ("red", 1.0)),
        maxDataPoints=FEWER_POINTS,
        size=(24, 6),
    )
