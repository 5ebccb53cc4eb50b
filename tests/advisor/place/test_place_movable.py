"""Which pods may be moved: every protection has its reason, and gangs share theirs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agentaflow_advisor.model import (
    DisruptionBudget,
    Disruptions,
    Refusal,
    Requirement,
    Snapshot,
    Workload,
)
from agentaflow_advisor.model.names import GANG_LABELS, GATE
from agentaflow_advisor.place.consolidation import Proposal, propose
from agentaflow_advisor.place.movable import STAYS, MoveSettings
from tests.support.fleet import gated_pod, node, running_pod, snapshot

SETTINGS = MoveSettings(budget_ratio=1.0)
NOW = snapshot([]).taken_at


def pod(name: str, on: str, **changes: Any) -> Workload:
    return running_pod(name, on, 2, **{"owner": "ReplicaSet/web", **changes})


def scene(*changes: dict[str, Any], waits: int = 4, **more: Any) -> Snapshot:
    """Nodes a and b with 4 GPUs and a pod on 2 of each; another pod waits for 4."""
    changes = (*changes, {}, {})[:2]
    pods = [pod(f"on-{on}", on, **some) for on, some in zip("ab", changes, strict=True)]
    pods.append(gated_pod("big", waits))
    seen = snapshot([node("a", 4), node("b", 4)], pods, disruptions=Disruptions())
    return replace(seen, **more)


def proposed(seen: Snapshot, settings: MoveSettings = SETTINGS) -> Proposal:
    found = propose(seen, settings)
    assert isinstance(found, Proposal)
    return found


def test_a_pod_that_a_replica_set_makes_again_may_move() -> None:
    """One move, and the large pod has its room."""
    found = proposed(scene())
    assert [(move.pod, move.to_node) for move in found.plan.moves] == [("research/on-a", "b")]
    assert [one.pod for one in found.plan.admissions] == ["research/big"]
    assert found.protected == {}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"owner": None}, "it has no controller"),
        ({"owner": "DaemonSet/agent"}, "its DaemonSet keeps it on its node"),
        ({"owner": "Node/a"}, "its Node keeps it on its node"),
        ({"namespace": "kube-system"}, "namespace kube-system is protected"),
        ({"created_at": NOW - 60}, "it is younger than 3600 s"),
        ({"deleting": True}, "it is ending"),
        ({"phase": "Pending"}, "it does not run yet"),
        ({"priority": 10}, "its priority is above that of all who wait"),
        ({"priority": 2_000_001_000}, "its priority is the system's"),
        ({"annotations": {STAYS: "false"}}, f"its annotation {STAYS} is false"),
        ({"unmodelled": ("persistent volumes",)}, "constraints that are not evaluated"),
        ({"extended": {"nvidia.com/mig-1g.10gb": 1}}, "mig-1g.10gb, which moves do not count"),
    ],
)
def test_what_protects_a_pod(changes: dict[str, Any], why: str) -> None:
    """No move is left, and the reason is counted for both pods."""
    found = proposed(scene(changes, changes))
    assert found.plan.steps == ()
    ((reason, count),) = found.protected.items()
    assert why in reason
    assert count == 2
    assert [one.name for one in found.waiting] == ["big"]


def budget(name: str, allowed: int, **selector: Any) -> DisruptionBudget:
    return DisruptionBudget("research", name, allowed, **{"match_labels": {}, **selector})


@pytest.mark.parametrize(
    ("budgets", "why"),
    [
        ((budget("pdb", 0),), "PodDisruptionBudget pdb allows no disruption now"),
        ((budget("pdb", 1),), None),
        ((budget("one", 5), budget("two", 5)), "several PodDisruptionBudgets cover it (one, two)"),
        ((replace(budget("pdb", 0), namespace="other"),), None),
        ((budget("pdb", 0, match_labels=None),), None),
        ((budget("pdb", 0, match_labels={"app": "x"}),), "allows no disruption"),
        ((budget("pdb", 0, match_labels={"app": "y"}),), None),
        ((budget("pdb", 0, match_labels={"app": "x", "tier": "z"}),), None),
        ((budget("pdb", 0, match_expressions=(Requirement("app", "In", ("x", "y")),)),), "no dis"),
        ((budget("pdb", 0, match_expressions=(Requirement("app", "NotIn", ("x",)),)),), None),
        ((budget("pdb", 0, match_expressions=(Requirement("tier", "NotIn", ("z",)),)),), "no dis"),
        ((budget("pdb", 0, match_expressions=(Requirement("app", "Exists"),)),), "no dis"),
        ((budget("pdb", 0, match_expressions=(Requirement("app", "DoesNotExist"),)),), None),
        ((budget("pdb", 0, match_expressions=(Requirement("tier", "DoesNotExist"),)),), "no dis"),
    ],
)
def test_disruption_budgets(budgets: tuple[DisruptionBudget, ...], why: str | None) -> None:
    """By namespace and selector as Kubernetes has them; two that cover a pod let no eviction by."""
    labels = {"labels": {"app": "x"}}
    found = proposed(scene(labels, labels, disruptions=Disruptions(budgets)))
    assert bool(found.plan.moves) == (why is None)
    assert all((why or "") in reason for reason in found.protected)


def test_without_the_budgets_nothing_is_proposed() -> None:
    """Whoever may not list them gets a refusal that says so; so does one without Kubernetes."""
    refusal = propose(scene(disruptions=Disruptions(unknown="forbidden")), SETTINGS)
    assert isinstance(refusal, Refusal)
    assert "PodDisruptionBudgets are not known: forbidden" in refusal.reason
    blind = propose(scene(has_cluster=False), SETTINGS)
    assert isinstance(blind, Refusal)
    assert "give --kubeconfig" in blind.reason


@pytest.mark.parametrize(
    "member",
    [
        *({"labels": {label: "g"}} for label in GANG_LABELS),
        {"annotations": {GANG_LABELS[0]: "g"}},
        {"owner": "Job/train"},
        {"owner": "PyTorchJob/train"},
    ],
)
def test_a_gang_moves_whole(member: dict[str, Any]) -> None:
    """Both members restart, one of them where it is; one that is held holds the other."""
    found = proposed(scene(member, member))
    assert {move.pod for move in found.plan.moves} == {"research/on-a", "research/on-b"}
    held = proposed(scene(member, {**member, "created_at": NOW}))
    assert held.plan.steps == ()
    assert any("research/on-b of its gang" in reason for reason in held.protected)


def test_a_gang_needs_as_many_disruptions_as_it_has_members() -> None:
    """A budget that allows one does not let two go at a time."""
    member = {"owner": "Job/train"}
    for allowed, moves in ((1, 0), (2, 2)):
        seen = scene(member, member, disruptions=Disruptions((budget("pdb", allowed),)))
        assert len(proposed(seen).plan.moves) == moves


def test_a_gang_of_which_one_waits_stays() -> None:
    """It is not whole yet."""
    seen = scene({"owner": "Job/train"}, {"owner": "Job/train"})
    more = replace(gated_pod("third", 8), owner="Job/train")
    found = proposed(replace(seen, workloads=(*seen.workloads, more)))
    assert found.plan.moves == ()


def test_a_pod_that_has_room_already_needs_no_moves() -> None:
    """What it waits for is something else; it is not told as the plan's merit."""
    found = proposed(scene(waits=2))
    assert found.waiting == ()
    assert found.plan.steps == ()


def test_gates_and_constraints_of_the_waiting() -> None:
    """Behind another's gate a pod does not wait for room; one with affinity cannot be judged."""
    seen = scene()
    gated = replace(seen.workloads[-1], gates=(GATE, "other.io/gate"))
    found = proposed(replace(seen, workloads=(*seen.workloads[:-1], gated)))
    assert (found.waiting, found.refusals) == ((), ())
    unclear = replace(seen.workloads[-1], unmodelled=("pod affinity",))
    found = proposed(replace(seen, workloads=(*seen.workloads[:-1], unclear)))
    (refusal,) = found.refusals
    assert "pod affinity" in refusal.reason


@pytest.mark.parametrize(
    "changes", [{"schedulable": False}, {"ready": False}, {"labels": {"zone": "x"}}]
)
def test_pods_move_only_to_nodes_that_may_take_them(changes: dict[str, Any]) -> None:
    """Not to one that is cordoned, not ready, or that their selector leaves out."""
    selector = {"node_selector": {"zone": "y"}} if "labels" in changes else {}
    seen = scene(selector, selector)
    nodes = tuple(replace(each, **changes) for each in seen.nodes)
    assert proposed(replace(seen, nodes=nodes)).plan.steps == ()


@pytest.mark.parametrize(
    ("pods", "ratio", "most", "moves"), [(1000, 0.05, 100, 50), (4, 0.05, 9, 1), (9, 1.0, 2, 2)]
)
def test_the_budget(pods: int, ratio: float, most: int, moves: int) -> None:
    """A part of the pods, one at least, and no more than people look through."""
    assert MoveSettings(ratio, most).budget(pods) == moves
