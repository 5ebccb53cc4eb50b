"""The Waste and advice board: what the advisor recommends, and the idle GPUs behind it."""

from __future__ import annotations

from typing import Any

from agentaflow_dashboards.frame import GPU_COLUMNS, NONE_IS_BEST, clusters, framed, nodes
from agentaflow_dashboards.kinds import Column, bars, wide_table
from agentaflow_dashboards.modern import Row, Viz, override, query, stat, table, timeseries
from agentaflow_dashboards.nodes import link_to_gpu, link_to_node
from agentaflow_dashboards.promql import (
    HELD_BY_NO_POD,
    IDLE,
    IDLE_WITH_PODS,
    UTILIZATION,
    advised,
    gpu,
)

NONE_IF_ADVISED = "0 * sum(agentaflow_advisor_refusals)"
"""0 where there is advice and it is empty; nothing where there is none."""


def waste() -> dict[str, Any]:
    return framed(
        "waste",
        "Waste and advice",
        "What AgentaFlow recommends, what that would save, and which GPUs do nothing.",
        [clusters(), nodes()],
        [
            Row("Now", _now()),
            Row("Advice", (_recommendations(), *_over_time())),
            Row("Idle GPUs", _idle()),
        ],
        since="now-24h",
    )


def _now() -> tuple[Viz, ...]:
    active = advised("recommendations", 'state="active"')
    return (
        stat(
            "Would save a month",
            "What all active recommendations would save together, each GPU once, in the currency "
            "of the price list. Good: 0, or on its way there.",
            query(
                f"sum by (currency) ({advised('recommendation_savings_together_per_month')})"
                f" or on () {NONE_IF_ADVISED}",
                "{{currency}}",
                now=True,
            ),
            unit="locale",
            defaults={"decimals": 0},
            steps=NONE_IS_BEST,
        ),
        stat(
            "Recommendations",
            "Active ones; those that somebody snoozed or dismissed are not counted. Good: 0.",
            query(f"sum({active}) or {NONE_IF_ADVISED}", now=True),
            steps=NONE_IS_BEST,
        ),
        stat(
            "Idle all this range",
            "GPUs on which no kernel ran in the whole range. Good: 0 over a day.",
            query(f"count({IDLE}) or 0 * count({gpu('up')} offset $__range)", now=True),
            steps=NONE_IS_BEST,
        ),
        stat(
            "Idle now",
            "Share of GPUs without a kernel at the last scrape. Good: below 20 %.",
            query(f"1 - avg({UTILIZATION} > bool 0)", now=True),
            unit="percentunit",
            defaults={"decimals": 0},
            steps=(("green", None), ("yellow", 0.2), ("orange", 0.5)),
        ),
        stat(
            "Not judged",
            "What the newest look could not judge, for want of evidence. Good: few; the reasons "
            "are in `agentaflow recommend`. A refusal is not a clean bill.",
            query("sum(agentaflow_advisor_refusals)", now=True),
        ),
        stat(
            "Age of the advice",
            "Since the advisor last looked at the fleet with success. Good: below 15 minutes.",
            query("time() - max(agentaflow_advisor_last_success_timestamp_seconds)", now=True),
            unit="s",
            defaults={"decimals": 0},
            steps=(("green", None), ("orange", 900.0), ("red", 3600.0)),
        ),
    )


def _recommendations() -> Viz:
    labels = {
        "kind": "What",
        "cluster": "Cluster",
        "node": "Node",
        "gpu": "GPU",
        "namespace": "Namespace",
        "pod": "Pod",
        "currency": "Currency",
        "id": "Id",
    }
    info = advised("recommendation_info")
    about = f"max by (id, kind, cluster, node, gpu, namespace, pod) ({info})"
    saving = "max by (id, currency) (agentaflow_advisor_recommendation_saving_per_month)"
    first = "agentaflow_advisor_recommendation_first_seen_timestamp_seconds"
    return wide_table(
        "Recommendations, dearest first",
        "What could be done and what it saves a month; `agentaflow recommend` has the evidence. An "
        "empty saving is a matter of health. Good: an empty table.",
        labels,
        [
            Column("Saves a month", f"{saving} and on (id) {info}", "locale", more={"decimals": 2}),
            Column("About", about),
            Column("Known for", f"time() - max by (id) ({first} and on (id) {info})", "s"),
        ],
        overrides=[
            override("Id", {"custom.width": 240}),
            link_to_node(),
            link_to_gpu(),
        ],
        hidden={"Value #B": True},
        size=(24, 12),
    )


def _over_time() -> tuple[Viz, ...]:
    saving = advised("recommendation_savings_per_month")
    active = advised("recommendations", 'state="active"')
    return (
        timeseries(
            "What each kind would save a month",
            "Kinds may be about the same GPU: do not add them. Good: the lines fall.",
            query(f"sum by (kind, currency) ({saving})", "{{kind}} {{currency}}"),
            unit="locale",
            defaults={"min": 0},
        ),
        bars(
            "Active recommendations of each kind",
            "How many there are now. Good: none.",
            query(f"sum by (kind) ({active})", "{{kind}}", now=True),
            steps=NONE_IS_BEST,
            defaults={"min": 0},
        ),
    )


def _idle() -> tuple[Viz, ...]:
    return (
        table(
            "GPUs idle all this range",
            "Which GPUs never ran a kernel in the chosen range, the memory each holds, and "
            "the pods that have it; a shared GPU has a row for each pod. Good: empty over a "
            "day or more. Ask the owner before you take one away.",
            IDLE_WITH_PODS,
            "Memory held",
            {**GPU_COLUMNS, "namespace": "Namespace", "pod": "Pod"},
            unit="bytes",
            overrides=[link_to_node(), link_to_gpu()],
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
            overrides=[link_to_node(), link_to_gpu()],
            size=(10, 8),
        ),
    )
