"""The Workload board: pods that hold GPUs, and what they make of them."""

from __future__ import annotations

from typing import Any

from agentaflow_dashboards.frame import (
    BUSY_IS_GOOD,
    clusters,
    framed,
    namespaces,
    pods,
)
from agentaflow_dashboards.held import POD, each_reading, part_of_reading, shares
from agentaflow_dashboards.held import pods as held
from agentaflow_dashboards.kinds import Column, bars, wide_table
from agentaflow_dashboards.modern import Row, Viz, query, stat, timeseries
from agentaflow_dashboards.nodes import (
    line_to_pod,
    link_to_gpu,
    link_to_namespace,
    link_to_node,
    link_to_pod,
)
from agentaflow_dashboards.promql import leading, lowest

MOST = 10
BUSY = 'utilization_ratio{engine="gpu"}'
EACH = "by (cluster, namespace, pod)"
COLUMNS = {"cluster": "Cluster", "namespace": "Namespace", "pod": "Pod"}


def workload() -> dict[str, Any]:
    return framed(
        "workload",
        "Workload",
        "Pods that hold GPUs: how many, how busy, how much memory and power.",
        [clusters(), namespaces(), pods()],
        [
            Row("Now", _now()),
            Row("Pods that stand out", _lines()),
            Row("Each pod", (_pods(), _places())),
        ],
    )


def _now() -> tuple[Viz, ...]:
    busy = each_reading(BUSY, POD)
    return (
        stat(
            "Pods with GPUs",
            "Pods that hold a GPU. Good: as many as you run. Missing where exporters do not know "
            "the pods: --attribution.kubelet-socket.",
            query(f"count(count {EACH} ({held(POD)}))", now=True),
        ),
        stat(
            "GPUs held",
            "A GPU that three pods share counts as a third for each. Good: what the quota says.",
            query(f"sum({shares(POD)})", now=True),
            defaults={"decimals": 1},
        ),
        stat(
            "Utilisation",
            "Mean over the GPUs that the chosen pods hold. Good: above 60 %.",
            query(f"avg({busy})", now=True),
            unit="percentunit",
            steps=BUSY_IS_GOOD,
            defaults={"decimals": 0},
        ),
        stat(
            "Pods that do nothing",
            "Pods none of whose GPUs runs a kernel now. Good: 0 for longer than a pause.",
            query(f"count(max {EACH} ({busy}) == 0) or 0 * count({held(POD)})", now=True),
            steps=(("green", None), ("orange", 1.0)),
        ),
        stat(
            "Memory",
            "GPU memory in use on the GPUs they hold. Good: it goes with the work.",
            query(f"sum({part_of_reading('memory_used_bytes', POD)})", now=True),
            unit="bytes",
        ),
        stat(
            "Power",
            "Their part of what the GPUs draw. Good: it goes with the work.",
            query(f"sum({part_of_reading('power_watts', POD)})", now=True),
            unit="watt",
        ),
    )


def _lines() -> tuple[Viz, ...]:
    return (
        bars(
            "Least busy pods",
            f"Mean utilisation of the GPUs of a pod over the range, the {MOST} lowest. Good: high. "
            "A pod at 0 for hours holds what another waits for.",
            query(
                lowest(f"avg {EACH} ({each_reading(BUSY, POD)})", most=MOST),
                "{{pod}}",
                now=True,
            ),
            unit="percentunit",
            steps=BUSY_IS_GOOD,
            defaults={"min": 0, "max": 1, "decimals": 0, "links": [line_to_pod()]},
        ),
        _each(
            "Memory of the pods that hold most",
            f"GPU memory on the GPUs that a pod holds, the {MOST} highest. Good: it falls when the "
            "job ends.",
            f"sum {EACH} ({part_of_reading('memory_used_bytes', POD)})",
            unit="bytes",
        ),
        _each(
            "Power of the pods that draw most",
            f"Their part of what the GPUs draw, the {MOST} highest. Good: steady under load.",
            f"sum {EACH} ({part_of_reading('power_watts', POD)})",
            unit="watt",
        ),
        _each(
            "GPUs held by the largest pods",
            f"How many GPUs a pod holds, the {MOST} largest. Good: a step up at its start, a step "
            "down at its end.",
            f"sum {EACH} ({shares(POD)})",
        ),
    )


def _each(title: str, description: str, expr: str, unit: str = "none") -> Viz:
    return timeseries(
        title,
        description,
        query(leading(expr, "cluster, namespace, pod", most=MOST), "{{namespace}}/{{pod}}"),
        unit=unit,
        defaults={"min": 0, "links": [line_to_pod()]},
    )


def _pods() -> Viz:
    return wide_table(
        "Pods",
        "A row for each pod. Good: utilisation above 60 %; many GPUs and little work is what to "
        "talk about with the owner.",
        COLUMNS,
        [
            Column("GPUs", f"sum {EACH} ({shares(POD)})", more={"decimals": 1}),
            Column(
                "Utilisation",
                f"avg {EACH} ({each_reading(BUSY, POD)})",
                "percentunit",
                BUSY_IS_GOOD,
                {"decimals": 0},
            ),
            Column("Memory", f"sum {EACH} ({part_of_reading('memory_used_bytes', POD)})", "bytes"),
            Column("Power", f"sum {EACH} ({part_of_reading('power_watts', POD)})", "watt"),
        ],
        overrides=[link_to_namespace(), link_to_pod()],
        size=(24, 12),
    )


def _places() -> Viz:
    return wide_table(
        "Where they run",
        "A row for each GPU that a pod holds; node and GPU lead to their boards. Good: the GPUs of "
        "a job on as few nodes as it needs.",
        {**COLUMNS, "node": "Node", "gpu": "GPU"},
        [
            Column(
                "Utilisation of the GPU",
                f"max by (cluster, namespace, pod, node, gpu) ({each_reading(BUSY, POD)})",
                "percentunit",
                BUSY_IS_GOOD,
                {"decimals": 0},
            )
        ],
        overrides=[link_to_node(), link_to_gpu(), link_to_namespace(), link_to_pod()],
        size=(24, 12),
    )
