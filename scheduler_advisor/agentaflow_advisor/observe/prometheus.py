"""Prometheus' HTTP API as a few typed calls: queries, its clock and its version."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
from requests.auth import AuthBase, HTTPBasicAuth

from agentaflow_advisor.observe.errors import (
    AnswerUnusable,
    NotPrometheus,
    ObserveError,
    PrometheusUnreachable,
    QueryRejected,
    QueryTooLarge,
    one_line,
)
from agentaflow_advisor.observe.partial import Store, stores_in
from agentaflow_advisor.observe.transport import BearerToken, Reply, Transport

WARNING_LENGTH = 100_000
TOO_MUCH = ("too many samples", "exceed")  # in Prometheus' and Thanos' error texts


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
        return map(self.labels_in, self.metrics)

    def labels_in(self, metric: bytes) -> Mapping[str, str]:
        """The labels of one of its series. Raises AnswerUnusable."""
        try:
            return _LABELS.decode(metric)
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


class _Envelope(msgspec.Struct):
    """An answer of the API; what is in `data` is read once its kind is known."""

    status: Any
    data: msgspec.Raw = msgspec.Raw(b"null")
    errorType: Any = None  # noqa: N815 (Prometheus' own names)
    error: Any = None
    warnings: Any = None
    isPartial: Any = False  # noqa: N815


class _Result(msgspec.Struct):
    resultType: Any = None  # noqa: N815
    result: msgspec.Raw = msgspec.Raw(b"null")


class _Series(msgspec.Struct, gc=False):
    """Labels are left as they are: a fleet of 80,000 GPUs has the same ones in each answer."""

    metric: msgspec.Raw
    value: tuple[float, str]


class _Tracks(msgspec.Struct):
    metric: dict[str, str]
    values: list[tuple[float, str]]


_ENVELOPE = msgspec.json.Decoder(_Envelope)
_RESULT = msgspec.json.Decoder(_Result)
_VECTOR = msgspec.json.Decoder(list[_Series])
_SCALAR = msgspec.json.Decoder(tuple[float, str])
_MATRIX = msgspec.json.Decoder(list[_Tracks])
_LABELS = msgspec.json.Decoder(dict[str, str])


class Prometheus:
    """One Prometheus, or what speaks its query API (Thanos Query, Mimir). Threads may share it."""

    def __init__(
        self,
        url: str,
        *,
        timeout_seconds: float = 30.0,
        max_bytes: int = 64 << 20,
        max_series: int = 200_000,
        bearer_token: str | None = None,
        bearer_token_file: Path | None = None,
        basic_auth: tuple[str, str] | None = None,
        ca_file: Path | None = None,
        verify: bool = True,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        auth: AuthBase | None = None
        if bearer_token or bearer_token_file:
            auth = BearerToken(bearer_token, bearer_token_file)
        elif basic_auth:
            auth = HTTPBasicAuth(*basic_auth)
        self._transport = Transport(
            url,
            timeout_seconds=timeout_seconds,
            max_bytes=max_bytes,
            auth=auth,
            verify=str(ca_file) if ca_file and verify else verify,
            headers=headers or {},
        )
        self._max_series = max_series

    @property
    def url(self) -> str:
        """The address, without credentials."""
        return self._transport.shown

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._transport.close()

    def query(self, promql: str, *, at: float | None = None) -> tuple[Sample, ...]:
        """An instant query's samples; a scalar comes as one sample without labels."""
        return self.ask(promql, at=at).samples

    def ask(self, promql: str, *, at: float | None = None) -> Answer:
        """An instant query with its warnings and the time it took."""
        form = {"query": promql}
        if at is not None:
            form["time"] = f"{at:.3f}"
        started = time.monotonic()
        content = self._content(self._transport.request("POST", "/api/v1/query", form), promql)
        metrics, values, when = self._columns(content, promql)
        took = time.monotonic() - started
        return Answer(metrics, values, when, _warnings(content), took, self.url)

    def query_range(
        self, promql: str, *, start: float, end: float, step_seconds: float
    ) -> tuple[tuple[Track, ...], tuple[str, ...]]:
        """A range query's series, and its warnings: parts may be missing then."""
        form = {"query": promql, "start": f"{start:.3f}", "end": f"{end:.3f}"}
        form["step"] = f"{step_seconds:.3f}"
        content = self._content(
            self._transport.request("POST", "/api/v1/query_range", form), promql
        )
        data = _result(content)
        if data.resultType != "matrix":
            kind = one_line(data.resultType)
            raise self._unusable(f"is a {kind}, not a matrix, to: {one_line(promql)}")
        try:
            series = _MATRIX.decode(data.result)
            tracks = tuple(
                Track(each.metric, tuple((at, float(value)) for at, value in each.values))
                for each in series
            )
        except (msgspec.DecodeError, ValueError) as error:
            raise self._unusable(
                f"holds a series that is no floats over time, to: {one_line(promql)}"
            ) from error
        self._limit(len(tracks), promql)
        return tracks, _warnings(content)

    def now(self) -> float:
        """Prometheus' own clock, in seconds since the epoch."""
        return self.query("time()")[0].value

    def build_info(self) -> str:
        """The server's version; empty where it does not tell."""
        content = self._content(self._transport.request("GET", "/api/v1/status/buildinfo"), "")
        data = msgspec.json.decode(content.data)
        return str(data.get("version", "")) if isinstance(data, dict) else ""

    def stores(self) -> tuple[Store, ...]:
        """What a Thanos Query asks; empty where this is none, or does not tell."""
        try:
            reply = self._transport.request("GET", "/api/v1/stores")
            return stores_in(msgspec.json.decode(self._content(reply, "").data))
        except ObserveError:
            return ()

    def _content(self, reply: Reply, promql: str) -> _Envelope:
        """The answer's envelope, or the error that it carries."""
        try:
            content = _ENVELOPE.decode(reply.body)
        except msgspec.ValidationError as error:
            raise self._not_prometheus(reply) from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            if reply.status == 200 and reply.body.startswith(b"{"):
                raise self._unusable(f"is broken JSON of {len(reply.body)} bytes") from error
            raise self._not_prometheus(reply) from error
        if content.status not in ("success", "error"):
            raise self._not_prometheus(reply)
        if content.status == "error":
            raise self._rejected(content, promql)
        return content

    def _columns(self, content: _Envelope, promql: str) -> tuple[list[bytes], list[float], float]:
        """Labels, values and evaluation time."""
        data = _result(content)
        try:
            if data.resultType == "vector":
                series = _VECTOR.decode(data.result)
            elif data.resultType == "scalar":
                series = [_Series(msgspec.Raw(b"{}"), _SCALAR.decode(data.result))]
            else:
                kind = one_line(data.resultType)
                raise self._unusable(f"is a {kind}, not a vector, to: {one_line(promql)}")
            values = [float(each.value[1]) for each in series]
        except (msgspec.DecodeError, ValueError) as error:
            raise self._unusable(
                f"holds a series that is no float sample, to: {one_line(promql)}"
            ) from error
        self._limit(len(series), promql)
        at = series[0].value[0] if series else 0.0
        return [bytes(each.metric) for each in series], values, at

    def _limit(self, series: int, promql: str) -> None:
        if series > self._max_series:
            raise QueryTooLarge(
                f"{self.url} answered {series} series, more than {self._max_series}, to: "
                f"{one_line(promql)}. Look for a label of unbounded values, or raise the limit."
            )

    def _rejected(self, content: _Envelope, promql: str) -> QueryRejected | QueryTooLarge:
        kind, text = one_line(content.errorType), one_line(content.error)
        if kind in ("timeout", "canceled") or any(mark in text for mark in TOO_MUCH):
            return QueryTooLarge(
                f"{self.url} gave the query up ({kind}: {text}). Shorten the window, or raise "
                f"Prometheus' --query.timeout or --query.max-samples. Query: {one_line(promql)}"
            )
        return QueryRejected(
            f"{self.url} rejected a query ({kind}: {text}). Check that it is Prometheus 2.42 or "
            f"newer and that no two targets collide. Query: {one_line(promql)}"
        )

    def _not_prometheus(self, reply: Reply) -> ObserveError:
        if reply.status >= 500:
            said = one_line(reply.body[:200].decode(errors="replace"))
            return PrometheusUnreachable(
                f"{self.url} failed with HTTP {reply.status}: {said}. "
                "Look at its log, and at the proxies in between."
            )
        kind = reply.content_type.partition(";")[0] or "no content type"
        return NotPrometheus(
            f"{self.url} is not Prometheus: it answered HTTP {reply.status} with {one_line(kind)}. "
            "Give the URL (and path prefix) under which /api/v1/query answers."
        )

    def _unusable(self, what: str) -> AnswerUnusable:
        return AnswerUnusable(
            f"the answer of {self.url} {what}. Try again; if it stays so, look at the proxies."
        )


def _result(content: _Envelope) -> _Result:
    """What a query brought; of no kind where that is something else."""
    try:
        return _RESULT.decode(content.data)
    except msgspec.DecodeError:
        return _Result()


def _warnings(content: _Envelope) -> tuple[str, ...]:
    """Each on one line, whole: the labels of many clusters may be in one."""
    warned = [one_line(text, WARNING_LENGTH) for text in content.warnings or ()]
    return (*warned, "the answer is partial") if content.isPartial is True else tuple(warned)
