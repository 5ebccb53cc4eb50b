"""Prometheus' HTTP API as a few typed calls: queries, its clock and its version."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson
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

    labels: Sequence[Mapping[str, str]]  # of each series
    values: Sequence[float]  # in the same order
    at: float  # evaluation time, seconds since the epoch
    warnings: tuple[str, ...]
    seconds: float  # that it took

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
        labels, values, when = self._columns(content.get("data"), promql)
        return Answer(labels, values, when, _warnings(content), time.monotonic() - started)

    def query_range(
        self, promql: str, *, start: float, end: float, step_seconds: float
    ) -> tuple[tuple[Track, ...], tuple[str, ...]]:
        """A range query's series, and its warnings: parts may be missing then."""
        form = {"query": promql, "start": f"{start:.3f}", "end": f"{end:.3f}"}
        form["step"] = f"{step_seconds:.3f}"
        content = self._content(
            self._transport.request("POST", "/api/v1/query_range", form), promql
        )
        data = content.get("data")
        kind = data.get("resultType") if isinstance(data, dict) else None
        result = data.get("result") if isinstance(data, dict) else None
        if kind != "matrix" or not isinstance(result, list):
            raise self._unusable(f"is a {one_line(kind)}, not a matrix, to: {one_line(promql)}")
        self._limit(result, promql)
        try:
            tracks = tuple(_track(item) for item in result)
        except (KeyError, TypeError, ValueError) as error:
            raise self._unusable(
                f"holds a series that is no floats over time, to: {one_line(promql)}"
            ) from error
        return tracks, _warnings(content)

    def now(self) -> float:
        """Prometheus' own clock, in seconds since the epoch."""
        return self.query("time()")[0].value

    def build_info(self) -> str:
        """The server's version; empty where it does not tell."""
        content = self._content(self._transport.request("GET", "/api/v1/status/buildinfo"), "")
        data = content.get("data")
        return str(data.get("version", "")) if isinstance(data, dict) else ""

    def stores(self) -> tuple[Store, ...]:
        """What a Thanos Query asks; empty where this is none, or does not tell."""
        try:
            reply = self._transport.request("GET", "/api/v1/stores")
            return stores_in(self._content(reply, "").get("data"))
        except ObserveError:
            return ()

    def _content(self, reply: Reply, promql: str) -> dict[str, Any]:
        """The answer's envelope, or the error that it carries."""
        try:
            content = orjson.loads(reply.body)
        except orjson.JSONDecodeError as error:
            if reply.status == 200 and reply.body.startswith(b"{"):
                raise self._unusable(f"is broken JSON of {len(reply.body)} bytes") from error
            raise self._not_prometheus(reply) from error
        if not isinstance(content, dict) or content.get("status") not in ("success", "error"):
            raise self._not_prometheus(reply)
        if content["status"] == "error":
            raise self._rejected(content, promql)
        return content

    def _columns(
        self, data: object, promql: str
    ) -> tuple[list[Mapping[str, str]], list[float], float]:
        kind = data.get("resultType") if isinstance(data, dict) else None
        result = data.get("result") if isinstance(data, dict) else None
        if kind not in ("vector", "scalar") or not isinstance(result, list):
            raise self._unusable(f"is a {one_line(kind)}, not a vector, to: {one_line(promql)}")
        if kind == "scalar":
            result = [{"metric": {}, "value": result}]
        self._limit(result, promql)
        try:
            return _vector(result)
        except (KeyError, TypeError, ValueError) as error:
            raise self._unusable(
                f"holds a series that is no float sample, to: {one_line(promql)}"
            ) from error

    def _limit(self, result: list[Any], promql: str) -> None:
        if len(result) > self._max_series:
            raise QueryTooLarge(
                f"{self.url} answered {len(result)} series, more than {self._max_series}, to: "
                f"{one_line(promql)}. Look for a label of unbounded values, or raise the limit."
            )

    def _rejected(self, content: dict[str, Any], promql: str) -> QueryRejected | QueryTooLarge:
        kind = one_line(content.get("errorType"))
        text = one_line(content.get("error"))
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


def _warnings(content: dict[str, Any]) -> tuple[str, ...]:
    """Each on one line, whole: the labels of many clusters may be in one."""
    warned = [one_line(text, WARNING_LENGTH) for text in content.get("warnings") or ()]
    return (*warned, "the answer is partial") if content.get("isPartial") is True else tuple(warned)


def _vector(result: list[Any]) -> tuple[list[Mapping[str, str]], list[float], float]:
    """In comprehensions, since there may be a series for each of 100,000 GPUs."""
    labels = [item["metric"] for item in result]
    pairs = [item["value"] for item in result]
    texts = [text for _, text in pairs]
    if {type(each) for each in labels} - {dict} or {type(each) for each in texts} - {str}:
        raise TypeError("not a sample")
    return labels, [float(text) for text in texts], float(pairs[0][0]) if pairs else 0.0


def _track(item: dict[str, Any]) -> Track:
    labels = item["metric"]
    if not isinstance(labels, dict):
        raise TypeError("not a series")
    return Track(labels, tuple((float(at), float(value)) for at, value in item["values"]))
