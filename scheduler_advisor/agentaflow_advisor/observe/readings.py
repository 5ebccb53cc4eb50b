"""From Prometheus' samples to one value per signal and GPU; what is not plausible is left out."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import lru_cache
from typing import TypeVar

from agentaflow_advisor.model import PodRef, Query, Refusal
from agentaflow_advisor.observe.answers import Answer
from agentaflow_advisor.observe.completing import COVERAGE, SAMPLES, complete, of_nodes
from agentaflow_advisor.observe.dialects import Dialect, Labels, render
from agentaflow_advisor.observe.prometheus import Prometheus
from agentaflow_advisor.observe.recording import (
    TOLD,
    Question,
    Recorded,
    questions,
    recent_peaks,
)
from agentaflow_advisor.observe.signals import AMOUNT, COUNTS, SCALARS, Rule
from agentaflow_advisor.observe.told import GpuKey, Holding, Place, Readings, Rows

K = TypeVar("K")
PEAK, BROKEN = "utilization_max", "utilization_broken"
RECORDED = Labels()  # of every recorded series, whoever told it
PLAIN = {name: rule for name, rule in SCALARS.items() if name != "up"} | {TOLD: AMOUNT}
"""Signals whose series tell nothing but the GPU and the value."""
_NAMED = re.compile(rb'\{"__name__":"[\w:]+",')
AT_ONCE = 2  # queries: what they bring is read by one core; more only fill Prometheus' memory


def read(
    prometheus: Prometheus,
    dialect: Dialect,
    signals: Iterable[str],
    *,
    window_seconds: float,
    percentile: float,
    at: float,
    recorded: Recorded | None = None,
) -> Readings:
    """Ask those of the signals that the dialect has at one evaluation time, a few at once."""
    wanted = frozenset(signals).intersection(dialect)
    if recorded and SAMPLES in wanted:
        wanted |= {COVERAGE}
    how = {"window_seconds": window_seconds, "percentile": percentile}
    asked = sorted(_questions(dialect, wanted, recorded, **how), key=_is_quick)
    readings = Readings(dialect.name, steps=recorded.steps if recorded else None)
    with ThreadPoolExecutor(AT_ONCE, "promql") as pool:
        futures = {pool.submit(prometheus.ask, each.promql, at=at): each for each in asked}
        try:
            for future in as_completed(futures):  # nobody waits for the slowest
                _answered(readings, dialect.labels, futures.pop(future), future.result())
        finally:
            for future in futures:
                future.cancel()
    place = {question.promql: number for number, question in enumerate(asked)}
    readings.queries.sort(key=lambda query: place[query.promql])
    if recorded:
        complete(readings, wanted, recorded.steps)
    return readings


def _is_quick(question: Question) -> bool:
    """Of recorded series. What takes longest is asked first, so that nobody waits for it alone."""
    return question.recorded


def _questions(
    dialect: Dialect,
    wanted: frozenset[str],
    recorded: Recorded | None,
    *,
    window_seconds: float,
    percentile: float,
) -> Iterator[Question]:
    """Of recorded series what they carry, the rest of the samples."""
    asked: set[str] = set()
    if recorded:
        asked.add(SAMPLES)  # of covered steps
        of_steps = questions(
            wanted | {"present"} if COVERAGE in wanted else wanted,
            dialect.name,
            step=recorded.step,
            window=recorded.window,
            steps=recorded.steps,
            percentile=percentile,
            whole=recorded.whole,
        )
        for question in of_steps:
            asked.add(question.signal)
            yield question
        if "up" in wanted and "info" in wanted:  # who is listed now is up, but for these
            asked.add("up")
            if dialect.lost:
                yield Question("up", dialect.lost)
        if PEAK in wanted:  # work that no step has seen yet
            if recorded.recent:
                text = recent_peaks(dialect.name, recorded.recent, recorded.whole)
                yield Question(PEAK, text, True)
            tail = render(
                dialect[PEAK], window_seconds=recorded.tail_seconds, percentile=percentile
            )
            yield Question(PEAK, tail)
    for signal in dialect:
        if signal in wanted - asked:
            text = dialect[signal]
            yield Question(
                signal, render(text, window_seconds=window_seconds, percentile=percentile)
            )


def _answered(readings: Readings, labels: Labels, question: Question, answer: Answer) -> None:
    signal, promql, recorded, form = question
    count = len(answer.values)
    readings.queries.append(Query(signal, promql, count, answer.seconds, readings.dialect))
    readings.warned += [(signal, warning) for warning in answer.warnings]
    if form == "nodes":
        of_nodes(readings, question, answer)
        return
    labels = RECORDED if recorded else labels
    take = _scalars if signal in PLAIN else _labelled
    nameless, implausible = take(readings, labels, signal, answer)
    broken = len(readings.values.get(signal, ())) if signal == BROKEN else 0
    if broken:
        said = f"{broken} GPUs have samples that are NaN or infinite: no use of theirs counts"
        readings.refusals.append(Refusal(f"signal {signal}", said))
    problems = {
        f"had no {labels.uuid} label or none of a node": nameless,
        "were NaN, infinite or implausible": implausible,
    }
    readings.refusals += [
        Refusal(f"signal {signal}", f"{count} series {problem} and count as absent")
        for problem, count in problems.items()
        if count
    ]


def _scalars(readings: Readings, labels: Labels, signal: str, answer: Answer) -> tuple[int, int]:
    """One number per GPU, the bulk of what is read. How many had no name, or no sound value."""
    rule = PLAIN[signal]
    low, high, fold = rule.low, min(rule.high, sys.float_info.max), rule.fold
    values = readings.values.setdefault(signal, {})
    rows = _rows(readings, labels, answer)
    if rows.distinct and not values and all(low <= value <= high for value in answer.values):
        values.update(zip(rows.distinct, answer.values, strict=True))
        return 0, 0
    nameless = implausible = 0
    for key, value in zip(rows.keys, answer.values, strict=True):
        if key is None:
            nameless += 1
        elif not low <= value <= high:
            implausible += 1
        else:
            values[key] = fold(values[key], value) if key in values else value
    return nameless, implausible


def _rows(readings: Readings, labels: Labels, answer: Answer) -> Rows:
    """Whose series these are. Most answers have the same ones in the same order."""
    metrics = _without_name(answer.metrics)
    head = (len(metrics), metrics[0] if metrics else b"")
    rows = readings.rows.get(head)
    if rows is None or rows.metrics != metrics:
        series, fields = readings.series, _fields(labels)
        for metric in metrics:
            if metric not in series:
                series[metric] = _placed(readings, labels, answer.told_in(metric, fields))
        rows = readings.rows[head] = Rows.of(metrics, [series[metric] for metric in metrics])
    return rows


def _without_name(metrics: Sequence[bytes]) -> Sequence[bytes]:
    """The other labels of each series, which are the same for the next metric of these GPUs."""
    named = _NAMED.match(metrics[0]) if metrics else None
    if not named:
        return metrics
    name = named[0]
    return [b"{" + each[len(name) :] if each.startswith(name) else each for each in metrics]


def _fields(labels: Labels) -> tuple[str, ...]:
    """The labels that name a GPU; `instance` where it may stand in for the node."""
    return (labels.uuid, "cluster", "instance", *labels.node)


def _labelled(readings: Readings, labels: Labels, signal: str, answer: Answer) -> tuple[int, int]:
    """The same where the series' other labels tell as well."""
    fields, (names, take) = _fields(labels), _taker(readings, labels, signal)
    first = len(fields)
    nameless = implausible = 0
    for told, value in zip(answer.told((*fields, *names)), answer.values, strict=True):
        key = _placed(readings, labels, told[:first])
        if key is None:
            nameless += 1
        elif not take(key, told[first:], value):
            implausible += 1
    return nameless, implausible


Taker = Callable[[GpuKey, Sequence[str], float], bool]
"""Puts a series in its place, by its other labels; False where the value is not plausible."""


def _taker(readings: Readings, labels: Labels, signal: str) -> tuple[tuple[str, ...], Taker]:
    """The labels that it reads, and how."""
    if signal == "pods":
        return _ours("namespace", "pod", "container"), lambda key, told, _: _held_by(
            readings.pods.setdefault(key, set()), _ref(*_either(told))
        )
    if signal in HOLDINGS:
        held: dict[GpuKey, Holding] = getattr(readings, signal)
        pairs = len(HOLDINGS[signal])
        more = (labels.profile,) if signal == "held_slices" else ()
        return (*HOLDINGS[signal], *more), lambda key, told, value: _hold(
            held.setdefault(key, {}), (*_either(told[:pairs]), *told[pairs:]), value
        )
    if signal in COUNTS:
        rule = COUNTS[signal].rule
        counts = readings.counts.setdefault(signal, {})
        return (COUNTS[signal].label,), lambda key, told, value: _put(
            counts.setdefault(key, {}), told[0], value, rule
        )
    numbers = readings.values.setdefault(signal, {}) if signal in SCALARS else None

    def take(key: GpuKey, told: Sequence[str], value: float) -> bool:
        if told:
            _identify(readings, key, *told)
        return numbers is None or _put(numbers, key, value, SCALARS[signal])

    return (labels.index, labels.model) if signal in ("info", "up") else (), take


def _put(values: dict[K, float], key: K, value: float, rule: Rule) -> bool:
    if not math.isfinite(value) or not rule.low <= value <= rule.high:
        return False
    values[key] = rule.fold(values[key], value) if key in values else value
    return True


def _placed(readings: Readings, labels: Labels, place: Place) -> GpuKey | None:
    """The GPU of these labels; remembered, as many answers name it again."""
    return readings.keys.get(place) or _key(readings, labels, place)


def _key(readings: Readings, labels: Labels, place: Place) -> GpuKey | None:
    uuid, cluster, instance, *nodes = place
    if not uuid:
        return None
    if labels.uuid_prefix and not uuid.startswith(labels.uuid_prefix):
        uuid = labels.uuid_prefix + uuid
    node = next(filter(None, nodes), "")
    key = GpuKey(cluster, node or host(instance), uuid)
    if not key.node:
        return None
    key = readings.known.setdefault(key, key)
    if not node:
        readings.stood_in.add(key)
    readings.keys[place] = key
    return key


def host(instance: str) -> str:
    """The host of an instance label: `name:9837`, `[::1]:9837` or just a name."""
    name, colon, port = instance.rpartition(":")
    bare = colon and port.isdigit() and (":" not in name or name.endswith("]"))
    return name.strip("[]") if bare else instance


def _identify(readings: Readings, key: GpuKey, index: str, name: str) -> None:
    if index:
        readings.indices[key] = min(readings.indices.get(key, index), index)
    if name:
        readings.models[key] = min(readings.models.get(key, name), name)


_ref = lru_cache(PodRef)  # a pod is told once for each of its GPUs


def _ours(*names: str) -> tuple[str, ...]:
    """Each as Prometheus renamed it before, where the target has one of that name too."""
    return tuple(label for name in names for label in (f"exported_{name}", name))


HOLDINGS: Mapping[str, tuple[str, ...]] = {
    "held": _ours("namespace"),
    "held_pods": _ours("namespace", "pod"),
    "held_slices": _ours("namespace", "pod"),
}
"""The labels that name the holder; of a slice its profile is one more."""


def _either(told: Sequence[str]) -> Iterator[str]:
    """Of labels that _ours names."""
    return map(_first, told[::2], told[1::2])


def _first(renamed: str, plain: str) -> str:
    return renamed or plain


def _held_by(pods: set[PodRef], pod: PodRef) -> bool:
    pods.add(pod)
    return True


def _hold(held: Holding, named: Sequence[str], value: float) -> bool:
    if not math.isfinite(value):
        return False
    namespace, pod, profile = (*named, "", "")[:3]
    holder = namespace, pod, profile
    held[holder] = max(held.get(holder, 0.0), value)
    return True
