"""Traces: a decision's life is one trace, each of its steps a span, told once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from agentaflow_advisor.decide.journal import Journal
from agentaflow_advisor.model import Decision, State
from agentaflow_advisor.telemetry import Traces
from tests.support.decisions import NOW, decision
from tests.support.loopback import Answer, serve


class Collector:
    """Keeps the spans that it is sent."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.paths: set[str] = set()
        self.url = ""

    def handle(self, _method: str, path: str, body: bytes) -> Answer:
        self.paths.add(path)
        request = ExportTraceServiceRequest.FromString(body)
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                self.spans += scope.spans
        return 200, "application/x-protobuf", b""


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    with serve(made.handle) as made.url:
        yield made


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal.db") as opened:
        yield opened


def lived(journal: Journal, *states: State) -> Decision:
    made = journal.add(decision())
    for step, state in enumerate(states, 1):
        made = journal.transition(made.id, state, actor="alice", at=NOW + step, reason="so")
    return made


def test_a_decisions_life_is_one_trace(collector: Collector, journal: Journal) -> None:
    """Its id is the trace's; each span lasts from the state before, and is its child."""
    made = lived(journal, State.APPROVED, State.INTENDED, State.FAILED)
    traces = Traces(collector.url)
    traces.tell(made, journal.events(made.id))
    traces.end()
    assert collector.paths == {"/v1/traces"}
    first, approved, intended, failed = sorted(collector.spans, key=lambda s: s.end_time_unix_nano)
    names = [each.name for each in (first, approved, intended, failed)]
    assert names == [
        f"decision {state}" for state in ("proposed", "approved", "intended", "failed")
    ]
    assert {each.trace_id for each in collector.spans} == {UUID(made.id).bytes}
    assert first.parent_span_id == b""
    assert failed.parent_span_id == intended.span_id
    assert failed.start_time_unix_nano == intended.end_time_unix_nano
    assert (failed.status.code, failed.status.message) == (2, "so")
    told = {each.key: each.value.string_value for each in approved.attributes}
    assert told["agentaflow.decision"] == made.id
    assert told["agentaflow.target"] == "research/train"


def test_a_step_is_told_once(collector: Collector, journal: Journal) -> None:
    """What comes later is told alone."""
    made = lived(journal, State.APPROVED)
    traces = Traces(collector.url)
    traces.tell(made, journal.events(made.id))
    journal.transition(made.id, State.INTENDED, actor="x", at=NOW + 9)
    traces.tell(made, journal.events(made.id))
    traces.end()
    assert len(collector.spans) == 3


def test_a_collector_that_is_gone_stops_nothing(journal: Journal) -> None:
    """Spans are lost; the decision goes on."""
    made = lived(journal, State.APPROVED)
    traces = Traces("http://127.0.0.1:9")
    traces.tell(made, journal.events(made.id))
    traces.end()
