"""OpenTelemetry spans of decisions' lives, over OTLP: one trace for each, from the journal.

A decision's id is its trace's id, so that whatever process brought it on, its steps are in one
trace. Each step is a span: from the state before until it came into that one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from contextlib import suppress
from importlib.metadata import version
from typing import Any
from uuid import UUID

from agentaflow_advisor.decide.journal import Event
from agentaflow_advisor.model import Decision, State

NEEDS = 'traces need the extra: pip install "agentaflow[otel]"'
BAD = frozenset({State.FAILED, State.EXPIRED, State.REVERTED})
NANOSECONDS = 1e9


class NoTelemetry(Exception):
    """The extra is not installed; the message says how it is."""


class Traces:
    """`tell(decision, events)`; each step is told once. Sent by a thread, lost where nobody takes
    it.
    """

    def __init__(self, endpoint: str) -> None:
        """Raises NoTelemetry."""
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError as error:
            raise NoTelemetry(NEEDS) from error
        exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=5)
        self._processor = BatchSpanProcessor(exporter)
        self._resource = Resource.create(
            {"service.name": "agentaflow", "service.version": version("agentaflow")}
        )
        self._told: dict[str, int] = {}  # by the decision's id: the newest event's number

    def tell(self, decision: Decision, events: Iterable[Event]) -> None:
        """The steps that were not told yet."""
        before: Event | None = None
        for event in events:
            if event.seq > self._told.get(decision.id, 0):
                self._processor.on_end(self._span(decision, before, event))
                self._told[decision.id] = event.seq
            before = event

    def end(self) -> None:
        """Send what waits, for a moment at most."""
        with suppress(Exception):  # whatever the library makes of a collector that is gone
            self._processor.force_flush(2000)
            self._processor.shutdown()  # type: ignore[no-untyped-call]

    def _span(self, decision: Decision, before: Event | None, event: Event) -> Any:
        from opentelemetry.sdk.trace import ReadableSpan
        from opentelemetry.trace import SpanContext, TraceFlags
        from opentelemetry.trace.status import Status, StatusCode

        def context(seq: int) -> Any:
            made = _span_id(decision.id, seq)
            return SpanContext(_trace_id(decision.id), made, False, TraceFlags(1))

        action = decision.action
        bad = event.to_state in BAD
        return ReadableSpan(
            name=f"decision {event.to_state}",
            context=context(event.seq),
            parent=context(before.seq) if before else None,
            resource=self._resource,
            attributes={
                "agentaflow.decision": decision.id,
                "agentaflow.channel": action.channel,
                "agentaflow.target": action.ref,
                "agentaflow.node": action.node,
                "agentaflow.actor": event.actor,
                "agentaflow.reason": event.reason,
            },
            status=Status(StatusCode.ERROR, event.reason) if bad else Status(StatusCode.OK),
            start_time=int((before.at if before else event.at) * NANOSECONDS),
            end_time=int(event.at * NANOSECONDS),
        )


def _trace_id(decision_id: str) -> int:
    return UUID(decision_id).int


def _span_id(decision_id: str, seq: int) -> int:
    """The same for the same step, whoever tells it."""
    digest = hashlib.sha256(f"{decision_id} {seq}".encode()).digest()
    return int.from_bytes(digest[:8], "big") or 1
