"""Harm: a pod that found no node for long, or that crashes again and again."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from lightkube.resources.core_v1 import Pod

from agentaflow_advisor.act.channels import CHANNELS
from agentaflow_advisor.act.facts import in_trouble


def pod(**status: Any) -> Pod:
    metadata = {"name": "train", "namespace": "research"}
    spec = {"containers": [{"name": "main"}]}
    return cast(Pod, Pod.from_dict({"metadata": metadata, "spec": spec, "status": status}))


def unschedulable(for_seconds: float) -> dict[str, Any]:
    since = datetime.fromtimestamp(time.time() - for_seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    return {"conditions": [{**condition, "lastTransitionTime": since}]}


def container(reason: str) -> dict[str, Any]:
    made = {"name": "main", "image": "x", "imageID": "", "ready": False, "restartCount": 5}
    return {"containerStatuses": [{**made, "state": {"waiting": {"reason": reason}}}]}


def test_a_pod_that_waits_in_vain_for_longer_than_the_patience_is_in_trouble() -> None:
    """By kube-scheduler's own word."""
    assert "has found no node for" in str(in_trouble(pod(**unschedulable(60)), 30.0))
    assert in_trouble(pod(**unschedulable(60)), 600.0) is None


def test_a_pod_that_crashes_again_and_again_is_in_trouble() -> None:
    """At once: its kubelet has seen it several times."""
    why = in_trouble(pod(**container("CrashLoopBackOff")), 600.0)
    assert why == "pod research/train crashes again and again"


@pytest.mark.parametrize("seen", [pod(), pod(**container("ContainerCreating"))])
def test_a_pod_that_is_starting_is_not(seen: Pod) -> None:
    """Nobody has said that anything is wrong."""
    assert in_trouble(seen, 0.0) is None


def test_what_can_be_taken_back_is_watched_for_harm() -> None:
    """A way back that nobody thinks of taking is none."""
    watched = {name for name, channel in CHANNELS.items() if channel.harm}
    assert watched == {name for name, channel in CHANNELS.items() if channel.reversible}
