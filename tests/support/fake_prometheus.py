"""Prometheus' query API for a made-up fleet, by the queries that the dialect asks; loopback only.

It knows the texts of the dialect and no PromQL: what queries mean is tested against a real one.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from agentaflow_advisor.observe.dialects import grid_points, ours, render
from tests.support.loopback import Answer, serve

WEEK = 604_800.0
JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Card:
    """One GPU that behaved the same all week."""

    node: str
    index: int
    busy: float = 0.0  # ratio 0 to 1
    pod: str | None = None  # namespace/name
    model: str = "NVIDIA H100 80GB HBM3"
    memory_bytes: float = 2.0**31

    @property
    def labels(self) -> dict[str, str]:
        uuid = f"GPU-{self.node}-{self.index}"
        return {"cluster": "", "node": self.node, "instance": self.node, "uuid": uuid}


@dataclass(slots=True)
class FakePrometheus:
    """Answers for the cards; `broken` is what it answers instead, to everything."""

    cards: tuple[Card, ...]
    window_seconds: float = WEEK
    percentile: float = 0.95
    broken: Answer | None = None
    clock: Callable[[], float] = time.time
    asked: list[str] = field(default_factory=list)
    url: str = ""
    answered: threading.Event = field(default_factory=threading.Event)

    def handle(self, _: str, path: str, body: bytes) -> Answer:
        self.answered.set()
        if self.broken:
            return self.broken
        if not path.startswith("/api/v1/query"):
            return 404, "text/plain", b"404 page not found"
        query = parse_qs(body.decode() or urlsplit(path).query)["query"][0]
        self.asked.append(query)
        now = self.clock()
        if query == "time()":
            return _answer("scalar", [now, str(now)])
        if "agentaflow_gpu_up|" in query:
            name = ours.DIALECT.probes[0]
            return _answer("vector", [{"metric": {"__name__": name}, "value": [now, "1"]}])
        if "max_over_time((count by" in query:
            return _answer("vector", [])  # nobody shared a GPU
        if "recorded_time" in query or "last_over_time(count by" in query:
            return _answer("vector", [])  # no rules, and nobody was there before
        signal = self._texts().get(query)
        if signal is None:
            error = {"status": "error", "errorType": "bad_data", "error": f"unknown: {query}"}
            return 400, JSON, json.dumps(error).encode()
        rows = [row for card in self.cards for row in self._rows(card, signal, now)]
        result = [{"metric": labels, "value": [now, str(value)]} for labels, value in rows]
        return _answer("vector", result)

    def _texts(self) -> Mapping[str, str]:
        return {
            render(text, window_seconds=self.window_seconds, percentile=self.percentile): signal
            for signal, text in ours.DIALECT.items()
        }

    def _rows(self, card: Card, signal: str, now: float) -> Iterable[tuple[dict[str, str], float]]:
        labels = {**card.labels, "gpu": str(card.index)}
        points = float(grid_points(self.window_seconds, now))
        if signal in ("pods", "held"):
            if card.pod:
                namespace, _, pod = card.pod.partition("/")
                held = {**labels, "namespace": namespace, "pod": pod, "container": "main"}
                yield held, points if signal == "held" else 1.0
        elif signal == "info":
            yield {**labels, "name": card.model}, 1.0
        elif (value := self._value(card, signal, points)) is not None:
            yield labels, value

    def _value(self, card: Card, signal: str, points: float) -> float | None:
        """None is a signal that nobody tells here."""
        if signal in ("present", "utilization_present"):
            return points
        if signal in ("utilization_max", "utilization_high", "utilization_mean"):
            return card.busy
        return {
            "up": 1.0,
            "utilization_samples": self.window_seconds / 60.0,
            "utilization_age": 15.0,
            "memory_total": 85e9,
            "memory_used_max": card.memory_bytes,
            "power_mean": 100.0,
            "energy": 3.6e6,
            "temperature_max": 50.0,
            "processes": 1.0 if card.pod else 0.0,
        }.get(signal)


@contextlib.contextmanager
def fake_prometheus(*cards: Card, **options: Any) -> Iterator[FakePrometheus]:
    """A stand-in that listens; its `url` is where."""
    fake = FakePrometheus(cards, **options)
    with serve(fake.handle) as fake.url:
        yield fake


def _answer(kind: str, result: object) -> Answer:
    answer = {"status": "success", "data": {"resultType": kind, "result": result}}
    return 200, JSON, json.dumps(answer).encode()
