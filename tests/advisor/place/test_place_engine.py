"""The engine places what it may, refuses what it cannot judge, and says why in either case."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agentaflow_advisor.model import (
    Missing,
    Placement,
    PodRef,
    Refusal,
    Snapshot,
    Taint,
    Toleration,
    Workload,
)
from agentaflow_advisor.model.names import DECISION, HOSTNAME
from agentaflow_advisor.place import STRATEGIES, Result, explain, place
from tests.support.fleet import GIB, gated_pod, gpus_of, node, running_pod, snapshot

BEST_FIT = STRATEGIES["best_fit"]


def only(results: tuple[Result, ...]) -> Result:
    """The one result there is."""
    (result,) = results
    return result


def nodes_chosen(results: tuple[Result, ...]) -> dict[str, str]:
    """Node by pod, for the pods that were placed."""
    return {r.workload.name: r.node for r in results if isinstance(r, Placement)}


def refusal_of(pod: Workload, taken: Snapshot | None = None) -> str:
    """Why the engine refuses this pod on an empty node."""
    result = only(place(taken or snapshot([node("n1")], [pod]), BEST_FIT))
    assert isinstance(result, Refusal)
    assert result.subject == pod.ref
    return result.reason


def test_a_gated_opted_in_pod_gets_a_node() -> None:
    """The plain case: one waiting pod, one node with room."""
    result = only(place(snapshot([node("n1")], [gated_pod("p", gpus=2)]), BEST_FIT))
    assert isinstance(result, Placement)
    assert (result.node, result.hostname, result.strategy) == ("n1", "n1", "best_fit")
    assert result.runner_up is None
    assert result.why == "n1 would keep 6 GPUs and 63 cores free; it is the only node"


def test_the_hostname_label_is_what_the_pod_will_select() -> None:
    """A node's hostname label may differ from its name, and nodeSelector matches the label."""
    other = node("n1", labels={HOSTNAME: "ip-10-0-0-1"})
    result = only(place(snapshot([other], [gated_pod("p")]), BEST_FIT))
    assert isinstance(result, Placement)
    assert (result.node, result.hostname) == ("n1", "ip-10-0-0-1")


@pytest.mark.parametrize(
    "changes",
    [
        {"gates": ()},
        {"gates": ("example.com/other",)},
        {"phase": "Running", "node": "n1"},
        {"phase": "Succeeded"},
        {"deleting": True},
    ],
    ids=str,
)
def test_pods_that_do_not_wait_behind_our_gate_are_left_alone(changes: dict[str, object]) -> None:
    """Ungated, bound, finished and terminating pods get neither a node nor a refusal."""
    pod = replace(gated_pod("p"), **changes)  # type: ignore[arg-type]
    assert place(snapshot([node("n1")], [pod]), BEST_FIT) == ()


def test_a_pod_without_the_label_is_refused() -> None:
    """The gate alone is not consent."""
    assert refusal_of(gated_pod("p", labels={})) == (
        "the pod has not opted in: it lacks the label agentaflow.io/managed=true"
    )


def test_a_namespace_that_has_not_opted_in_is_refused_with_the_command_that_opts_in() -> None:
    """Both the namespace and the pod have to opt in."""
    assert refusal_of(gated_pod("p", namespace="prod")) == (
        "namespace prod has not opted in: kubectl label namespace prod agentaflow.io/managed=true"
    )


def test_constraints_that_are_not_evaluated_are_named() -> None:
    """What cannot be judged is not placed."""
    pod = gated_pod("p", unmodelled=("topologySpreadConstraints", "nodeAffinity"))
    assert refusal_of(pod) == (
        "it has constraints that are not evaluated: nodeAffinity, topologySpreadConstraints"
    )
    assert refusal_of(gated_pod("p", has_affinity=True)).endswith("not evaluated: affinity")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"known": False}, "not known to Kubernetes"),
        ({"ready": False}, "not ready"),
        ({"schedulable": False}, "cordoned"),
        ({"labels": {}}, "no label kubernetes.io/hostname to select it by"),
        ({"taints": (Taint("gpu", "yes", "NoSchedule"),)}, "taint gpu=yes:NoSchedule is not"),
        ({"taints": (Taint("gpu", "yes", "NoExecute"),)}, "taint gpu=yes:NoExecute is not"),
        ({"gpus": 1}, "too few free GPUs"),
        ({"cpu_cores": 0.5}, "too little free CPU"),
        ({"memory_bytes": GIB / 2}, "too little free memory"),
        ({"pods": 0}, "no room for another pod"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_node_is_refused_for_the_first_reason_that_holds(
    changes: dict[str, object], reason: str
) -> None:
    """Each hard filter has its own reason, and it is counted."""
    bad = replace(node("n1"), **changes)  # type: ignore[arg-type]
    said = refusal_of(gated_pod("p", gpus=2), snapshot([bad], [gated_pod("p", gpus=2)]))
    assert said.startswith("no node can take it: 1 node: ")
    assert reason in said


def test_a_tolerated_taint_and_a_soft_one_do_not_refuse() -> None:
    """PreferNoSchedule is a wish, and a toleration lifts a hard taint."""
    tainted = node(
        "n1", taints=(Taint("gpu", "yes", "NoSchedule"), Taint("spot", "", "PreferNoSchedule"))
    )
    pod = gated_pod("p", tolerations=(Toleration("gpu", "Exists", None, None),))
    assert nodes_chosen(place(snapshot([tainted], [pod]), BEST_FIT)) == {"p": "n1"}


def test_the_node_selector_is_honoured() -> None:
    """Only nodes whose labels match are candidates."""
    pod = gated_pod("p", node_selector={"pool": "b"})
    nodes = [node("n1", labels={"pool": "a"}), node("n2", labels={"pool": "b"}), node("n3")]
    result = only(place(snapshot(nodes, [pod]), BEST_FIT))
    assert isinstance(result, Placement)
    assert result.node == "n2"
    assert result.refused == {"nodeSelector pool=b does not match": 2}
    assert "no other node can take it: 2 nodes: nodeSelector pool=b" in result.why


def test_bound_pods_hold_their_room_until_they_finish() -> None:
    """A running and a terminating pod count, a finished one does not."""
    pods = [
        running_pod("a", "n1", gpus=4),
        running_pod("b", "n1", gpus=2, deleting=True),
        running_pod("c", "n1", gpus=8, phase="Succeeded"),
    ]
    assert nodes_chosen(place(snapshot([node("n1")], [*pods, gated_pod("p", 2)]), BEST_FIT))
    assert not nodes_chosen(place(snapshot([node("n1")], [*pods, gated_pod("p", 3)]), BEST_FIT))


def test_earlier_placements_of_the_run_hold_their_room() -> None:
    """The second pod sees what the first one took."""
    pods = [gated_pod("a", 8, created_at=1.0), gated_pod("b", 8, created_at=2.0)]
    first, second = place(snapshot([node("n1")], pods), BEST_FIT)
    assert isinstance(first, Placement)
    assert first.workload.name == "a"
    assert second == Refusal("research/b", "no node can take it: 1 node: too few free GPUs")


def test_open_decisions_hold_their_room_and_are_not_proposed_again() -> None:
    """A pod with an open decision is left out, and nobody else gets its GPUs."""
    pods = [gated_pod("promised", 8), gated_pod("p", 4)]
    taken = snapshot([node("n1"), node("n2", gpus=4)], pods)
    assert nodes_chosen(place(taken, BEST_FIT, held={"uid-promised": "n1"})) == {"p": "n2"}


@pytest.mark.parametrize(
    "changes",
    [{"gates": ()}, {"gates": ("example.com/other",), "annotations": {DECISION: "0190"}}],
    ids=["ungated", "sent by us, behind another gate"],
)
def test_a_pod_on_its_way_to_a_node_holds_its_room(changes: dict[str, object]) -> None:
    """Between our patch and the binding the API server shows no node, and yet the room is gone."""
    going = gated_pod("going", 8, node_selector={HOSTNAME: "n1"}, **changes)
    assert not nodes_chosen(place(snapshot([node("n1")], [going, gated_pod("p")]), BEST_FIT))


@pytest.mark.parametrize(
    ("trouble", "placed"),
    [
        ({"up": False}, False),
        ({"processes": 1}, False),
        ({"processes": 0, "up": True}, True),
        ({"processes": 1, "pods": (PodRef("research", "other"),)}, True),
    ],
)
def test_a_gpu_that_no_pod_can_use_is_not_free(trouble: dict[str, Any], placed: bool) -> None:
    """A lost GPU, and one that a process without a pod holds, are not room for a pod."""
    first, second = gpus_of("node-a", 0.0, 0.5)
    held = replace(second, pods=(PodRef("research", "running"),), processes=1)
    taken = snapshot(
        nodes=[node("node-a", gpus=2)],
        pods=[gated_pod("waiting"), running_pod("running", "node-a")],
        gpus=[replace(first, **trouble), held],
    )
    result = only(place(taken, BEST_FIT))
    assert isinstance(result, Placement) == placed
    if isinstance(result, Refusal):
        assert "too few free GPUs (1 lost or held by a process without a pod)" in result.reason


def test_a_lost_gpu_that_the_device_plugin_has_taken_off_is_not_counted_twice() -> None:
    """Two GPUs are measured, one of them is lost, and the node offers one: that one is free."""
    lost, healthy = gpus_of("node-a", 0.0, 0.0)
    taken = snapshot(
        nodes=[node("node-a", gpus=1)],
        pods=[gated_pod("waiting")],
        gpus=[replace(lost, up=False), healthy],
    )
    assert isinstance(only(place(taken, BEST_FIT)), Placement)


def test_without_attribution_processes_tell_nothing() -> None:
    """Where no pod is known to hold anything, a busy GPU may well be a pod's."""
    (first,) = gpus_of("node-a", 0.9)
    taken = snapshot(
        nodes=[node("node-a", gpus=2)],
        pods=[gated_pod("waiting"), running_pod("running", "node-a")],
        gpus=[replace(first, processes=1)],
    )
    assert isinstance(only(place(taken, BEST_FIT)), Placement)


def test_thousandths_of_a_core_add_up_exactly() -> None:
    """Ten pods of 0.1 cores fill one core, whatever floats make of it."""
    pods = [gated_pod(f"p{i}", 0, cpu_cores=0.1) for i in range(11)]
    results = place(snapshot([node("n1", cpu_cores=1.0)], pods), BEST_FIT)
    assert len(nodes_chosen(results)) == 10


def test_without_nodes_the_refusal_says_so() -> None:
    """An empty cluster is a reason, too."""
    assert refusal_of(gated_pod("p"), snapshot([], [gated_pod("p")])).endswith("there are no nodes")


def test_nodes_of_the_same_name_elsewhere_do_not_hide_the_known_one() -> None:
    """Metrics may tell of another cluster whose nodes have the same names."""
    elsewhere = replace(node("n1", gpus=0), cluster="other", known=False)
    result = only(place(snapshot([node("n1"), elsewhere], [gated_pod("p")]), BEST_FIT))
    assert isinstance(result, Placement)
    assert result.refused == {"not known to Kubernetes": 1}


def test_a_pod_from_a_file_is_explained_without_gate_or_consent() -> None:
    """`place -f` asks where a pod would go; nothing is carried out, so nothing has to opt in."""
    pod = Workload("default", "from-file", uid="", resource_version="", gpus=1)
    assert nodes_chosen(explain(snapshot([node("n1")]), BEST_FIT, [pod])) == {"from-file": "n1"}


def test_nothing_is_placed_in_a_cluster_that_was_not_told_whole() -> None:
    """A GPU that a process holds would look free; the pod waits and the reason is told."""
    taken = snapshot([node("n1")], [gated_pod("p")], missing=Missing({"": "a partial response"}))
    assert "1 node: a partial response" in refusal_of(gated_pod("p"), taken)
    elsewhere = snapshot([node("n1")], [gated_pod("p")], missing=Missing({"b": "x"}))
    assert isinstance(only(place(elsewhere, BEST_FIT)), Placement)
