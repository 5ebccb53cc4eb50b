"""Which exporters' metrics a Prometheus has, now or within the window: one query for all."""

from __future__ import annotations

from dataclasses import dataclass

from agentaflow_advisor.model import Query
from agentaflow_advisor.observe.dialects import DIALECTS, Dialect, render
from agentaflow_advisor.observe.partial import Warned
from agentaflow_advisor.observe.prometheus import Prometheus

AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Detected:
    """Those that are there, the preferred one first."""

    dialects: tuple[Dialect, ...]
    queries: tuple[Query, ...] = ()
    warned: tuple[Warned, ...] = ()


def detect(prometheus: Prometheus, wanted: str, *, window_seconds: float, at: float) -> Detected:
    """`wanted` is a dialect's name, which is taken without asking, or `auto`."""
    if wanted != AUTO:
        return Detected(tuple(dialect for dialect in DIALECTS if dialect.name == wanted))
    promql = render(TEXT, window_seconds=window_seconds, percentile=0.5)
    answer = prometheus.ask(promql, at=at)
    metrics = {sample.labels.get("__name__", "") for sample in answer.samples}
    return Detected(
        tuple(dialect for dialect in DIALECTS if metrics.intersection(dialect.probes)),
        (Query("dialects", promql, len(answer.samples), answer.seconds),),
        tuple(("dialects", warning) for warning in answer.warnings),
    )


_PROBES = "|".join(probe for dialect in DIALECTS for probe in dialect.probes)
_COUNT = f'count by (__name__) ({{__name__=~"{_PROBES}"}})'
TEXT = f"{_COUNT} or last_over_time({_COUNT}[{{window}}:{{step}}])"
"""The grid alone would miss an exporter that was started after its last step."""
