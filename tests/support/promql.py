"""What a PromQL text uses, held against what the exporter declares; shared by boards and alerts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import promql_parser

from agentaflow_advisor.history.life import Life
from agentaflow_advisor.model import Money
from agentaflow_advisor.price import NodePrice
from agentaflow_advisor.web.metrics import StatusCollector
from agentaflow_advisor.web.status import Status
from agentaflow_exporter.metrics import ALL
from tests.support.advice import advice, recommendation

TARGET_LABELS = {"job", "instance", "cluster", "node"}
OF_PROMETHEUS = {"up": set[str](), "ALERTS": {"alertname", "alertstate", "severity"}}
OF_RECORDED = {"exporter", "namespace", "reason", "step", "uuid", "xid"}
REPOSITORY = Path(__file__).parents[2]
DOCS = REPOSITORY / "docs"
RULES = sorted((REPOSITORY / "alerts" / "rules").glob("*.yaml"))


def _status() -> Status:
    """One with something of everything, so that every metric has a sample."""
    found = recommendation()
    each = Money(Decimal("6.88"), "USD")
    price = NodePrice("p5", each, each, each, assumed=False)
    life = Life(found.id, found.kind, "idle", found.what, found.where, each, 1.0, 2.0, 1)
    made = advice([found], lives={found.id: life}, prices={("", "node-0"): price})
    return Status(advice=made, observed_at=1.0, decisions={})


def _of_dcgm() -> Iterator[tuple[str, bool]]:
    """Its names of years, as docs/compat.md lists them, and whether DCGM counts with them."""
    rows = re.findall(r"\| `(DCGM_\w+)` \| .*? \| (\w+) \|", (DOCS / "compat.md").read_text())
    yield from ((name, kind == "counter") for name, kind in rows)


OF_ADVISOR: Mapping[str, set[str]] = {
    sample.name: set(sample.labels)
    for family in StatusCollector(_status, most=1).collect()
    for sample in family.samples
}
DCGM_LABELS = {"gpu", "UUID", "Hostname", "modelName", "namespace", "pod", "container"}
OURS = {metric.name: set(metric.labels) for metric in ALL}
DCGM = dict(_of_dcgm())
RECORDED = {
    name
    for rules in RULES
    for name in re.findall(r"^ *- record: (\S+)", rules.read_text(), re.MULTILINE)
}
DECLARED: Mapping[str, set[str]] = {
    **OURS,
    **OF_ADVISOR,
    **dict.fromkeys(DCGM, DCGM_LABELS),
    **dict.fromkeys(RECORDED, OF_RECORDED),
}
COUNTERS = (
    {metric.name for metric in ALL if metric.kind == "counter"}
    | {name for name, counts in DCGM.items() if counts}
    | {name for name in OF_ADVISOR if name.endswith(("_total", "_sum", "_count"))}
)

# As Grafana replaces them, with every cluster and node chosen.
EVERYTHING = {
    "$__rate_interval": "1m",
    "$__interval": "15s",
    "$__range": "30m",
    "$cluster": ".*",
    "$node": ".*",
    "$gpu": ".*",
    "$namespace": ".*",
    "$pod": ".*",
    "$budget": "200000",
}


@dataclass(frozen=True, slots=True)
class Selection:
    """A metric that an expression reads, the labels it matches, and the function on its range."""

    metric: str
    labels: frozenset[str]
    function: str | None


def substituted(expr: str, variables: Mapping[str, str] = EVERYTHING) -> str:
    for name, value in variables.items():
        expr = expr.replace(name, value)
    return expr


def selections(expr: str) -> tuple[Selection, ...]:
    """Every selector of the expression. Raises ValueError if it does not parse."""
    return tuple(_selections(promql_parser.parse(substituted(expr)), None))


def undeclared(expr: str) -> set[str]:
    """Metrics, and labels of metrics as `metric{label}`, that nobody exports."""
    known = {**DECLARED, **OF_PROMETHEUS}
    missing = set()
    for selection in selections(expr):
        if selection.metric not in known:
            missing.add(selection.metric)
            continue
        for label in selection.labels - known[selection.metric] - TARGET_LABELS:
            missing.add(f"{selection.metric}{{{label}}}")
    return missing


def _selections(node: Any, function: str | None) -> Iterator[Selection]:
    kind = type(node).__name__
    if kind == "VectorSelector":
        labels = frozenset(matcher.name for matcher in node.matchers.matchers)
        yield Selection(node.name, labels, function)
    elif kind == "MatrixSelector":
        yield from _selections(node.vector_selector, function)
    elif kind == "Call":
        for argument in node.args:
            over_time = type(argument).__name__ in ("MatrixSelector", "SubqueryExpr")
            yield from _selections(argument, node.func.name if over_time else None)
    elif kind == "SubqueryExpr":
        at_once = type(node.expr).__name__ == "VectorSelector"
        yield from _selections(node.expr, function if at_once else None)
    else:
        for part in ("expr", "lhs", "rhs"):
            if hasattr(node, part):
                yield from _selections(getattr(node, part), None)
