"""From Prometheus' samples to one value per signal and GPU; what is not plausible is left out."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

from agentaflow_advisor.model import PodRef, Query, Refusal
from agentaflow_advisor.observe.dialects import Dialect, render
from agentaflow_advisor.observe.prometheus import Answer, Prometheus, Sample

AT_ONCE = 4  # queries; Prometheus itself allows 20 (--query.max-concurrency)
INFINITY = math.inf
SECONDS_SLACK = 60.0  # a sample may be a little newer than the evaluation time


class GpuKey(NamedTuple):
    """What tells one GPU from another. The index does not: it may change at a reboot."""

    cluster: str
    node: str
    uuid: str


@dataclass(frozen=True, slots=True)
class Rule:
    """How one signal's values are checked, and how several targets' views of a GPU become one."""

    low: float
    high: float
    fold: Callable[[float, float], float] = max


RATIO = Rule(0.0, 1.0)
AMOUNT = Rule(0.0, INFINITY)
RULES: Mapping[str, Rule] = {
    "up": Rule(0.0, 1.0, min),
    "present": AMOUNT,
    "utilization_max": RATIO,
    "utilization_high": RATIO,
    "utilization_mean": RATIO,
    "utilization_samples": AMOUNT,
    "utilization_age": Rule(-SECONDS_SLACK, INFINITY, min),
    "utilization_present": AMOUNT,
    "memory_total": AMOUNT,
    "memory_used_max": AMOUNT,
    "power_mean": Rule(0.0, 100_000.0),
    "energy": AMOUNT,
    "temperature_max": Rule(-100.0, 300.0),
    "processes": AMOUNT,
}


@dataclass(slots=True)
class Readings:
    """All that the queries told, by GPU. Filled by `read`, then only looked at."""

    values: dict[str, dict[GpuKey, float]] = field(default_factory=dict)
    models: dict[GpuKey, str] = field(default_factory=dict)
    indices: dict[GpuKey, str] = field(default_factory=dict)
    pods: dict[GpuKey, set[PodRef]] = field(default_factory=dict)
    held: dict[GpuKey, dict[str, float]] = field(default_factory=dict)  # steps of the grid
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
    *,
    window_seconds: float,
    percentile: float,
    at: float,
) -> Readings:
    """Ask every query of the dialect at one evaluation time, a few of them at once."""
    asked = {
        signal: render(template, window_seconds=window_seconds, percentile=percentile)
        for signal, template in dialect.items()
    }
    with ThreadPoolExecutor(AT_ONCE, "promql") as pool:
        answers = pool.map(lambda promql: prometheus.ask(promql, at=at), asked.values())
        return _readings(asked, answers)


def _readings(asked: Mapping[str, str], answers: Iterable[Answer]) -> Readings:
    readings = Readings()
    for (signal, promql), answer in zip(asked.items(), answers, strict=True):
        readings.queries.append(Query(signal, promql, len(answer.samples), answer.seconds))
        readings.refusals += [
            Refusal(f"signal {signal}", f"Prometheus warns that parts may be missing: {warning}")
            for warning in answer.warnings
        ]
        _take(readings, signal, answer.samples)
    return readings


def _take(readings: Readings, signal: str, samples: Iterable[Sample]) -> None:
    problems: Counter[str] = Counter()
    values = readings.values.setdefault(signal, {})
    for sample in samples:
        key = _key(sample.labels)
        if key is None:
            problems["had no uuid label"] += 1
        elif signal == "pods":
            readings.pods.setdefault(key, set()).add(_pod(sample.labels))
        elif signal == "held":
            _hold(readings.held.setdefault(key, {}), sample)
        else:
            if signal in ("info", "up"):
                _identify(readings, key, sample.labels)
            if signal in RULES and not _put(values, key, sample.value, RULES[signal]):
                problems["were NaN, infinite or implausible"] += 1
    readings.refusals += [
        Refusal(f"signal {signal}", f"{count} series {problem} and count as absent")
        for problem, count in problems.items()
    ]


def _put(values: dict[GpuKey, float], key: GpuKey, value: float, rule: Rule) -> bool:
    if not math.isfinite(value) or not rule.low <= value <= rule.high:
        return False
    values[key] = rule.fold(values[key], value) if key in values else value
    return True


def _key(labels: Mapping[str, str]) -> GpuKey | None:
    uuid = labels.get("uuid", "")
    node = labels.get("node") or host(labels.get("instance", ""))
    return GpuKey(labels.get("cluster", ""), node, uuid) if uuid else None


def host(instance: str) -> str:
    """The host of an instance label: `name:9837`, `[::1]:9837` or just a name."""
    name, colon, port = instance.rpartition(":")
    bare = colon and port.isdigit() and (":" not in name or name.endswith("]"))
    return name.strip("[]") if bare else instance


def _identify(readings: Readings, key: GpuKey, labels: Mapping[str, str]) -> None:
    if index := labels.get("gpu"):
        readings.indices[key] = min(readings.indices.get(key, index), index)
    if name := labels.get("name"):
        readings.models[key] = min(readings.models.get(key, name), name)


def _pod(labels: Mapping[str, str]) -> PodRef:
    return PodRef(*(_ours(labels, name) for name in ("namespace", "pod", "container")))


def _hold(held: dict[str, float], sample: Sample) -> None:
    namespace = _ours(sample.labels, "namespace")
    if math.isfinite(sample.value):
        held[namespace] = max(held.get(namespace, 0.0), sample.value)


def _ours(labels: Mapping[str, str], name: str) -> str:
    """The exporter's own label, also where the target has one of that name."""
    return labels.get(f"exported_{name}") or labels.get(name, "")
