"""From recommendations to decisions: the gentlest channel that is on, on an object we know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from agentaflow_advisor.decide.recommended import propose_recommended
from agentaflow_advisor.model import (
    Action,
    CordonNode,
    Device,
    EvictPod,
    Evidence,
    LabelNode,
    Recommendation,
    Snapshot,
    Taint,
    TaintDevice,
    Where,
)
from agentaflow_advisor.model.actions import CloseBy
from agentaflow_advisor.model.names import MANAGED, SICK, SUSPECT
from tests.support.decisions import NOW
from tests.support.fleet import OPTED_IN, node, running_pod, snapshot

DEVICE = Device("gpu.nvidia.com", "node-0", "gpu-3")
ALL = ("eviction", "cordon", "node-label", "device-taint")


def found(kind: str, **where: str) -> Recommendation:
    at = Where(**{"node": "node-0", "uuid": "GPU-3", **where})
    evidence = Evidence(("up",), NOW, 1.0, 100)
    return Recommendation(f"{kind}-1", kind, "why", at, None, 0.9, evidence, "node", "risk")


def fleet(**changes: Any) -> Snapshot:
    pods = (running_pod("notebook", "node-0", uid="uid-notebook"),)
    labels = {**OPTED_IN, **changes.pop("labels", {})}
    return snapshot([node("node-0", uid="uid-node-0", labels=labels, **changes)], pods)


def proposed(
    each: Recommendation,
    seen: Snapshot | None = None,
    channels: tuple[str, ...] = ALL,
    devices: Mapping[str, Device] | None = None,
) -> tuple[list[Any], list[str]]:
    made, refusals = propose_recommended(
        [each], seen or fleet(), channels, now=NOW, devices=devices
    )
    return [one.action for one in made], [refusal.reason for refusal in refusals]


def test_an_idle_pod_may_be_evicted() -> None:
    """By its uid, as Kubernetes knows it now."""
    (action,), refusals = proposed(found("idle-gpu", namespace="research", pod="notebook"))
    assert isinstance(action, EvictPod)
    assert (action.uid, action.ref, refusals) == ("uid-notebook", "research/notebook", [])


def test_a_pod_that_kubernetes_does_not_know_is_refused() -> None:
    """A name in a metric is not enough to act on."""
    made, refusals = proposed(found("idle-gpu", namespace="research", pod="other"))
    assert made == []
    assert refusals == ["which pod of Kubernetes holds the GPU is not known"]


@pytest.mark.parametrize(
    ("kind", "action"),
    [("drain-gpu-node", CordonNode), ("reset-gpu", LabelNode), ("check-gpu", LabelNode)],
)
def test_a_sick_gpu_closes_or_labels_its_node(kind: str, action: type[Action]) -> None:
    """Closed where it should be drained, labelled where it should be looked at."""
    (made,), _ = proposed(found(kind))
    assert type(made) is action
    assert (made.uid, made.node) == ("uid-node-0", "node-0")


@pytest.mark.parametrize("way", ["taint", "cordon"])
def test_a_node_is_closed_as_it_is_set(way: CloseBy) -> None:
    """By our taint, or for all."""
    made, _ = propose_recommended([found("drain-gpu-node")], fleet(), ALL, now=NOW, close_by=way)
    (action,) = (one.action for one in made)
    assert isinstance(action, CordonNode)
    assert action.how == way


def test_where_devices_are_known_one_of_them_is_tainted_and_not_its_node() -> None:
    """Without effect at first, with it once the rule is there; then there is nothing to do."""
    each = found("drain-gpu-node")
    (first,), _ = proposed(each, devices={"GPU-3": DEVICE})
    assert isinstance(first, TaintDevice)
    assert (first.device, first.effect, first.marker) == ("gpu-3", "None", None)
    rehearsed = replace(DEVICE, marker="01", effect="None")
    (second,), _ = proposed(each, devices={"GPU-3": rehearsed})
    assert (second.effect, second.marker) == ("NoSchedule", "01")
    assert proposed(each, devices={"GPU-3": replace(rehearsed, effect="NoSchedule")}) == ([], [])


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("drain-gpu-node", {"schedulable": False}),
        ("drain-gpu-node", {"taints": (Taint(SICK, "", "NoSchedule"),)}),
        ("check-gpu", {"labels": {SUSPECT: "check-gpu"}}),
    ],
)
def test_what_is_done_already_is_not_proposed(kind: str, changes: dict[str, Any]) -> None:
    """Whoever did it."""
    assert proposed(found(kind), fleet(**changes)) == ([], [])


def test_only_channels_that_are_on_are_used() -> None:
    """And what no channel serves is left to people."""
    assert proposed(found("drain-gpu-node"), channels=("eviction",)) == ([], [])
    assert proposed(found("stranded-gpus")) == ([], [])


def test_two_recommendations_on_one_object_make_one_decision() -> None:
    """Two sick GPUs close their node once."""
    each = found("drain-gpu-node")
    made, _ = propose_recommended([each, replace(each, id="x")], fleet(), ALL, now=NOW)
    assert len(made) == 1


def test_what_has_not_opted_in_is_refused_and_not_proposed() -> None:
    """A proposal that a guard would veto is no proposal."""
    seen = replace(fleet(), namespaces={})
    made, refusals = proposed(found("idle-gpu", namespace="research", pod="notebook"), seen)
    assert (made, refusals) == (
        [],
        ["pod research/notebook or its namespace has not opted in"],
    )
    made, refusals = proposed(found("drain-gpu-node"), fleet(labels={MANAGED: "false"}))
    assert (made, refusals) == ([], ["node node-0 has not opted in"])
