"""The Cost board: what namespaces pay for GPUs an hour, and what of it is paid for nothing.

GPUs are the exporter's, prices the advisor's; `agentaflow report cost` has the exact bill.
"""

from __future__ import annotations

from typing import Any

from agentaflow_dashboards.frame import clusters, framed, namespaces
from agentaflow_dashboards.held import EACH_GPU, PRICE, cost, shares, whole
from agentaflow_dashboards.kinds import Column, bars, wide_table
from agentaflow_dashboards.modern import Row, Viz, query, stat, timeseries
from agentaflow_dashboards.nodes import link_to_namespace
from agentaflow_dashboards.promql import PODS_KNOWN, SAME_GPU

EACH = "by (cluster, namespace, currency)"
BUSY = 'utilization_ratio{engine="gpu"}'
HOURS_A_MONTH = 730
MONEY = "in the currency of the price list"


def costs() -> dict[str, Any]:
    return framed(
        "cost",
        "Namespace and team cost",
        "What namespaces pay for their GPUs, at the advisor's newest prices.",
        [clusters(), namespaces()],
        [
            Row("Now", _now()),
            Row("Over time", _lines()),
            Row("Namespaces", (_namespaces(), _models())),
        ],
        since="now-24h",
    )


def _known() -> str:
    return whole("up")


def _free() -> str:
    held = f'max {EACH_GPU} (agentaflow_gpu_pod_info{{cluster=~"$cluster"}})'
    return f"({_known()} unless {SAME_GPU} {held} {PODS_KNOWN})"


def _unused() -> str:
    """The part of each pod's share in which no kernel ran."""
    return f"({shares()} * {SAME_GPU} group_left () (1 - {whole(BUSY)}))"


def _now() -> tuple[Viz, ...]:
    by = "sum by (currency)"
    hour = f"What all GPUs of the chosen clusters cost an hour, {MONEY}."
    return (
        _money("Cost an hour", f"{hour} Good: what the budget says.", f"{by} ({cost(_known())})"),
        _money(
            "Cost a month",
            f"The same for {HOURS_A_MONTH} hours. Good: below the budget. The exact bill of a past "
            "month is `agentaflow report cost`.",
            f"{by} ({cost(_known())}) * {HOURS_A_MONTH}",
            decimals=0,
        ),
        _money(
            "Held by pods, an hour",
            f"The part that the chosen namespaces hold, {MONEY}. Good: nearly all of it.",
            f"{by} ({cost(shares())})",
        ),
        _money(
            "Held by nobody, an hour",
            f"GPUs without a pod, {MONEY}. Good: little, and not for days.",
            f"{by} ({cost(_free())}) or {by} ({cost(f'({_known()} {PODS_KNOWN})')}) * 0",
        ),
        _money(
            "Held and not used, an hour",
            f"The share of time without a kernel on GPUs that pods hold, {MONEY}. Good: below a "
            "third of what is held.",
            f"{by} ({cost(_unused())})",
        ),
        stat(
            "GPUs without a price",
            "GPUs of nodes for which the advisor has no price: they are in none of these sums. "
            "Good: 0; else give prices with --prices.",
            query(
                f"count({_known()} unless on (cluster, node) "
                'agentaflow_advisor_gpu_price_per_hour{cluster=~"$cluster"})'
                f" or 0 * count({_known()})",
                now=True,
            ),
            steps=(("green", None), ("orange", 1.0)),
        ),
    )


def _money(title: str, description: str, expr: str, decimals: int = 2) -> Viz:
    return stat(
        title,
        description,
        query(expr, "{{currency}}", now=True),
        unit="locale",
        defaults={"decimals": decimals},
    )


def _lines() -> tuple[Viz, ...]:
    stacked = {"fillOpacity": 40, "stacking": {"group": "A", "mode": "normal"}}
    return (
        timeseries(
            "Cost of each namespace an hour",
            f"The 20 dearest, stacked, at today's price, {MONEY}. Good: it rises with work and "
            "falls at night.",
            query(f"topk(20, sum {EACH} ({cost(shares())}))", "{{namespace}} {{currency}}"),
            unit="locale",
            defaults={"min": 0, "decimals": 2},
            custom=stacked,
        ),
        timeseries(
            "Paid and not used an hour",
            f"The share of time without a kernel on GPUs that pods hold, the 20 dearest, {MONEY}. "
            "Good: near 0, and not the same line day and night.",
            query(f"topk(20, sum {EACH} ({cost(_unused())}))", "{{namespace}} {{currency}}"),
            unit="locale",
            defaults={"min": 0, "decimals": 2},
            custom=stacked,
        ),
    )


def _namespaces() -> Viz:
    used = f"sum {EACH} ({cost(shares())}) - sum {EACH} ({cost(_unused())})"
    return wide_table(
        "What each namespace pays",
        f"A row for each namespace; its name leads to its pods. Money is {MONEY}, at today's "
        "price. Good: what is used is most of what is paid. Teams are namespaces here; "
        "`agentaflow report cost --by team` reads a label.",
        {"cluster": "Cluster", "namespace": "Namespace", "currency": "Currency"},
        [
            Column("An hour", f"sum {EACH} ({cost(shares())})", "locale", more={"decimals": 2}),
            Column(
                "GPUs",
                f"sum {EACH} ({shares()} * on (cluster, node) group_left (currency)"
                f" ({PRICE} * 0 + 1))",
                more={"decimals": 1},
            ),
            Column("Used, an hour", used, "locale", more={"decimals": 2}),
            Column(
                "Used",
                f"({used}) / sum {EACH} ({cost(shares())})",
                "percentunit",
                (("orange", None), ("yellow", 0.3), ("green", 0.6)),
                {"decimals": 0},
            ),
            Column(
                "A month",
                f"sum {EACH} ({cost(shares())}) * {HOURS_A_MONTH}",
                "locale",
                more={"decimals": 0},
            ),
        ],
        overrides=[link_to_namespace()],
        size=(16, 9),
    )


def _models() -> Viz:
    model = 'max by (cluster, node, gpu, uuid, name) (agentaflow_gpu_info{cluster=~"$cluster"})'
    return bars(
        "Cost of each model an hour",
        f"What the GPUs of each model cost together, held or not, {MONEY}. Good: the dear ones do "
        "the work that needs them.",
        query(f"sum by (name, currency) ({cost(model)})", "{{name}} {{currency}}", now=True),
        unit="locale",
        defaults={"decimals": 2, "min": 0, "color": {"mode": "fixed", "fixedColor": "blue"}},
        size=(8, 9),
    )
