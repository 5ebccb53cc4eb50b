"""What becomes of decisions, told once: to the log, to their objects, as spans, and to people.

The journal says what there is to tell, whoever wrote it there: the loop, a command or a request.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from lightkube import Client

from agentaflow_advisor.act import events
from agentaflow_advisor.decide.journal import Event, Journal
from agentaflow_advisor.model import Decision, State
from agentaflow_advisor.notices import Courier
from agentaflow_advisor.settings import Settings
from agentaflow_advisor.telemetry import Traces
from agentaflow_exporter.log import Log

DRAIN_SECONDS = 2.0  # how long a stop waits for what is still to be told to people


@dataclass(slots=True)
class Teller:
    """`begin` before the first step that is to be told, `tell` after any, `end` at last."""

    settings: Settings
    log: Log
    _courier: Courier = field(init=False)
    _traces: Traces | None = field(init=False, default=None)
    _seq: int | None = None  # of the newest event that was told; None: those from now on
    _waiting: dict[str, str] = field(default_factory=dict)  # why decisions wait, by id

    def __post_init__(self) -> None:
        self._courier = Courier(self.settings.told(), self._undelivered)
        if self.settings.otlp_endpoint:
            self._traces = Traces(self.settings.otlp_endpoint)

    def begin(self, journal: Journal) -> None:
        """What is in the journal by now was told by whoever wrote it. Raises JournalError."""
        if self._seq is None:
            self._seq = journal.newest()

    def stand_by(self) -> None:
        """Another process tells, until `begin`."""
        self._seq = None

    def tell(self, client: Client, journal: Journal, results: Iterable[Decision] = ()) -> None:
        """What happened since the last time, and why some of these wait. Raises JournalError."""
        for event in journal.events_after(self._seq or 0):
            self._seq = event.seq
            self._waiting.pop(event.decision_id, None)
            self._step(client, journal, event)
        for decision in results:
            there = journal.get(decision.id)
            waits = decision.state is there.state and decision.reason != there.reason
            if waits and self._waiting.get(decision.id) != decision.reason:
                self._waiting[decision.id] = decision.reason
                self._line(decision)

    @property
    def notices(self) -> Mapping[str, int]:
        """How many were delivered, failed and dropped."""
        return self._courier.counts

    def end(self) -> None:
        """Deliver what waits, for some seconds at most."""
        self._courier.end(within_seconds=DRAIN_SECONDS)
        if self._traces is not None:
            self._traces.end()

    def _step(self, client: Client, journal: Journal, event: Event) -> None:
        """One step, in the words that the journal has for it."""
        decision = replace(
            journal.get(event.decision_id),
            state=event.to_state,
            reason=event.reason,
            actor=event.actor,
            state_at=event.at,
        )
        self._line(decision)
        if self._traces is not None:
            self._traces.tell(decision, journal.events(decision.id))
        if trouble := events.tell(client, decision):
            self._undelivered(decision, trouble)
        self._courier.post(decision)

    def _line(self, decision: Decision) -> None:
        why = f": {decision.reason}" if decision.reason else ""
        say = self.log.debug if decision.state is State.INTENDED else self.log.info
        say(
            f"{decision.state}: {decision.action.told}{why}",
            component="act",
            decision=decision.id,
            actor=decision.actor,
        )

    def _undelivered(self, decision: Decision, trouble: str) -> None:
        self.log.warning(trouble, component="notice", decision=decision.id)
