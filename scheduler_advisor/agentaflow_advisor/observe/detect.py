"""Which exporters' metrics a Prometheus has, how many, and how far back rules recorded them.

One query tells it of now, another at the same time of the window.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from agentaflow_advisor.model import Query
from agentaflow_advisor.observe.answers import Sample
from agentaflow_advisor.observe.dialects import DIALECTS, Dialect, render
from agentaflow_advisor.observe.partial import Warned
from agentaflow_advisor.observe.prometheus import Prometheus
from agentaflow_advisor.observe.recording.span import Clock, Found, gpus_of

AUTO = "auto"
RATE_SECONDS = 600.0
GPUS_OF_A_NODE = 8  # where only its first one is counted: of exporters that are gone


@dataclass(frozen=True, slots=True)
class Detected:
    """Those that are there, the preferred one first."""

    dialects: tuple[Dialect, ...]
    queries: tuple[Query, ...] = ()
    warned: tuple[Warned, ...] = ()
    found: Mapping[str, Found] = field(default_factory=dict)  # by dialect


def detect(prometheus: Prometheus, wanted: str, *, window_seconds: float, at: float) -> Detected:
    """`wanted` is a dialect's name, which is taken whether it is there or not, or `auto`."""
    texts = [
        render(text, window_seconds=window_seconds, percentile=0.5) for text in (BEFORE, NOW_THERE)
    ]
    with ThreadPoolExecutor(len(texts), "promql") as pool:
        answers = list(pool.map(lambda text: prometheus.ask(text, at=at), texts))
    samples = [sample for answer in answers for sample in answer.samples]
    metrics = {sample.labels.get("__name__", "") for sample in samples}
    dialects = tuple(
        dialect
        for dialect in DIALECTS
        if dialect.name == wanted or (wanted == AUTO and metrics.intersection(dialect.probes))
    )
    return Detected(
        dialects,
        tuple(
            Query("dialects", text, len(answer.samples), answer.seconds)
            for text, answer in zip(texts, answers, strict=True)
        ),
        tuple(("dialects", warning) for answer in answers for warning in answer.warnings),
        {dialect.name: _found(dialect, samples) for dialect in dialects},
    )


def _found(dialect: Dialect, samples: Iterable[Sample]) -> Found:
    now: list[tuple[str, float]] = []
    before: list[tuple[str, float]] = []
    bounds: dict[tuple[str, str], dict[str, float]] = {}
    found = Found()
    for sample in samples:
        labels, cluster = sample.labels, sample.labels.get("cluster", "")
        if labels.get("__name__") in dialect.probes and "first" in labels:
            before.append((cluster, sample.value * GPUS_OF_A_NODE))
        elif labels.get("__name__") in dialect.probes:
            now.append((cluster, sample.value))
        elif labels.get("rate") == dialect.name and sample.value > 0:
            found.interval_seconds = RATE_SECONDS / sample.value
        elif labels.get("exporter") == dialect.name and "bound" in labels:
            place = cluster, labels.get("step", "")
            bounds.setdefault(place, {})[labels["bound"]] = sample.value
    found.series = gpus_of(before) | gpus_of(now)
    found.clocks = {
        place: Clock(each["oldest"], each["newest"])
        for place, each in bounds.items()
        if len(each) == 2
    }
    return found


def _bound(function: str, name: str) -> str:
    clock = "agentaflow:recorded_time:seconds[{window}]"
    return f'label_replace({function}({clock}), "bound", "{name}", "", "")'


def _rate(dialect: Dialect) -> str:
    """Samples of a GPU in 10 minutes; of the first of each node, since all are scraped alike."""
    first = f'{dialect.probes[0]}{{{dialect.labels.index}="0"}}'
    return f'label_replace(max(count_over_time({first}[10m])), "rate", "{dialect.name}", "", "")'


def _count(*matchers: str) -> str:
    probes = "|".join(probe for dialect in DIALECTS for probe in dialect.probes)
    selector = ", ".join((f'__name__=~"{probes}"', *matchers))
    return f"count by (__name__, cluster) ({{{selector}}})"


def _before() -> str:
    """The first GPU of each node, at any step: to count all of a large fleet takes seconds."""
    indices = sorted({dialect.labels.index for dialect in DIALECTS})
    counts = [_count(f'{index}="0"') for index in indices]
    at_any_step = " or ".join(f"last_over_time({count}[{{window}}:{{step}}])" for count in counts)
    return f'label_replace({at_any_step}, "first", "true", "", "")'


NOW_THERE = " or ".join(
    (
        _count(),
        _bound("min_over_time", "oldest"),
        _bound("max_over_time", "newest"),
        *map(_rate, DIALECTS),
    )
)
BEFORE = _before()
"""The grid alone would miss an exporter that was started after its last step."""
