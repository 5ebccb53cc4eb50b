"""How many GPUs of a node were held and idle over time: what an applied decision should lessen."""

from __future__ import annotations

import math
from collections.abc import Iterable

from agentaflow_advisor.observe.demand import held_now
from agentaflow_advisor.observe.dialects import DIALECTS, Dialect
from agentaflow_advisor.observe.dialects.dialect import render
from agentaflow_advisor.observe.prometheus import Prometheus

NODE = "cluster, node, instance, exported_node, Hostname, hostname, kubernetes_node"


def waste(
    prometheus: Prometheus,
    *,
    node: str,
    start: float,
    end: float,
    step_seconds: float,
    dialects: Iterable[str],
) -> tuple[float, ...]:
    """GPUs held less GPUs busy, at each step at which the node's utilization was told; in GPUs.

    Of several exporters the first that knows pods tells it all. Raises ObserveError.
    """
    dialect = next((each for each in DIALECTS if each.name in dialects and "held" in each), None)
    if dialect is None:
        return ()
    busy = _of(prometheus, _busy(dialect, step_seconds), node, start, end, step_seconds)
    held = _of(prometheus, _held(dialect), node, start, end, step_seconds)
    return tuple(held.get(at, 0.0) - value for at, value in sorted(busy.items()))


def _busy(dialect: Dialect, step_seconds: float) -> str:
    """The mean utilization within each step, a card that several targets see counted once."""
    text = render(dialect["utilization_mean"], window_seconds=step_seconds, percentile=0.5)
    return f"sum by ({NODE}) (max by ({NODE}, {dialect.labels.uuid}) ({text}))"


def _held(dialect: Dialect) -> str:
    spaces = "namespace, exported_namespace"
    return (
        f"sum by ({NODE}) (max by ({NODE}, {dialect.labels.uuid}, {spaces}) ({held_now(dialect)}))"
    )


def _of(
    prometheus: Prometheus, promql: str, node: str, start: float, end: float, step: float
) -> dict[float, float]:
    """Time → the node's value."""
    tracks, _ = prometheus.query_range(promql, start=start, end=end, step_seconds=step)
    found: dict[float, float] = {}
    for track in tracks:
        if node in track.labels.values():
            for at, value in track.points:
                if math.isfinite(value):
                    found[at] = found.get(at, 0.0) + value
    return found
