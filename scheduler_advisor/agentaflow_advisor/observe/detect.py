"""Which exporters' metrics a Prometheus has, how many, and how far back rules recorded them.

One query tells it of now, another what was recorded, a third of the window, as far as the first two
leave that open. Each has one range: what is asked of now beside what is asked of a day, in the same
query, makes Prometheus look for it in the blocks of that day.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
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
    span = {"window_seconds": window_seconds, "percentile": 0.5}
    texts = [NOW_THERE, render(CLOCKS, **span)]
    with ThreadPoolExecutor(len(texts), "promql") as pool:
        answers = list(pool.map(lambda text: prometheus.ask(text, at=at), texts))
    known = [sample for answer in answers for sample in answer.samples]
    texts.append(render(before({each.name: _told(each, known) for each in DIALECTS}), **span))
    answers.append(prometheus.ask(texts[-1], at=at))
    samples = [*known, *answers[-1].samples]
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


def _told(dialect: Dialect, known: Iterable[Sample]) -> frozenset[str]:
    """Clusters of which the window need not be asked: it is there now, and was recorded."""
    found = _found(dialect, known)
    recorded = {cluster for cluster, _ in found.clocks}
    return frozenset(found.series).intersection(recorded)


def before(told: Mapping[str, Collection[str]]) -> str:
    """Of the window, but for clusters that are told already, by dialect.

    The first GPU of each node, at any step: to count all of a large fleet takes seconds. The grid
    alone would miss an exporter that was started after its last step.
    """
    at_any_step = " or ".join(
        f"last_over_time({_count(dialect, told.get(dialect.name, ()))}[{{window}}:{{step}}])"
        for dialect in DIALECTS
    )
    return f'label_replace({at_any_step}, "first", "true", "", "")'


def _count(dialect: Dialect, but: Collection[str]) -> str:
    """By cluster, in others than these."""
    matchers = [f'__name__=~"{"|".join(dialect.probes)}"', f'{dialect.labels.index}="0"']
    if but:
        names = "|".join(map(re.escape, sorted(but)))
        matchers.append(f"cluster!~{json.dumps(names, ensure_ascii=False)}")
    return f"count by (__name__, cluster) ({{{', '.join(matchers)}}})"


PROBES = "|".join(probe for dialect in DIALECTS for probe in dialect.probes)
NOW_THERE = " or ".join(
    (f'count by (__name__, cluster) ({{__name__=~"{PROBES}"}})', *map(_rate, DIALECTS))
)
CLOCKS = " or ".join((_bound("min_over_time", "oldest"), _bound("max_over_time", "newest")))
