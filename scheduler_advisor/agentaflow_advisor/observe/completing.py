"""What recorded series leave out because it is as usual is filled in for those who tell it.

Only what was told is filled in: zeros where a GPU's bit says that it tells the signal, a node's
value for the GPUs that are listed there now, or of the window for those that were measured in it,
whole coverage where the GPU was there throughout.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from agentaflow_advisor.model import Query, Refusal
from agentaflow_advisor.observe.answers import Answer
from agentaflow_advisor.observe.recording import (
    MEASURED,
    RARE,
    REASONS,
    TOLD,
    USUAL_LANES,
    Question,
)
from agentaflow_advisor.observe.signals import AMOUNT, COUNTS, SCALARS
from agentaflow_advisor.observe.told import GpuKey, Readings

WIDTH = "pcie_width"
PRESENT, THROTTLED = "present", "throttled_seconds"
COVERAGE, SAMPLES = "utilization_present", "utilization_samples"
Node = tuple[str, str]  # cluster and name


def of_nodes(readings: Readings, question: Question, answer: Answer) -> None:
    """An answer of which a series is a node's, for all of its GPUs, or one GPU's."""
    signal = question.signal
    rule = SCALARS.get(signal, AMOUNT)
    nodes = readings.nodes.setdefault(signal, {})
    values = readings.values.setdefault(signal, {})
    implausible = 0
    labels = answer.told(GpuKey._fields)
    for (cluster, node, uuid), value in zip(labels, answer.values, strict=True):
        if not rule.low <= value <= rule.high:
            implausible += 1
        elif uuid:
            key = GpuKey(cluster, node, uuid)
            values[readings.known.setdefault(key, key)] = value
        else:
            nodes[cluster, node] = value
    if implausible:
        said = f"{implausible} series were NaN, infinite or implausible and count as absent"
        readings.refusals.append(Refusal(f"signal {signal}", said))


def complete(readings: Readings, wanted: Collection[str], steps: int) -> None:
    """`steps` of 5 minutes are the whole window."""
    listed = readings.models.keys() | readings.indices.keys() or set(readings.known)
    if "up" in wanted and "info" in wanted:
        readings.values["up"] = dict.fromkeys(listed, 1.0) | readings.values.get("up", {})
    now, measured = _by_node(listed), _by_node(_measured(readings))
    for signal in readings.nodes:
        _of_their_node(readings, signal, measured if signal == PRESENT else now)
    _zeros(readings, wanted)
    if COVERAGE in wanted:
        _coverage(readings, steps)
        if SAMPLES in wanted:  # there is one at least in each step that is covered
            readings.values[SAMPLES] = dict(readings.values[COVERAGE])
    readings.queries = [_counted(readings, query) for query in readings.queries]


def _by_node(keys: Iterable[GpuKey]) -> Mapping[Node, list[GpuKey]]:
    found: defaultdict[Node, list[GpuKey]] = defaultdict(list)
    for key in keys:
        found[key.cluster, key.node].append(key)
    return found


def _of_their_node(
    readings: Readings, signal: str, listed: Mapping[Node, Iterable[GpuKey]]
) -> None:
    nodes = readings.nodes[signal].items()
    found = {key: value for node, value in nodes for key in listed.get(node, ())}
    readings.values[signal] = found | readings.values[signal]


def _zeros(readings: Readings, wanted: Collection[str]) -> None:
    """What is recorded only where it is not zero is zero for all others that tell it."""
    told: defaultdict[int, list[GpuKey]] = defaultdict(list)
    for key, bits in readings.values.pop(TOLD, {}).items():
        told[int(bits)].append(key)

    @cache  # mostly all signals are told by the same GPUs
    def usual(value: float | None, *telling: int) -> dict[GpuKey, Any]:
        keys = [key for bits in telling for key in told[bits]]
        return dict.fromkeys(keys, {} if value is None else value)

    for bit, signal in enumerate(RARE):
        telling = [bits for bits in told if bits >> bit & 1]
        if signal not in wanted:
            continue
        if signal == THROTTLED:
            readings.counts[signal] = _throttled(readings.counts.get(signal, {}), telling, told)
        elif signal in COUNTS:
            counts = readings.counts.get(signal)
            none = usual(None, *telling)
            readings.counts[signal] = none | counts if counts else none
        else:
            values = readings.values.get(signal)
            zeros = usual(USUAL_LANES if signal == WIDTH else 0.0, *telling)
            readings.values[signal] = zeros | values if values else zeros


def _throttled(
    counted: Mapping[GpuKey, dict[str, float]],
    telling: Iterable[int],
    told: Mapping[int, Iterable[GpuKey]],
) -> dict[GpuKey, dict[str, float]]:
    """By reason: zero for each that the GPU tells and that did not hold its clocks down."""
    found: dict[GpuKey, dict[str, float]] = {}
    for bits in telling:
        none = {reason: 0.0 for reason, bit in REASONS.items() if bits & bit}
        found |= dict.fromkeys(told[bits], none)
    return found | {key: found.get(key, {}) | counts for key, counts in counted.items()}


def _measured(readings: Readings) -> Collection[GpuKey]:
    """Those of whose utilization steps were recorded."""
    return readings.values.get(MEASURED, {})


def _coverage(readings: Readings, steps: int) -> None:
    """Less than whole was answered; the others that were there all the time are whole."""
    present = readings.values.get("present", {})
    whole = [key for key in _measured(readings) if present.get(key, 0.0) >= steps]
    covered = readings.values.get(COVERAGE, {})
    readings.values[COVERAGE] = dict.fromkeys(whole, float(steps)) | covered


def _counted(readings: Readings, query: Query) -> Query:
    """With how many GPUs it told of, be it by saying nothing."""
    told = {*_columns(readings, query.signal)}
    return replace(query, series=max(query.series, *told)) if told else query


def _columns(readings: Readings, signal: str) -> Iterator[int]:
    for column in (readings.values, readings.counts):
        if signal in column:
            yield len(column[signal])
