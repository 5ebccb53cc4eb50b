"""Which GPU a series is of, and what its other labels tell."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TypeVar

from agentaflow_advisor.model import PodRef
from agentaflow_advisor.observe.answers import Answer
from agentaflow_advisor.observe.dialects import Labels
from agentaflow_advisor.observe.signals import COUNTS, SCALARS, Rule
from agentaflow_advisor.observe.told import GpuKey, Holding, Place, Readings, Rows

K = TypeVar("K")
_NAMED = re.compile(rb'\{"__name__":"[\w:]+",')


def rows(readings: Readings, labels: Labels, answer: Answer) -> Rows:
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


def labelled(readings: Readings, labels: Labels, signal: str, answer: Answer) -> tuple[int, int]:
    """Put every series in its place, by its other labels too.

    How many named no GPU, and how many had no sound value.
    """
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
