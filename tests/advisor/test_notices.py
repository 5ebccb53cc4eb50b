"""Notices: each form is what its receiver takes, and none that fails stops anything."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from agentaflow_advisor.model import Decision, State
from agentaflow_advisor.notices import Courier, Form, Notice, send
from tests.support.decisions import decision
from tests.support.loopback import Answer, serve


class Receiver:
    """Keeps what it is sent."""

    def __init__(self) -> None:
        self.bodies: list[Any] = []
        self.status = 200
        self.url = ""
        self.open = threading.Event()
        self.open.set()

    def handle(self, _method: str, _path: str, body: bytes) -> Answer:
        self.open.wait(30)
        self.bodies.append(json.loads(body))
        return self.status, "application/json", b"{}"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    with serve(made.handle) as made.url:
        yield made
        made.open.set()


def applied() -> Decision:
    return replace(decision(), state=State.APPLIED, reason="the API server took the change")


def told(receiver: Receiver, form: Form) -> Any:
    assert send([Notice(receiver.url, form)], applied()) == ()
    (body,) = receiver.bodies
    return body


def test_a_webhook_gets_the_decision_whole(receiver: Receiver) -> None:
    """As the journal gives it."""
    body = told(receiver, "webhook")
    assert body["decision"]["state"] == "applied"
    assert body["decision"]["action"]["name"] == "train"


def test_slack_gets_a_text(receiver: Receiver) -> None:
    """One line that says what was done to what, and why it says so."""
    text = told(receiver, "slack")["text"]
    assert text.startswith("AgentaFlow applied: scheduling-gate research/train -> node-0")


def test_teams_gets_an_adaptive_card(receiver: Receiver) -> None:
    """In the wrapper that its workflows ask for."""
    (attachment,) = told(receiver, "teams")["attachments"]
    assert attachment["content"]["type"] == "AdaptiveCard"
    assert "research/train" in attachment["content"]["body"][0]["text"]


def test_alertmanager_gets_an_alert(receiver: Receiver) -> None:
    """With labels to route by, and none that is empty."""
    (alert,) = told(receiver, "alertmanager")
    assert alert["labels"]["alertname"] == "AgentaFlowDecision"
    assert alert["labels"]["namespace"] == "research"
    assert all(alert["labels"].values())


def test_states_that_nobody_asked_for_are_not_told(receiver: Receiver) -> None:
    """Each receiver has its own."""
    assert send([Notice(receiver.url, states=("failed",))], applied()) == ()
    assert receiver.bodies == []


def test_what_cannot_be_delivered_is_told_without_its_url(receiver: Receiver) -> None:
    """A webhook's URL is a secret."""
    receiver.status = 500
    gone = Notice("http://127.0.0.1:9/secret", "slack")
    troubles = send([Notice(receiver.url), gone], applied())
    assert troubles == ("webhook notice: HTTP 500", "slack notice: ConnectionError")


def courier(receiver: Receiver, *, most: int = 10) -> Courier:
    return Courier([Notice(receiver.url)], lambda _decision, _trouble: None, most=most)


def test_a_receiver_that_hangs_holds_nobody_up(receiver: Receiver) -> None:
    """What is posted is delivered when it answers, in its order."""
    receiver.open.clear()
    made = courier(receiver)
    for reason in ("one", "two", "three"):
        made.post(replace(applied(), reason=reason))
    assert receiver.bodies == []
    receiver.open.set()
    made.end(within_seconds=30)
    assert [body["decision"]["reason"] for body in receiver.bodies] == ["one", "two", "three"]
    assert made.counts == {"delivered": 3, "failed": 0, "dropped": 0}


def test_what_there_is_too_much_of_is_dropped_and_counted(receiver: Receiver) -> None:
    """While one is under way two wait here, and no more."""
    receiver.open.clear()
    made = courier(receiver, most=2)
    for _ in range(8):
        made.post(applied())
    assert made.counts["dropped"] in (5, 6)  # the first may not be under way yet
    receiver.open.set()
    made.end(within_seconds=30)
    assert made.counts["delivered"] + made.counts["dropped"] == 8


def test_what_failed_is_counted_and_told(receiver: Receiver) -> None:
    """With the decision that it was about."""
    receiver.status = 500
    troubles: list[tuple[str, str]] = []
    made = Courier([Notice(receiver.url)], lambda one, why: troubles.append((one.action.name, why)))
    made.post(applied())
    made.end(within_seconds=30)
    assert troubles == [("train", "webhook notice: HTTP 500")]
    assert made.counts["failed"] == 1


def test_a_stop_waits_for_a_receiver_that_hangs_only_so_long(receiver: Receiver) -> None:
    """The thread is left behind, and ends with the process."""
    receiver.open.clear()
    made = courier(receiver)
    made.post(applied())
    made.end(within_seconds=0.05)
    assert made.counts["delivered"] == 0
