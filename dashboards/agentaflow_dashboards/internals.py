"""The board about AgentaFlow itself: what its exporters and its advisor cost, and what fails."""

from __future__ import annotations

from typing import Any

from agentaflow_dashboards.frame import NONE_IS_GOOD, clusters, framed, nodes
from agentaflow_dashboards.kinds import Column, wide_table
from agentaflow_dashboards.modern import Row, Viz, query, stat, timeseries
from agentaflow_dashboards.nodes import by_node
from agentaflow_dashboards.promql import CHOSEN, EACH_NODE, exporter

TOP, MOST = 20, 10
OF_EXPORTERS = f'{{job="agentaflow-exporter",{CHOSEN}}}'
ADVISOR = "agentaflow_advisor_"


def internals() -> dict[str, Any]:
    return framed(
        "internals",
        "Exporter and advisor",
        "AgentaFlow itself: what it costs, what it could not read, how old its advice is.",
        [clusters(), nodes()],
        [
            Row("Now", _now()),
            Row("Exporters: what fails", _failures()),
            Row("Exporters: what they cost", _costs()),
            Row("Advisor", _advisor()),
            Row("Versions", (_versions(),)),
        ],
        since="now-1h",
        points=60,
    )


def _now() -> tuple[Viz, ...]:
    up = f"up{OF_EXPORTERS}"
    stale = f"max({ADVISOR}advice_stale)"
    return (
        stat(
            "Exporters that answer",
            "Of those that Prometheus scrapes. Good: all.",
            query(f"sum({up})", "answering", now=True),
            query(f"count({up})", "scraped", ref="B", now=True),
            size=(6, 4),
        ),
        stat(
            "Without a driver",
            "Exporters that answer and cannot load NVML. Good: 0.",
            query(f"sum(1 - {exporter('driver_up')})", now=True),
            steps=NONE_IS_GOOD,
        ),
        stat(
            "Slowest scrape",
            "Good: well below a second; above Prometheus' timeout there is nothing at all.",
            query(f"max({exporter('scrape_duration_seconds')})", now=True),
            unit="s",
            steps=(("green", None), ("orange", 1.0), ("red", 5.0)),
        ),
        stat(
            "Age of the advice",
            "Since the advisor last looked with success. Good: below 15 minutes.",
            query(f"time() - max({ADVISOR}last_success_timestamp_seconds)", now=True),
            unit="s",
            defaults={"decimals": 0},
            steps=(("green", None), ("orange", 900.0), ("red", 3600.0)),
        ),
        stat(
            "Advice is stale",
            "1 when the newest look failed and older advice is shown. Good: 0.",
            query(stale, now=True),
            steps=NONE_IS_GOOD,
            size=(3, 4),
        ),
        stat(
            "Analyses failed",
            "Analyses that ended with an error in the newest look: a bug to report. Good: 0.",
            query(f"sum({ADVISOR}analysis_failed)", now=True),
            steps=NONE_IS_GOOD,
            size=(3, 4),
        ),
    )


def _failures() -> tuple[Viz, ...]:
    return (
        timeseries(
            "Collectors that failed",
            "On how many nodes each collector had an error. Good: 0 for all.",
            query(f"sum by (collector) (1 - {exporter('collector_success')})", "{{collector}}"),
            defaults={"min": 0},
            custom={"axisSoftMax": 1},
        ),
        timeseries(
            "GPUs too slow for a scrape",
            f"New scrapes in which a GPU did not answer in time, at each point, the {TOP} nodes "
            "with most. Good: 0. A GPU that hangs shows here before it is lost.",
            query(
                f"topk({TOP}, sum {EACH_NODE} "
                f"(increase({exporter('gpu_timeouts_total')}[$__rate_interval])))",
                "{{node}}",
            ),
            defaults={"min": 0},
            custom={"axisSoftMax": 1},
        ),
    )


def _costs() -> tuple[Viz, ...]:
    cpu = f"rate(process_cpu_seconds_total{OF_EXPORTERS}[$__rate_interval])"
    return (
        by_node(
            "Slowest scrapes",
            f"How long an exporter took to read its GPUs, the {MOST} slowest. Good: steady. A "
            "driver that becomes slow shows here first.",
            f"topk({MOST}, max {EACH_NODE} ({exporter('scrape_duration_seconds')}))",
            unit="s",
            defaults={"min": 0},
        ),
        timeseries(
            "Time of each collector",
            "Mean over the nodes of the time that a collector took in a scrape. Good: steady; turn "
            "off with --no-collector.NAME what you do not need.",
            query(
                f"avg by (collector) ({exporter('collector_duration_seconds')})", "{{collector}}"
            ),
            unit="s",
            defaults={"min": 0},
        ),
        by_node(
            "CPU of the exporters",
            f"CPU seconds a second, the {MOST} highest. Good: below 0.01 at a scrape each 15 s.",
            f"topk({MOST}, sum {EACH_NODE} ({cpu}))",
            unit="percentunit",
            defaults={"min": 0},
        ),
        by_node(
            "Memory of the exporters",
            f"Resident memory, the {MOST} highest. Good: some 25 MiB, and it does not grow.",
            f"topk({MOST}, max {EACH_NODE} (process_resident_memory_bytes{OF_EXPORTERS}))",
            unit="bytes",
            defaults={"min": 0},
        ),
    )


def _advisor() -> tuple[Viz, ...]:
    seconds = f"rate({ADVISOR}cycle_duration_seconds_sum[$__rate_interval])"
    cycles = f"rate({ADVISOR}cycle_duration_seconds_count[$__rate_interval])"
    return (
        timeseries(
            "Time of a cycle",
            "Mean time to look, advise and act. Good: far below the interval between cycles.",
            query(f"sum({seconds}) / sum({cycles})", "seconds a cycle"),
            unit="s",
            defaults={"min": 0},
            size=(8, 8),
        ),
        timeseries(
            "Queries a second",
            "What the advisor asks of Prometheus. Good: steady; it does not grow with the fleet.",
            query(f"sum(rate({ADVISOR}queries_total[$__rate_interval]))", "queries"),
            unit="reqps",
            defaults={"min": 0},
            size=(8, 8),
        ),
        timeseries(
            "Cycles that failed",
            "In looking (observe), in writing down (record), in acting (act). Good: 0.",
            query(
                f"sum by (stage) (increase({ADVISOR}cycle_failures_total[$__rate_interval]))",
                "{{stage}}",
            ),
            defaults={"min": 0},
            custom={"axisSoftMax": 1},
            size=(8, 8),
        ),
    )


def _versions() -> Viz:
    both = (
        f"count by (version, python_version) ({exporter('build_info')})",
        f"count by (version, python_version) ({ADVISOR}build_info)",
    )
    return wide_table(
        "What runs where",
        "How many exporters and advisors run which version. Good: one row.",
        {"version": "Version", "python_version": "Python"},
        [Column("Exporters", both[0]), Column("Advisors", both[1])],
        size=(24, 5),
    )
