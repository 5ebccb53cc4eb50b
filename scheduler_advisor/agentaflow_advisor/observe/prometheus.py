"""Prometheus' HTTP API as a few typed calls: queries, its clock and its version."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import msgspec
from requests.auth import AuthBase, HTTPBasicAuth

from agentaflow_advisor.observe.answers import (
    ENVELOPE,
    MATRIX,
    SCALAR,
    VECTOR,
    Answer,
    Envelope,
    Sample,
    Series,
    Track,
    result_in,
    warnings_in,
)
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

TOO_MUCH = ("too many samples", "exceed")  # in Prometheus' and Thanos' error texts


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

    def __exit__(self, *_: object) -> None:
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
        return Answer(metrics, values, when, warnings_in(content), took, self.url)

    def query_range(
        self, promql: str, *, start: float, end: float, step_seconds: float
    ) -> tuple[tuple[Track, ...], tuple[str, ...]]:
        """A range query's series, and its warnings: parts may be missing then."""
        form = {"query": promql, "start": f"{start:.3f}", "end": f"{end:.3f}"}
        form["step"] = f"{step_seconds:.3f}"
        content = self._content(
            self._transport.request("POST", "/api/v1/query_range", form), promql
        )
        data = result_in(content)
        if data.resultType != "matrix":
            kind = one_line(data.resultType)
            raise self._unusable(f"is a {kind}, not a matrix, to: {one_line(promql)}")
        try:
            series = MATRIX.decode(data.result)
            tracks = tuple(
                Track(each.metric, tuple((at, float(value)) for at, value in each.values))
                for each in series
            )
        except (msgspec.DecodeError, ValueError) as error:
            raise self._unusable(
                f"holds a series that is no floats over time, to: {one_line(promql)}"
            ) from error
        self._limit(len(tracks), promql)
        return tracks, warnings_in(content)

    def now(self) -> float:
        """Prometheus' own clock, in seconds since the epoch."""
        told = self.query("time()")
        if not told or not math.isfinite(told[0].value):
            raise AnswerUnusable(f"{self.url} does not tell the time; is it Prometheus?")
        return told[0].value

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

    def _content(self, reply: Reply, promql: str) -> Envelope:
        """The answer's envelope, or the error that it carries."""
        try:
            content = ENVELOPE.decode(reply.body)
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

    def _columns(self, content: Envelope, promql: str) -> tuple[list[bytes], list[float], float]:
        """Labels, values and evaluation time."""
        data = result_in(content)
        try:
            if data.resultType == "vector":
                series = VECTOR.decode(data.result)
            elif data.resultType == "scalar":
                series = [Series(msgspec.Raw(b"{}"), SCALAR.decode(data.result))]
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

    def _rejected(self, content: Envelope, promql: str) -> QueryRejected | QueryTooLarge:
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
