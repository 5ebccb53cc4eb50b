"""The Cost board: what namespaces pay for GPUs an hour, and what of it is paid for nothing.

GPUs are the exporter's, prices the advisor's; `agentaflow report cost` has the exact bill.
"""

from __future__ import annotations

from typing import Any

from agentaflow_dashboards.frame import DAY, budget, clusters, framed, namespaces
from agentaflow_dashboards.held import (
    HOURS_A_MONTH,
    PART_HELD,
    PRICE,
    averaged,
    cost,
    unheld,
    unused,
    whole,
)
from agentaflow_dashboards.kinds import Column, bars, wide_table
from agentaflow_dashboards.modern import Row, Viz, coloured, query, stat, timeseries
from agentaflow_dashboards.nodes import link_to_cluster, link_to_namespace
from agentaflow_dashboards.promql import short_name

EACH = "by (cluster, namespace, currency)"
BY = "sum by (currency)"
MONEY = "in the currency of the price list"
MEAN = "on average over the range, as the recording rules kept it"


def costs() -> dict[str, Any]:
    return framed(
        "cost",
        "Namespace and team cost",
        "What namespaces pay for their GPUs, at the advisor's newest prices.",
        [clusters(), namespaces(), budget()],
        [
            Row("Now, and on average over the range", (*_now(), *_on_average())),
            Row("Budget", _budget()),
            Row("Over time", _lines()),
            Row("Namespaces", (_namespaces(), _models())),
        ],
        **DAY,
    )


def _now() -> tuple[Viz, ...]:
    hour = f"{BY} ({cost(whole('up'))})"
    return (
        _money(
            "Cost an hour",
            f"What all GPUs of the chosen clusters cost an hour, {MONEY}. Good: what the budget "
            "says.",
            hour,
        ),
        _money(
            "Cost a month",
            f"The same for {HOURS_A_MONTH} hours. Good: below the budget. The exact bill of a past "
            "month is `agentaflow report cost`.",
            f"{hour} * {HOURS_A_MONTH}",
            a_month=True,
        ),
        stat(
            "No price",
            "GPUs of nodes for which the advisor has no price: they are in none of these sums. "
            "Good: 0; else give prices with --prices.",
            query(
                f"count({whole('up')} unless on (cluster, node) "
                'agentaflow_advisor_gpu_price_per_hour{cluster=~"$cluster"})'
                f" or 0 * count({whole('up')})",
                now=True,
            ),
            steps=(("green", None), ("orange", 1.0)),
            size=(3, 4),
        ),
    )


def _on_average() -> tuple[Viz, ...]:
    held = f"{BY} ({cost(PART_HELD)})"
    nobody = f"{BY} ({cost(unheld())})"
    return (
        _money(
            "Held by pods, an hour",
            f"The part that the chosen namespaces hold, {MEAN}; {MONEY}. Good: nearly all of it.",
            averaged(held),
        ),
        _money(
            "Held by nobody, an hour",
            f"GPUs without a pod, {MEAN}; {MONEY}. Good: little, and not for days.",
            averaged(nobody),
        ),
        _money(
            "Held and not used, an hour",
            f"The share of time without a kernel on GPUs that pods hold, {MEAN}; {MONEY}. Good: "
            "below a third of what is held.",
            averaged(f"{BY} ({cost(unused())})"),
        ),
    )


def _money(title: str, description: str, expr: str, *, a_month: bool = False) -> Viz:
    return stat(
        title,
        description,
        query(expr, "{{currency}}", now=True),
        named=True,
        unit="locale" if a_month else "none",  # locale drops zeros at the end
        defaults={"decimals": 0 if a_month else 2},
        size=(5 if a_month else 4, 4),
    )


def _budget() -> tuple[Viz, ...]:
    pace = f"{BY} ({cost(_present())}) * {HOURS_A_MONTH}"
    limit = f"(vector($budget) > 0) and on () {PRICE}"
    none = {"noValue": "no budget: write one at the top"}
    return (
        stat(
            "Of the budget",
            "The month's cost at the pace of this range, as share of the budget that is written at "
            "the top of the board. Good: below 100 %.",
            query(f"{averaged(pace)} / on () group_left () ({limit})", "{{currency}}", now=True),
            unit="percentunit",
            steps=(("green", None), ("orange", 0.9), ("red", 1.0)),
            defaults={"decimals": 0, **none},
            size=(5, 6),
        ),
        timeseries(
            "Pace of a month",
            f"What a month costs at the pace of each moment, {MONEY}, and the budget, dashed. "
            "Good: below it. The alerts AgentaflowCostBurnsFast and AgentaflowCostBurnsSlowly "
            "have a budget and a price of their own, in alerts/values.yaml.",
            query(pace, "a month, {{currency}}"),
            query(limit, "budget", ref="B"),
            unit="locale",
            defaults={"min": 0, "decimals": 0},
            overrides=[coloured("budget", "red", dashed=True)],
            size=(19, 6),
        ),
    )


def _present() -> str:
    return 'group by (cluster, node, uuid) (agentaflow:gpu_present:last5m{cluster=~"$cluster"})'


def _lines() -> tuple[Viz, ...]:
    stacked = {"fillOpacity": 40, "stacking": {"group": "A", "mode": "normal"}}
    return (
        timeseries(
            "Cost of each namespace an hour",
            f"The 20 dearest, stacked, at today's price, {MONEY}. Good: it rises with work and "
            "falls at night.",
            query(f"topk(20, sum {EACH} ({cost(PART_HELD)}))", "{{namespace}} {{currency}}"),
            defaults={"min": 0, "decimals": 2},
            custom=stacked,
        ),
        timeseries(
            "Paid and not used an hour",
            f"The share of five minutes without a kernel on GPUs that pods hold, the 20 dearest, "
            f"{MONEY}. Good: near 0, and not the same line day and night.",
            query(f"topk(20, sum {EACH} ({cost(unused())}))", "{{namespace}} {{currency}}"),
            defaults={"min": 0, "decimals": 2},
            custom=stacked,
        ),
    )


def _namespaces() -> Viz:
    paid = averaged(f"sum {EACH} ({cost(PART_HELD)})")
    idle = averaged(f"sum {EACH} ({cost(unused())})")
    gpus = f"({PART_HELD} * on (cluster, node) group_left (currency) ({PRICE} * 0 + 1))"
    return wide_table(
        "What each namespace pays",
        f"A row for each namespace, {MEAN}; its name leads to its pods. Money is {MONEY}, at "
        "today's price. Good: what is used is most of what is paid. Teams are namespaces here; "
        "`agentaflow report cost --by team` reads a label.",
        {"cluster": "Cluster", "namespace": "Namespace", "currency": "Currency"},
        [
            Column("An hour", paid, more={"decimals": 2}),
            Column("GPUs", averaged(f"sum {EACH} ({gpus})"), more={"decimals": 1}),
            Column("Unused an hour", idle, more={"decimals": 2}),
            Column(
                "Used",
                f"1 - {idle} / {paid}",
                "percentunit",
                (("orange", None), ("yellow", 0.3), ("green", 0.6)),
                {"decimals": 0},
            ),
            Column("A month", f"{paid} * {HOURS_A_MONTH}", "locale", more={"decimals": 0}),
        ],
        overrides=[link_to_cluster(), link_to_namespace()],
        size=(16, 7),
    )


def _models() -> Viz:
    model = 'max by (cluster, node, gpu, uuid, name) (agentaflow_gpu_info{cluster=~"$cluster"})'
    return bars(
        "Cost of each model an hour",
        f"What the GPUs of each model cost together, held or not, {MONEY}. Good: the dear ones do "
        "the work that needs them.",
        query(
            f"sort_desc({short_name(f'sum by (name, currency) ({cost(model)})')})",
            "{{name}}, {{currency}}",
            now=True,
        ),
        defaults={"decimals": 2, "min": 0, "color": {"mode": "fixed", "fixedColor": "blue"}},
        names="top",
        size=(8, 7),
    )
