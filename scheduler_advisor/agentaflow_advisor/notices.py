"""Notices of decisions to people: Slack, Teams, Alertmanager, or any webhook.

They are delivered by a thread of their own; what cannot be delivered is told in the log, what there
is too much of is dropped and counted, and nothing of it stops the work.
"""

from __future__ import annotations

import queue
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import requests

from agentaflow_advisor.model import Decision
from agentaflow_advisor.render import iso, plain

TIMEOUT_SECONDS = 5.0
MOST = 1000  # decisions that wait to be told
Form = Literal["webhook", "slack", "teams", "alertmanager"]


@dataclass(frozen=True, slots=True)
class Notice:
    """Where decisions that come into these states are told, and in which form."""

    url: str
    form: Form = "webhook"
    states: tuple[str, ...] = ("proposed", "applied", "failed", "reverted")

    def wants(self, decision: Decision) -> bool:
        return decision.state in self.states


def send(notices: Iterable[Notice], decision: Decision) -> tuple[str, ...]:
    """Deliver it to all that want it; a line for each that failed, without its URL."""
    troubles = []
    for notice in notices:
        if not notice.wants(decision):
            continue
        try:
            body = BODIES[notice.form](decision)
            answer = requests.post(notice.url, json=body, timeout=TIMEOUT_SECONDS)
        except requests.RequestException as error:  # its text holds the URL, which is a secret
            troubles.append(f"{notice.form} notice: {type(error).__name__}")
        else:
            if not answer.ok:
                troubles.append(f"{notice.form} notice: HTTP {answer.status_code}")
    return tuple(troubles)


class Courier:
    """`post(decision)` returns at once; one thread delivers, which the first post starts."""

    def __init__(
        self,
        notices: Iterable[Notice],
        undelivered: Callable[[Decision, str], object],
        *,
        most: int = MOST,
    ) -> None:
        """`undelivered` is told of each that failed, from the thread."""
        self._notices, self._undelivered = tuple(notices), undelivered
        self._queue: queue.Queue[Decision | None] = queue.Queue(most)
        self._counts: Counter[str] = Counter(delivered=0, failed=0, dropped=0)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @property
    def counts(self) -> Mapping[str, int]:
        """Notices that were delivered, failed or dropped, one for each receiver."""
        with self._lock:
            return dict(self._counts)

    def post(self, decision: Decision) -> None:
        """Have it told to all that want it; dropped where too much waits already."""
        wanted = sum(notice.wants(decision) for notice in self._notices)
        if not wanted:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._deliver, name="notices", daemon=True)
            self._thread.start()
        try:
            self._queue.put_nowait(decision)
        except queue.Full:
            self._count(dropped=wanted)

    def end(self, *, within_seconds: float) -> None:
        """Deliver what waits, and stop; what is not delivered by then is lost."""
        if self._thread is None:
            return
        try:
            self._queue.put(None, timeout=within_seconds)
        except queue.Full:
            return
        self._thread.join(within_seconds)

    def _deliver(self) -> None:
        while (decision := self._queue.get()) is not None:
            troubles = send(self._notices, decision)
            wanted = sum(notice.wants(decision) for notice in self._notices)
            self._count(delivered=wanted - len(troubles), failed=len(troubles))
            for trouble in troubles:
                self._undelivered(decision, trouble)

    def _count(self, **more: int) -> None:
        with self._lock:
            self._counts.update(more)


def _webhook(decision: Decision) -> Mapping[str, Any]:
    """The decision as `agentaflow journal show -o json` gives it."""
    return {"decision": plain(decision)}


def _slack(decision: Decision) -> Mapping[str, Any]:
    return {"text": _text(decision)}


def _teams(decision: Decision) -> Mapping[str, Any]:
    """An adaptive card, as Teams' workflows take it."""
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [{"type": "TextBlock", "text": _text(decision), "wrap": True}],
    }
    kind = "application/vnd.microsoft.card.adaptive"
    return {"type": "message", "attachments": [{"contentType": kind, "content": card}]}


def _alertmanager(decision: Decision) -> list[Mapping[str, Any]]:
    """For POST /api/v2/alerts: silenced, grouped and routed as everything else."""
    action = decision.action
    labels = {
        "alertname": "AgentaFlowDecision",
        "severity": "info",
        "state": str(decision.state),
        "channel": action.channel,
        "namespace": action.namespace,
        "node": action.node,
        "decision": decision.id,
    }
    return [
        {
            "labels": {name: value for name, value in labels.items() if value},
            "annotations": {"summary": _text(decision), "description": decision.why},
            "startsAt": iso(decision.state_at),
        }
    ]


def _text(decision: Decision) -> str:
    said = decision.reason or decision.why
    return f"AgentaFlow {decision.state}: {decision.action.told} ({decision.id}): {said}"


BODIES: Mapping[Form, Callable[[Decision], Any]] = {
    "webhook": _webhook,
    "slack": _slack,
    "teams": _teams,
    "alertmanager": _alertmanager,
}
