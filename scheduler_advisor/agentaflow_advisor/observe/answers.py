"""What Prometheus' HTTP API answers: how its JSON is read, and what is handed on of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

import msgspec

from agentaflow_advisor.observe.errors import AnswerUnusable, one_line

WARNING_LENGTH = 100_000
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Sample:
    """One series' value. It may be NaN or infinite, as Prometheus said it."""

    labels: Mapping[str, str]
    value: float
    at: float  # seconds since the epoch, Prometheus' clock


@dataclass(frozen=True, slots=True)
class Answer:
    """What one query brought, in columns. Warnings mean that parts may be missing."""

    metrics: Sequence[bytes]  # the labels of each series, as JSON
    values: Sequence[float]  # in the same order
    at: float  # evaluation time, seconds since the epoch
    warnings: tuple[str, ...]
    seconds: float  # that it took
    url: str = ""  # who gave it

    @property
    def labels(self) -> Iterator[Mapping[str, str]]:
        """Those of each series, in order. Raises AnswerUnusable."""
        for metric in self.metrics:
            yield self._decoded(_LABELS, metric)

    def told(self, names: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        """The labels of these names of each series, empty where it has none. Raises
        AnswerUnusable.
        """
        return (self.told_in(metric, names) for metric in self.metrics)

    def told_in(self, metric: bytes, names: tuple[str, ...]) -> tuple[str, ...]:
        """The same of one of its series."""
        return msgspec.structs.astuple(self._decoded(_of_names(names), metric))

    def _decoded(self, decoder: msgspec.json.Decoder[V], metric: bytes) -> V:
        try:
            return decoder.decode(metric)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            shown = one_line(metric.decode(errors="replace"))
            raise AnswerUnusable(
                f"an answer of {self.url} holds a series whose labels are no texts: {shown}. "
                "Try again; if it stays so, look at the proxies."
            ) from error

    @property
    def samples(self) -> tuple[Sample, ...]:
        """Both together: for answers of a few series."""
        return tuple(
            Sample(labels, value, self.at)
            for labels, value in zip(self.labels, self.values, strict=True)
        )


@dataclass(frozen=True, slots=True)
class Track:
    """One series over time: (seconds since the epoch, value), the oldest first."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]


class Envelope(msgspec.Struct):
    """An answer of the API; what is in `data` is read once its kind is known."""

    status: Any
    data: msgspec.Raw = msgspec.Raw(b"null")
    errorType: Any = None  # noqa: N815 (Prometheus' own names)
    error: Any = None
    warnings: Any = None
    isPartial: Any = False  # noqa: N815


class Result(msgspec.Struct):
    resultType: Any = None  # noqa: N815
    result: msgspec.Raw = msgspec.Raw(b"null")


class Series(msgspec.Struct, gc=False):
    """Labels are left as they are: a fleet of 80,000 GPUs has the same ones in each answer."""

    metric: msgspec.Raw
    value: tuple[float, str]


class Tracks(msgspec.Struct):
    metric: dict[str, str]
    values: list[tuple[float, str]]


ENVELOPE = msgspec.json.Decoder(Envelope)
_RESULT = msgspec.json.Decoder(Result)
VECTOR = msgspec.json.Decoder(list[Series])
SCALAR = msgspec.json.Decoder(tuple[float, str])
MATRIX = msgspec.json.Decoder(list[Tracks])
_LABELS: msgspec.json.Decoder[Mapping[str, str]] = msgspec.json.Decoder(dict[str, str])


@cache
def _of_names(names: tuple[str, ...]) -> msgspec.json.Decoder[Any]:
    """Of some labels alone: twice as fast as of all."""
    fields = [(f"label_{index}", str, "") for index in range(len(names))]
    rename = {field: name for (field, *_), name in zip(fields, names, strict=True)}
    return msgspec.json.Decoder(msgspec.defstruct("Told", fields, rename=rename, gc=False))


def result_in(content: Envelope) -> Result:
    """What a query brought; of no kind where that is something else."""
    try:
        return _RESULT.decode(content.data)
    except msgspec.DecodeError:
        return Result()


def warnings_in(content: Envelope) -> tuple[str, ...]:
    """Each on one line, whole: the labels of many clusters may be in one."""
    warned = [one_line(text, WARNING_LENGTH) for text in content.warnings or ()]
    return (*warned, "the answer is partial") if content.isPartial is True else tuple(warned)
