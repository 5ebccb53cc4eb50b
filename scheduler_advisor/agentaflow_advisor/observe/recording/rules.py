"""The recording rules, one file per exporter and one for the hours, as YAML.

python -m agentaflow_advisor.observe.recording.rules FOLDER

A counter's growth is its value less that of 5 minutes before, after a reset its value: unlike
`increase`, which sees no step between two windows, these add up to what it grew by.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import yaml

from agentaflow_advisor.observe.dialects import render
from agentaflow_advisor.observe.recording.exporters import EXPORTERS, Exporter
from agentaflow_advisor.observe.recording.families import (
    ABOVE,
    BEFORE_STEP,
    GROWN,
    HELD,
    LABELLED,
    NODE_PREFIX,
    NOW,
    PEAKS,
    PREFIX,
    RARE,
    RARE_NOW,
    REASONS,
    TELLS_ONLY,
    TOLD,
    WHOLE_FRESH,
    metric,
)
from agentaflow_advisor.observe.recording.hours import (
    GPU,
    MAXIMA,
    MEANS,
    PRESENT,
    SAMPLES,
    STEP_SECONDS,
    Rule,
    clock,
    hours,
)

THROTTLED = "throttled_seconds"
HEADER = """\
# Recorded series for the advisor: {what}.
# Made by `make generate`. Valid from Prometheus 2.42 on. What each means: docs/queries.md.
"""


def files() -> Iterator[tuple[str, str]]:
    """Name and text of each."""
    for exporter in EXPORTERS:
        name = f"agentaflow-recording-{exporter.dialect.name}"
        text = _yaml(name, "5m", list(steps(exporter)))
        yield (
            f"{name}.yaml",
            HEADER.format(what=f"steps of 5 min, {exporter.dialect.exporter}") + text,
        )
    name = "agentaflow-recording-hours"
    yield (
        f"{name}.yaml",
        HEADER.format(what="hours, and days of them, any exporter")
        + _yaml(name, "1h", list(hours())),
    )


def steps(exporter: Exporter) -> Iterator[Rule]:
    """Those of 5 minutes of one exporter."""
    dialect, by = exporter.dialect, exporter.by
    yield _rule(exporter, metric(PRESENT, "last", "5m"), f"group by ({by}) ({exporter.present})")
    for family, signal in MAXIMA.items():
        if signal in dialect:
            yield _rule(exporter, metric(family, "max", "5m"), _five(dialect[signal]))
    yield _above(exporter)
    for family, signal in MEANS.items():
        if signal in dialect:
            yield _rule(exporter, metric(family, "avg", "5m"), _five(dialect[signal]))
    samples = f"max by ({by}) (count_over_time({exporter.use}[5m]))"
    yield _rule(exporter, metric(SAMPLES, "count", "5m"), samples)
    for signal, family in NOW.items():
        if signal in dialect:
            yield from _now(
                exporter, metric(family, "last", "5m"), _canonical(exporter, dialect[signal])
            )
    for signal, family in GROWN.items():
        yield _growth(exporter, signal, metric(family, "increase", "5m"))
    if exporter.held:
        yield _rule(exporter, metric(HELD, "last", "5m"), exporter.held, extra="namespace")
    told = {}
    for signal in RARE[: RARE.index(TELLS_ONLY)]:
        if rule := _rare(exporter, signal):
            yield rule
            told[signal] = _telling(exporter, signal)
    if TELLS_ONLY in dialect:
        told[TELLS_ONLY] = f"group by ({GPU}) ({_canonical(exporter, _five(dialect[TELLS_ONLY]))})"
    numbers = {signal: f"{text} * {1 << RARE.index(signal)}" for signal, text in told.items()}
    if THROTTLED in told:
        numbers["reasons"] = _reasons(exporter)
    bits = " or ".join(
        f'label_replace({text}, "signal", "{signal}", "", "")' for signal, text in numbers.items()
    )
    every = metric(TOLD, "bits", "5m")
    yield _labelled(exporter, every, f"sum by ({GPU}) ({bits})")
    own = f'{every}{{exporter="{dialect.name}"}}'
    yield from _now(exporter, metric(TOLD, "last", "5m"), own)
    yield clock(metric(PRESENT, "last", "5m"), "5m", exporter.dialect.name)


def _now(exporter: Exporter, name: str, text: str) -> Iterator[Rule]:
    """For a node whose GPUs all tell the same one series, elsewhere one for each GPU."""
    own = f'{{exporter="{exporter.dialect.name}"}}'
    place = "cluster, node"
    node = name.replace(PREFIX, NODE_PREFIX)
    there = f"count by ({place}) ({metric(PRESENT, 'last', '5m')}{own})"
    same = (
        f"max by ({place}) ({text}) == min by ({place}) ({text}) and "
        f"count by ({place}) ({text}) == {there}"
    )
    yield _labelled(exporter, node, same)
    yield _labelled(exporter, name, f"{text} unless on ({place}) {node}{own}")


def _above(exporter: Exporter) -> Rule:
    """Peaks of the step that the hours before it do not have: few."""
    family, own = PEAKS["utilization_max"], f'{{exporter="{exporter.dialect.name}"}}'
    before = f"last_over_time({metric(family, 'max', BEFORE_STEP)}{own}{WHOLE_FRESH})"
    name = metric(family, ABOVE, "5m")
    return _labelled(exporter, name, f"{metric(family, 'max', '5m')}{own} > {before}")


def _rare(exporter: Exporter, signal: str) -> Rule | None:
    """Only where it is not zero."""
    if signal in RARE_NOW:
        if signal not in exporter.dialect:
            return None
        name = metric(signal, "last", "5m")
        return _rule(exporter, name, exporter.dialect[signal], " > 0")
    name = metric(signal, "increase", "5m")
    if signal in exporter.counters:
        return _growth(exporter, signal, name, " > 0")
    if signal in exporter.events:
        return _rule(exporter, name, exporter.events[signal][0], extra="xid")
    if signal == "lost_seconds" and exporter.lost:
        text = f"max by ({exporter.by}) (1 - avg_over_time({exporter.lost}[5m])) * {STEP_SECONDS}"
        return _rule(exporter, name, text, " > 0")
    return None


def _growth(exporter: Exporter, signal: str, name: str, only: str = "") -> Rule:
    extra = LABELLED.get(signal, "")
    here = _canonical(exporter, exporter.counters[signal].replace("@", ""), extra)
    before = _canonical(exporter, exporter.counters[signal].replace("@", " offset 5m"), extra)
    grown = f"({here} - {before} >= 0 or {here} < {before})"
    if lately := exporter.born.get(signal):
        grown = f"({grown} or {here} unless {_canonical(exporter, lately, extra)})"
    return _labelled(exporter, name, f"{grown}{only}")


def _telling(exporter: Exporter, signal: str) -> str:
    """1 for each GPU that tells the signal, also where it is zero."""
    if signal in RARE_NOW:
        text = exporter.dialect[signal]
    elif signal in exporter.counters:
        text = exporter.counters[signal].replace("@", "")
    elif signal in exporter.events:
        text = exporter.events[signal][1]
    else:
        text = f"max by ({exporter.by}) ({exporter.lost})"
    return f"group by ({GPU}) ({_canonical(exporter, text)})"


def _reasons(exporter: Exporter) -> str:
    """The bits of those that a GPU tells, together."""
    told = _canonical(exporter, exporter.counters[THROTTLED].replace("@", ""), "reason")
    bits = " or ".join(
        f'label_replace(vector({bit}), "reason", "{reason}", "", "")'
        for reason, bit in REASONS.items()
    )
    return (
        f"sum by ({GPU}) (group by ({GPU}, reason) ({told}) * on (reason) group_left () ({bits}))"
    )


def _five(template: str) -> str:
    return render(template, window_seconds=STEP_SECONDS, percentile=1)


def _rule(exporter: Exporter, name: str, text: str, only: str = "", extra: str = "") -> Rule:
    return _labelled(exporter, name, _canonical(exporter, text, extra) + only)


def _labelled(exporter: Exporter, name: str, expr: str) -> Rule:
    return {"record": name, "expr": expr, "labels": {"exporter": exporter.dialect.name}}


def _canonical(exporter: Exporter, text: str, extra: str = "") -> str:
    """The same under the labels cluster, node and uuid, as the advisor itself reads them."""
    labels = exporter.dialect.labels
    places = ", ".join(f'"{label}"' for label in labels.node)
    if labels.node == ("node",):  # the host of `instance` stands in
        found = f'label_join({text}, "place", "|", "node", "instance")'
        placed = rf'label_replace({found}, "node", "$1", "place", "\\|\\[?(.+?)\\]?(:[0-9]+)?")'
    else:
        found = f'label_join({text}, "place", "|", {places})'
        placed = rf'label_replace({found}, "node", "$1", "place", "\\|*([^|]+).*")'
    by = f"{GPU}, {extra}" if extra else GPU
    if labels.uuid != "uuid" or labels.uuid_prefix:
        prefix = labels.uuid_prefix
        pattern = f"(?:{prefix})?(.+)" if prefix else "(.+)"
        placed = f'label_replace({placed}, "uuid", "{prefix}$1", "{labels.uuid}", "{pattern}")'
    return f"max by ({by}) ({placed})"


def _yaml(name: str, interval: str, rules: list[Rule]) -> str:
    group = {"name": name, "interval": interval, "rules": rules}
    return str(yaml.safe_dump({"groups": [group]}, sort_keys=False, width=100))


def main() -> None:
    for name, text in files():
        (Path(sys.argv[1]) / name).write_text(text)


if __name__ == "__main__":
    main()
