"""What a query loads: samples, from its own ranges and steps and the number of its series.

Prometheus counts the same way (`stats=all`), but only over what it has; this says what a query
would load at another range, with another scrape interval.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import promql_parser

from tests.support.promql import EVERYTHING, substituted

RULES_EVERY = 300.0  # seconds between two recorded steps
UNITS = {"m": 60, "h": 3600, "d": 86400}
# Grafana's rangeUtil.roundInterval: below the first, the second (seconds)
ROUNDED = (
    (17.5, 15), (25, 20), (45, 30), (90, 60), (210, 120), (450, 300), (750, 600),
    (1050, 900), (1500, 1200), (2700, 1800), (5400, 3600),
)  # fmt: skip
POINTS = 1500  # as wide as a panel gets


@dataclass(frozen=True, slots=True)
class Asked:
    """How a query is asked: over which range, in which steps, over samples how far apart."""

    seconds: float
    step: float
    scrape: float

    @property
    def steps(self) -> float:
        return self.seconds / self.step + 1

    def of(self, expr: str) -> Any:
        """The query as a tree, as Grafana would send it."""
        of_rate = max(self.step + self.scrape, 4 * self.scrape)
        values = {"$__range": f"{self.seconds:.0f}s", "$__rate_interval": f"{of_rate:.0f}s"}
        return promql_parser.parse(substituted(expr, {**EVERYTHING, **values}))


def by_default(board: dict[str, Any], panel: dict[str, Any], scrape: float) -> Asked:
    """How Grafana asks when the board is opened."""
    amount, unit = re.fullmatch(r"now-(\d+)(\w)", board["time"]["from"]).groups()  # type: ignore[union-attr]
    seconds = float(int(amount) * UNITS[unit])
    wanted = seconds / (panel.get("maxDataPoints") or POINTS)
    step = next(rounded for below, rounded in ROUNDED if wanted < below)
    return Asked(seconds, max(step, scrape), scrape)


def samples(expr: str, asked: Asked, series: Callable[[str], float], *, at_once: bool) -> float:
    """How many samples are loaded; `series` answers how many series a selector finds."""
    tree = asked.of(expr)
    return sum(
        series(selector) * times
        for selector, times in _reads(tree, 1 if at_once else asked.steps, asked)
    )


def selectors(expr: str, asked: Asked) -> set[str]:
    return {selector for selector, _ in _reads(asked.of(expr), 1, asked)}


def _reads(node: Any, evaluations: float, asked: Asked) -> Iterator[tuple[str, float]]:
    """Each selector, and how many samples of each of its series are loaded."""
    kind = type(node).__name__
    if kind == "VectorSelector":
        yield _text(node), 1 if node.at else evaluations
    elif kind == "MatrixSelector":
        inner = node.vector_selector
        every = RULES_EVERY if ":" in inner.name else asked.scrape
        times = 1 if inner.at else evaluations
        yield _text(inner), times * node.range.total_seconds() / every
    elif kind == "SubqueryExpr":
        times = 1 if node.at else evaluations
        yield from _reads(node.expr, times * (node.range / node.step), asked)
    else:
        for part in ("expr", "lhs", "rhs", "param"):
            if hasattr(node, part) and getattr(node, part) is not None:
                yield from _reads(getattr(node, part), evaluations, asked)
        for argument in getattr(node, "args", ()):
            yield from _reads(argument, evaluations, asked)


def _text(selector: Any) -> str:
    """The selector without offset or @."""
    signs = {"Equal": "=", "NotEqual": "!=", "Re": "=~", "NotRe": "!~"}
    inside = ",".join(
        f"{each.name}{signs[str(each.op).rpartition('.')[2]]}{_quoted(each.value)}"
        for each in selector.matchers.matchers
    )
    return f"{selector.name}{{{inside}}}"


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
