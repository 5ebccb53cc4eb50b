"""A recorded list and watch, served again: every event is followed, after it was sent."""

from __future__ import annotations

import json

import pytest
from lightkube import Client, KubeConfig
from lightkube.config.models import User

from bench.watch_follower import FOLLOWERS
from bench.watch_replay import Recording, Replay, served
from tests.support.applying import pod_manifest

PODS, TURNS = 5, 4


def pod(number: int, version: int) -> dict[str, object]:
    made = pod_manifest(f"pod-{number}", namespace="bench")
    made["metadata"] |= {"uid": f"uid-{number}", "resourceVersion": str(version)}
    return made


def page(numbers: range, token: str) -> bytes:
    meta = {"resourceVersion": "10", **({"continue": token} if token else {})}
    head = {"apiVersion": "v1", "kind": "PodList", "metadata": meta}
    return json.dumps({**head, "items": [pod(number, 10) for number in numbers]}).encode()


def recording() -> Recording:
    events = [
        {"type": "MODIFIED", "object": pod(number, 11 + number + PODS * turn)}
        for turn in range(TURNS)
        for number in range(PODS)
    ]
    pages = (page(range(3), "second"), page(range(3, PODS), ""))
    return Recording(pages, tuple(json.dumps(event).encode() + b"\n" for event in events))


@pytest.mark.parametrize("kind", sorted(FOLLOWERS))
@pytest.mark.parametrize("pace", [None, 500.0])
def test_every_event_of_a_recording_is_followed_after_it_was_sent(
    kind: str, pace: float | None
) -> None:
    """By our view and by the peer; not faster than the pace."""
    with served(Replay(recording(), pace)) as replay:
        config = KubeConfig.from_server(replay.url).get()
        assert config is not None
        with Client(config=config._replace(user=User())) as client:
            taken_at, cpu_seconds = FOLLOWERS[kind](client, PODS * TURNS)
    assert len(taken_at) == len(replay.sent_at) == PODS * TURNS
    assert all(at >= sent for at, sent in zip(taken_at, replay.sent_at, strict=True))
    assert cpu_seconds > 0
    if pace is not None:
        assert taken_at[-1] - replay.sent_at[0] >= (PODS * TURNS - 1) / pace
