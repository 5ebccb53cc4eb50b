"""From Prometheus' samples to one value per signal and GPU; what is not plausible is left out."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeVar

from agentaflow_advisor.model import PodRef, Query, Refusal
from agentaflow_advisor.observe.dialects import Dialect, Labels, render
from agentaflow_advisor.observe.prometheus import Answer, Prometheus, Sample
from agentaflow_advisor.observe.recording import RARE, TOLD, Question, Recorded, questions
from agentaflow_advisor.observe.signals import AMOUNT, COUNTS, SCALARS, Rule

K = TypeVar("K")
PEAK = "utilization_max"
AT_ONCE = 4  # queries; Prometheus itself allows 20 (--query.max-concurrency)


class GpuKey(NamedTuple):
    """What tells one GPU from another. The index does not: it may change at a reboot."""

    cluster: str
    node: str
    uuid: str


Holding = dict[tuple[str, str], float]
"""By namespace and pod (empty where only the namespace is told): steps of the grid."""


@dataclass(slots=True)
class Readings:
    """All that one dialect's queries told, by GPU. Filled by `read`, then only looked at."""

    dialect: str = ""
    values: dict[str, dict[GpuKey, float]] = field(default_factory=dict)
    counts: dict[str, dict[GpuKey, dict[str, float]]] = field(default_factory=dict)
    models: dict[GpuKey, str] = field(default_factory=dict)
    indices: dict[GpuKey, str] = field(default_factory=dict)
    pods: dict[GpuKey, set[PodRef]] = field(default_factory=dict)
    held: dict[GpuKey, Holding] = field(default_factory=dict)
    held_pods: dict[GpuKey, Holding] = field(default_factory=dict)
    steps: int | None = None  # in the window, where presence is counted in recorded steps
    stood_in: set[GpuKey] = field(default_factory=set)  # whose node is the host of `instance`
    queries: list[Query] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)

    def get(self, signal: str, key: GpuKey) -> float | None:
        return self.values.get(signal, {}).get(key)

    def gpus(self) -> set[GpuKey]:
        """Every GPU that is there now or was measured within the window."""
        seen = ("up", "present", "utilization_samples")
        return {*self.models, *(key for signal in seen for key in self.values.get(signal, ()))}


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
    how = {"window_seconds": window_seconds, "percentile": percentile}
    asked = list(_questions(dialect, wanted, recorded, **how))
    readings = Readings(dialect.name, steps=recorded.steps if recorded else None)
    with ThreadPoolExecutor(AT_ONCE, "promql") as pool:
        answers = pool.map(lambda question: prometheus.ask(question.promql, at=at), asked)
        for question, answer in zip(asked, answers, strict=True):
            _answered(readings, dialect.labels, question, answer)
    if recorded:
        _zeros(readings, wanted)
    return readings


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
        of_steps = questions(
            wanted,
            dialect.name,
            step=recorded.step,
            window=recorded.window,
            percentile=percentile,
        )
        for question in of_steps:
            asked.add(question.signal)
            yield question
        if PEAK in wanted:  # work that no step has seen yet
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


def _zeros(readings: Readings, wanted: Collection[str]) -> None:
    """What is recorded only where it is not zero is zero for all others that tell it."""
    told: defaultdict[int, list[GpuKey]] = defaultdict(list)
    for key, bits in readings.values.pop(TOLD, {}).items():
        told[int(bits)].append(key)
    for bit, signal in enumerate(RARE):
        if signal not in wanted:
            continue
        telling = [key for bits, keys in told.items() if bits >> bit & 1 for key in keys]
        if signal in COUNTS:
            counts = readings.counts.get(signal, {})
            readings.counts[signal] = {key: {} for key in telling} | counts
        else:
            values = readings.values.get(signal, {})
            readings.values[signal] = dict.fromkeys(telling, 0.0) | values
        readings.queries = [
            replace(query, series=max(query.series, len(telling)))
            if query.signal == signal
            else query
            for query in readings.queries
        ]


def _answered(readings: Readings, labels: Labels, question: Question, answer: Answer) -> None:
    signal, promql, recorded = question
    labels = Labels() if recorded else labels
    count = len(answer.samples)
    readings.queries.append(Query(signal, promql, count, answer.seconds, readings.dialect))
    readings.refusals += [
        Refusal(f"signal {signal}", f"Prometheus warns that parts may be missing: {warning}")
        for warning in answer.warnings
    ]
    problems: Counter[str] = Counter()
    for sample in answer.samples:
        key = _key(readings, labels, sample.labels)
        if key is None:
            problems[f"had no {labels.uuid} label or none of a node"] += 1
        elif not _take(readings, labels, signal, key, sample):
            problems["were NaN, infinite or implausible"] += 1
    readings.refusals += [
        Refusal(f"signal {signal}", f"{count} series {problem} and count as absent")
        for problem, count in problems.items()
    ]


def _take(readings: Readings, labels: Labels, signal: str, key: GpuKey, sample: Sample) -> bool:
    """False where the value is not plausible."""
    if signal == "pods":
        readings.pods.setdefault(key, set()).add(_pod(sample.labels))
        return True
    if signal == "held":
        return _hold(readings.held.setdefault(key, {}), sample, "")
    if signal == "held_pods":
        pod = _ours(sample.labels, "pod")
        return _hold(readings.held_pods.setdefault(key, {}), sample, pod)
    if signal in ("info", "up"):
        _identify(readings, labels, key, sample.labels)
    if signal in COUNTS:
        counted = COUNTS[signal]
        told = readings.counts.setdefault(signal, {}).setdefault(key, {})
        return _put(told, sample.labels.get(counted.label, ""), sample.value, counted.rule)
    if signal in SCALARS:
        values = readings.values.setdefault(signal, {})
        return _put(values, key, sample.value, SCALARS[signal])
    if signal == TOLD:
        return _put(readings.values.setdefault(signal, {}), key, sample.value, AMOUNT)
    return True


def _put(values: dict[K, float], key: K, value: float, rule: Rule) -> bool:
    if not math.isfinite(value) or not rule.low <= value <= rule.high:
        return False
    values[key] = rule.fold(values[key], value) if key in values else value
    return True


def _key(readings: Readings, labels: Labels, told: Mapping[str, str]) -> GpuKey | None:
    uuid = told.get(labels.uuid, "")
    if not uuid:
        return None
    if labels.uuid_prefix and not uuid.startswith(labels.uuid_prefix):
        uuid = labels.uuid_prefix + uuid
    node = next((told[name] for name in labels.node if told.get(name)), "")
    key = GpuKey(told.get("cluster", ""), node or host(told.get("instance", "")), uuid)
    if not node:
        readings.stood_in.add(key)
    return key if key.node else None


def host(instance: str) -> str:
    """The host of an instance label: `name:9837`, `[::1]:9837` or just a name."""
    name, colon, port = instance.rpartition(":")
    bare = colon and port.isdigit() and (":" not in name or name.endswith("]"))
    return name.strip("[]") if bare else instance


def _identify(readings: Readings, labels: Labels, key: GpuKey, told: Mapping[str, str]) -> None:
    if index := told.get(labels.index):
        readings.indices[key] = min(readings.indices.get(key, index), index)
    if name := told.get(labels.model):
        readings.models[key] = min(readings.models.get(key, name), name)


def _pod(labels: Mapping[str, str]) -> PodRef:
    return PodRef(*(_ours(labels, name) for name in ("namespace", "pod", "container")))


def _hold(held: Holding, sample: Sample, pod: str) -> bool:
    holder = _ours(sample.labels, "namespace"), pod
    if not math.isfinite(sample.value):
        return False
    held[holder] = max(held.get(holder, 0.0), sample.value)
    return True


def _ours(labels: Mapping[str, str], name: str) -> str:
    """The exporter's own label, also where the target has one of that name."""
    return labels.get(f"exported_{name}") or labels.get(name, "")
