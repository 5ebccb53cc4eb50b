"""The Waste and advice board: what the advisor recommends, and the idle GPUs behind it."""

from __future__ import annotations

from typing import Any

from agentaflow_dashboards.frame import DAY, GPU_COLUMNS, NONE_IS_BEST, clusters, framed, nodes
from agentaflow_dashboards.held import HOURS_A_MONTH, cost
from agentaflow_dashboards.kinds import Column, bars, wide_table
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
from agentaflow_dashboards.nodes import (
    link_to_gpu,
    link_to_namespace,
    link_to_node,
    link_to_pod,
)
from agentaflow_dashboards.promql import (
    HELD_BY_NO_POD,
    IDLE,
    IDLE_WITH_PODS,
    JUDGED,
    SAME_BOARD,
    SAME_GPU,
    UTILIZATION,
    WITH_PODS,
    advised,
    recorded,
)

NONE_IF_ADVISED = "0 * sum(agentaflow_advisor_refusals)"
"""0 where there is advice and it is empty; nothing where there is none."""
LISTED = advised("recommendation_info", 'node=~"$node"')
KIND = "{{kind}} {{currency}}"


def waste() -> dict[str, Any]:
    return framed(
        "waste",
        "Waste and advice",
        "What AgentaFlow recommends, what that would save, and which GPUs do nothing.",
        [clusters(), nodes()],
        [
            Row("Now", (*_to_save(), *_idle_now(), *_the_look())),
            Row("Advice", (_recommendations(), *_kinds())),
            Row("Idle GPUs", (*_idle(), *_lines())),
        ],
        **DAY,
    )


def _to_save() -> tuple[Viz, ...]:
    return (
        stat(
            "Would save a month",
            "What all active recommendations of the chosen clusters would save together, each GPU "
            "once, whatever nodes are chosen; in the currency of the price list. The curve is the "
            "range. Good: 0.",
            query(
                f"sum by (currency) ({advised('recommendation_savings_together_per_month')})"
                f" or on () {NONE_IF_ADVISED}",
                "{{currency}}",
            ),
            named=True,
            unit="locale",
            defaults={"decimals": 0},
            steps=NONE_IS_BEST,
        ),
        stat(
            "Recommendations",
            "Active ones of the chosen nodes, of those that are listed below; those that somebody "
            "snoozed or dismissed are not counted. Good: 0.",
            query(f"count({LISTED}) or {NONE_IF_ADVISED}", now=True),
            steps=NONE_IS_BEST,
        ),
    )


def _idle_now() -> tuple[Viz, ...]:
    return (
        stat(
            "Idle all this range",
            "GPUs on which no kernel ran in the whole range. Good: 0 over a day. Needs the "
            "recording rules; GPUs that they did not record when the range began are not judged.",
            query(f"count({IDLE}) or 0 * {JUDGED}", now=True),
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
    )


def _the_look() -> tuple[Viz, ...]:
    return (
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
        "currency": "Currency",
        "cluster": "Cluster",
        "node": "Node",
        "gpu": "GPU",
        "namespace": "Namespace",
        "pod": "Pod",
        "id": "Id",
    }
    about = f"max by (id, kind, cluster, node, gpu, namespace, pod) ({LISTED})"
    saving = "max by (id, currency) (agentaflow_advisor_recommendation_saving_per_month)"
    first = "agentaflow_advisor_recommendation_first_seen_timestamp_seconds"
    return wide_table(
        "Recommendations, dearest first",
        "What could be done and what it saves a month; `agentaflow recommend` has the evidence. An "
        "empty saving is a matter of health. Good: an empty table.",
        labels,
        [
            Column(
                "Saves a month", f"{saving} and on (id) {LISTED}", "locale", more={"decimals": 0}
            ),
            Column("About", about),
            Column("Known for", f"time() - max by (id) ({first} and on (id) {LISTED})", "s"),
        ],
        order=["What", "Saves a month", *list(labels.values())[1:-1], "Known for", "Id", "About"],
        overrides=[
            override("What", {"custom.width": 160}),
            override("Saves a month", {"custom.width": 120}),
            override("Currency", {"custom.width": 80}),
            override("GPU", {"custom.width": 60}),
            override("Known for", {"custom.width": 90}),
            override("Id", {"custom.width": 260}),
            link_to_node(),
            link_to_gpu(),
            link_to_namespace(),
            link_to_pod(),
        ],
        hidden={"Value #B": True},
        size=(24, 12),
    )


def _kinds() -> tuple[Viz, ...]:
    saving = advised("recommendation_savings_per_month")
    active = advised("recommendations", 'state="active"')
    return (
        bars(
            "What each kind would save a month",
            "Kinds may be about the same GPU: do not add them. Of the chosen clusters, whatever "
            "nodes are chosen. Good: none.",
            query(f"sort_desc(sum by (kind, currency) ({saving}))", KIND, now=True),
            unit="locale",
            steps=NONE_IS_BEST,
            defaults={"min": 0, "decimals": 0},
            names="top",
            size=(12, 7),
        ),
        bars(
            "Active recommendations of each kind",
            "How many there are now, of the chosen clusters. Good: none.",
            query(f"sort_desc(sum by (kind) ({active}) > 0)", "{{kind}}", now=True),
            steps=NONE_IS_BEST,
            defaults={"min": 0},
            names="top",
            size=(12, 7),
        ),
    )


def _idle() -> tuple[Viz, ...]:
    each = "max by (cluster, node, gpu, namespace, pod)"
    a_month = f"({WITH_PODS} and {SAME_GPU} {IDLE}) * {HOURS_A_MONTH}"
    return (
        wide_table(
            "GPUs idle all this range",
            "Which GPUs never ran a kernel in the chosen range, what they cost, the memory each "
            "holds, and the pods that have it; a shared GPU has a row, and its whole price, for "
            "each pod. Good: empty over a day or more. Ask the owner before you take one away.",
            {**GPU_COLUMNS, "namespace": "Namespace", "pod": "Pod", "currency": "Currency"},
            [
                Column("Memory held", f"{each} ({IDLE_WITH_PODS})", "bytes"),
                Column(
                    "Costs a month",
                    f"max by (cluster, node, gpu, namespace, pod, currency) ({cost(a_month)})",
                    "locale",
                    more={"decimals": 0},
                ),
            ],
            overrides=[link_to_node(), link_to_gpu(), link_to_namespace(), link_to_pod()],
            size=(16, 9),
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
            size=(8, 9),
        ),
    )


def _lines() -> tuple[Viz, ...]:
    unused = f"max by (cluster, node, uuid) ({recorded('utilization_ratio:max')}) == 0"
    held = f"max by (cluster, node, uuid) ({recorded('held_ratio:last')})"
    return (
        timeseries(
            "GPUs without a kernel",
            "How many ran none for five minutes, those that a pod holds and those that none does. "
            "Good: few; a flat line day and night is GPUs that nobody needs. Needs the recording "
            "rules.",
            query(f"count({unused} and {SAME_BOARD} {held}) or 0 * count({held})", "held by pods"),
            query(
                f"count({unused} unless {SAME_BOARD} {held}) or 0 * count({held})",
                "held by nobody",
                ref="B",
            ),
            defaults={"min": 0},
            custom={"fillOpacity": 40, "stacking": {"group": "A", "mode": "normal"}},
            overrides=[coloured("held by pods", "orange"), coloured("held by nobody", "blue")],
            size=(24, 7),
        ),
    )
