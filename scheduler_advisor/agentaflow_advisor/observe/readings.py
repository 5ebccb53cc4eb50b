"""From Prometheus' samples to one value per signal and GPU; what is not plausible is left out."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed

from agentaflow_advisor.model import Query, Refusal
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
from agentaflow_advisor.observe.series import labelled, rows
from agentaflow_advisor.observe.signals import AMOUNT, SCALARS
from agentaflow_advisor.observe.told import Readings

PEAK, BROKEN = "utilization_max", "utilization_broken"
RECORDED = Labels()  # of every recorded series, whoever told it
PLAIN = {name: rule for name, rule in SCALARS.items() if name != "up"} | {TOLD: AMOUNT}
"""Signals whose series tell nothing but the GPU and the value."""
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
    take = _scalars if signal in PLAIN else labelled
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
    found = rows(readings, labels, answer)
    if found.distinct and not values and all(low <= value <= high for value in answer.values):
        values.update(zip(found.distinct, answer.values, strict=True))
        return 0, 0
    nameless = implausible = 0
    for key, value in zip(found.keys, answer.values, strict=True):
        if key is None:
            nameless += 1
        elif not low <= value <= high:
            implausible += 1
        else:
            values[key] = fold(values[key], value) if key in values else value
    return nameless, implausible
