"""Pods as labels of every series of a GPU, in the shape that dcgm-exporter has.

A GPU that several containers hold has as many series of each reading, all with the same value: a
sum over them counts it as often. That is why the join metric is the default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache

from agentaflow_exporter.collectors.pods import POD_INFO
from agentaflow_exporter.metric import GPU_LABELS, Family, Metric

NEEDS = frozenset({"pods"})  # collectors that the labels come from
_POD_LABELS = ("namespace", "pod", "container")
_INSTANCE = "gpu_instance"

_Labels = tuple[str, ...]
_Holders = Mapping[_Labels, Mapping[_Labels, None]]
_NOBODY: Mapping[_Labels, None] = {("", "", ""): None}


def inlined(families: list[Family]) -> list[Family]:
    """A pure function of the families. Those that have such labels of their own stay as they are,
    and so do other exporters' names. A reading of a MIG instance is its own holders' alone.
    """
    holders = _holders(families)
    return [
        _of_pods(family, holders) if _has_none(family.metric) else family for family in families
    ]


def _has_none(metric: Metric) -> bool:
    return metric.labels[:2] == GPU_LABELS and not set(_POD_LABELS) & set(metric.labels)


def _of_pods(family: Family, holders: _Holders) -> Family:
    metric, samples = family
    device = [0, 1]
    if _INSTANCE in metric.labels:
        device.append(metric.labels.index(_INSTANCE))
    return Family(
        _with_pods(metric),
        {
            labels + pod: value
            for labels, value in samples.items()
            for pod in holders.get(tuple(labels[i] for i in device), _NOBODY)
        },
    )


def _holders(families: list[Family]) -> _Holders:
    """By (gpu, uuid), and by (gpu, uuid, instance), without repetitions."""
    holders: dict[_Labels, dict[_Labels, None]] = {}
    columns = [POD_INFO.labels.index(label) for label in _POD_LABELS]
    instance = POD_INFO.labels.index(_INSTANCE)
    for metric, samples in families:
        if metric is POD_INFO:
            for labels in samples:
                pod = tuple(labels[i] for i in columns)
                holders.setdefault(labels[:2], {})[pod] = None
                holders.setdefault((*labels[:2], labels[instance]), {})[pod] = None
    return holders


@cache
def _with_pods(metric: Metric) -> Metric:
    return replace(metric, labels=metric.labels + _POD_LABELS)
