"""For each guard: beside which facts it holds, to which it objects, and in which words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from agentaflow_advisor.act.channels import CHANNELS
from agentaflow_advisor.decide.guards import Context, Recent
from agentaflow_advisor.decide.policy import Policy
from agentaflow_advisor.model import (
    Action,
    BindPod,
    CordonNode,
    Decision,
    DisruptionBudget,
    Disruptions,
    EvictPod,
    PlacePod,
    State,
    Taint,
)
from agentaflow_advisor.model.names import GANG, HOSTNAME, MANAGED
from tests.support.decisions import NOW, context, decision, judged
from tests.support.fleet import OPTED_IN, gated_pod, node, running_pod

EVERYTHING = Policy(channels=frozenset(CHANNELS))
POD = gated_pod("train", gpus=2)
RUNNING = running_pod("train", "node-0", created_at=NOW - 3600)
OURS = replace(POD, gates=(), scheduler="agentaflow")
TAINT = Taint("nvidia.com/gpu", "present", "NoSchedule")
PODS: Mapping[type[Action], Any] = {PlacePod: POD, EvictPod: RUNNING, BindPod: OURS}
Facts = Mapping[str, Any]


@dataclass(frozen=True)
class Case:
    """The guard objects to these facts, with this in its reason; beside those it holds."""

    guard: str
    objects: Facts
    reason: str
    holds: Facts = field(default_factory=dict)
    action: type[Action] = PlacePod


def policy(**changes: Any) -> Facts:
    return {"policy": replace(EVERYTHING, **changes)}


def carried_out(number: int, *, ago: float = 0.0, **action: Any) -> tuple[Recent, ...]:
    """So many decisions of late, each about another pod."""
    state = action.pop("state", State.VERIFIED)
    kind = action.pop("kind", PlacePod)
    return tuple(
        Recent(replace(made(kind, gated_pod(f"r{index}"), **action), state=state), NOW - ago)
        for index in range(number)
    )


def made(kind: type[Action], pod: Any = None, **own: Any) -> Decision:
    """A decision of that kind about the pod, or about its node."""
    pod = pod or PODS.get(kind, POD)
    proposed = decision(pod)
    at: dict[str, Any] = {
        "namespace": pod.namespace,
        "name": pod.name,
        "uid": pod.uid,
        "resource_version": "1",
        "spec_hash": pod.spec_hash,
        "node": "node-0",
        "owner": pod.owner or "",
    }
    if kind is CordonNode:
        at |= {"namespace": "", "name": "node-0"}
    if kind in (PlacePod, BindPod):
        at |= {"hostname": "node-0"}
    if kind is PlacePod:
        at |= {"gate": "agentaflow.io/placement"}
    return replace(proposed, action=kind(**{**at, **own}))


def facts_of(kind: type[Action], changes: Facts) -> Context:
    """Facts to which no guard of that kind objects, but for the changes."""
    pod = changes.get("pod") or PODS.get(kind, POD)
    apart: dict[str, Any] = {
        "policy": EVERYTHING,
        "siblings": (pod,),
        "disruptions": Disruptions(),
        "nodes": tuple(node(f"node-{index}") for index in range(8)),
        **{name: value for name, value in changes.items() if name not in ("pod", "target", "own")},
    }
    made_of = context(pod, **apart)
    return replace(made_of, target=replace(made_of.target, **changes.get("target", {})))


def objections(case: Case, changes: Facts) -> dict[str, str]:
    """What all guards of that kind of action say, by name."""
    about = PODS.get(case.action, POD)
    if changes.get("owned"):
        about = changes["pod"]
    one = made(case.action, about, **changes.get("own", {}))
    if "samples" in changes:
        one = replace(one, evidence=replace(one.evidence, samples=changes["samples"]))
    one = replace(one, strategy=changes.get("strategy", one.strategy))
    apart = ("owned", "samples", "strategy")
    rest = {name: value for name, value in changes.items() if name not in apart}
    return dict(judged(one, facts_of(case.action, rest)))


def budgets(*allowed: int) -> Facts:
    covering = tuple(
        DisruptionBudget("research", f"keep-{index}", each, match_labels=OPTED_IN)
        for index, each in enumerate(allowed)
    )
    return {"disruptions": Disruptions(covering)}


def replicas(number: int, **policy_changes: Any) -> Facts:
    """The pod as one of so many of a ReplicaSet that run."""
    pods = tuple(
        replace(RUNNING, name=f"r{index}", uid=f"uid-r{index}", owner="ReplicaSet/web")
        for index in range(number)
    )
    return {"pod": pods[0], "siblings": pods, "owned": True, **policy(**policy_changes)}


def gang(*names: str) -> Facts:
    """The first of them, in a gang of all of them."""
    pods = tuple(gated_pod(name, gpus=2, labels={**OPTED_IN, GANG: "ring"}) for name in names)
    return {"pod": pods[0], "siblings": pods, "owned": True}


def running_gang(*names: str) -> Facts:
    """The first of them, which runs in a gang of all of them."""
    labels = {**OPTED_IN, GANG: "ring"}
    pods = tuple(
        running_pod(name, "node-0", created_at=NOW - 3600, labels=labels) for name in names
    )
    return {"pod": pods[0], "siblings": pods}


def owned(owner: str) -> Facts:
    return {"pod": replace(RUNNING, owner=owner), "owned": True}


def closed(number: int) -> Facts:
    """So many of eight nodes are cordoned already."""
    return {
        "nodes": tuple(node(f"node-{index}", schedulable=index <= 7 - number) for index in range(8))
    }


EVICTED: Mapping[str, Any] = {"kind": EvictPod, "namespace": "research", "owner": "ReplicaSet/web"}
CASES = (
    Case("kill_switch", {"stopped": "ConfigMap says stop"}, "ConfigMap says stop"),
    Case("channel_on", {"policy": Policy()}, "channel scheduling-gate is off"),
    Case(
        "namespace_protected",
        policy(protected_namespaces=frozenset({"research"})),
        "never acted in",
        policy(protected_namespaces=frozenset({"other"})),
    ),
    *(
        Case("namespace_protected", {"own": {"namespace": system}}, f"{system} is never acted in")
        for system in ("kube-system", "kube-public", "kube-node-lease")
    ),
    Case("namespace_opted_in", {"namespace_labels": {}}, f'{MANAGED}: "true"'),
    Case("namespace_opted_in", {"namespace_labels": {MANAGED: "yes"}}, f'{MANAGED}: "true"'),
    Case("namespace_opted_in", {"namespace_labels": None}, "is not there"),
    Case("target_opted_in", {"pod": replace(POD, labels={})}, f'{MANAGED}: "true"'),
    Case("target_not_deleting", {"pod": replace(POD, deleting=True)}, "being deleted"),
    Case(
        "target_unchanged",
        {"pod": replace(POD, node_selector={"tier": "a100"})},
        "changed since",
        {"pod": replace(POD, annotations={"note": "seen"})},
    ),
    Case("target_unchanged", {"pod": replace(POD, has_affinity=True)}, "changed since"),
    Case("evidence_fresh", {"prometheus_now": None}, "does not tell the time"),
    Case(
        "evidence_fresh",
        {"prometheus_now": NOW + 1786},
        "1801 s old, the limit is 1800 s",
        {"prometheus_now": NOW + 1785},
    ),
    Case("evidence_fresh", {"prometheus_now": NOW - 4000}, "future"),
    Case("evidence_fresh", {"prometheus_now": float("nan")}, "nan s old"),
    Case(
        "evidence_enough",
        {**policy(min_evidence_samples=20_001), "strategy": "least_utilized"},
        "is 20000 samples, 20001 are needed",
        {**policy(min_evidence_samples=20_000), "strategy": "least_utilized"},
    ),
    *(
        Case(
            "evidence_enough",
            {"samples": 1, "strategy": metered},
            "is 1 samples, 2 are needed",
            {"samples": 0, "strategy": "best_fit"},
        )
        for metered in ("least_utilized", "idle-gpu")
    ),
    Case("pod_gated", {"pod": replace(POD, gates=("other/gate",))}, "agentaflow.io/placement"),
    Case("node_usable", {"node": None}, "node-0 is gone"),
    Case("node_usable", {"node": node("node-0", ready=False)}, "not ready"),
    Case("node_usable", {"node": node("node-0", schedulable=False)}, "cordoned"),
    Case("node_usable", {"node": node("node-0", labels={HOSTNAME: "other"})}, "host name other"),
    Case("node_usable", {"node": node("node-0", taints=(TAINT,))}, "nvidia.com/gpu"),
    Case("node_has_room", {"node": node("node-0", gpus=1)}, "GPUs", {"node": node("n", gpus=2)}),
    Case(
        "node_has_room",
        {"others": (running_pod("a", "node-0", gpus=7),)},
        "GPUs",
        {"others": (running_pod("a", "node-0", gpus=6),)},
    ),
    Case("node_has_room", {"node": node("node-0", pods=0)}, "pod"),
    Case(
        "gang_whole",
        gang("train", "other"),
        "gang",
        gang("train"),
    ),
    Case(
        "gang_leaves_whole",
        running_gang("train", "other"),
        "the rest of its gang is not approved: other",
        running_gang("train"),
        EvictPod,
    ),
    *(
        Case(
            "pod_of_its_own", owned(owner), "belongs to its node", owned("StatefulSet/x"), EvictPod
        )
        for owner in ("DaemonSet/agent", "Node/node-0")
    ),
    Case(
        "pod_of_its_own",
        {"target": {"annotations": {"kubernetes.io/config.mirror": "6f1e"}}},
        "belongs to its node",
        action=EvictPod,
    ),
    Case(
        "pod_old_enough",
        {"target": {"created_at": NOW - 899}},
        "899 s old, the least is 900 s",
        {"target": {"created_at": NOW - 900}},
        EvictPod,
    ),
    Case("replicas_enough", replicas(1), "has 1 running pods, 2 are needed", replicas(2), EvictPod),
    Case(
        "replicas_enough",
        replicas(3, min_replicas=4),
        "has 3 running pods, 4 are needed",
        replicas(4, min_replicas=4),
        EvictPod,
    ),
    Case("budget_allows", budgets(0), "keep-0 allows no disruption", budgets(1), EvictPod),
    Case("budget_allows", budgets(5, 5), "several PodDisruptionBudgets", budgets(5), EvictPod),
    Case(
        "budget_allows",
        {"disruptions": Disruptions(unknown="403")},
        "are not known: 403",
        action=EvictPod,
    ),
    Case("enough_nodes_left", closed(2), "2 of 8 nodes", closed(1), CordonNode),
    Case(
        "pod_ours_to_bind", {"pod": replace(OURS, scheduler="x")}, "another scheduler", {}, BindPod
    ),
    Case("pod_ours_to_bind", {"pod": replace(OURS, gates=("a/b",))}, "gate a/b", {}, BindPod),
    Case(
        "pod_ours_to_bind",
        {"pod": replace(OURS, unmodelled=("topologySpreadConstraints",))},
        "topologySpreadConstraints",
        {},
        BindPod,
    ),
    Case(
        "cycle_limit",
        {**policy(max_per_cycle=2, cycle_began_at=NOW - 10), "recent": carried_out(2, ago=10)},
        "2 decisions were carried out in this cycle, the limit is 2",
        {**policy(max_per_cycle=2, cycle_began_at=NOW - 10), "recent": carried_out(2, ago=11)},
    ),
    Case(
        "hour_limit",
        {**policy(max_per_hour=2), "recent": carried_out(2, ago=3599)},
        "2 decisions were carried out in the last hour, the limit is 2",
        {**policy(max_per_hour=2), "recent": carried_out(2, ago=3600)},
    ),
    Case(
        "node_limit",
        {**policy(max_per_node_per_hour=1), "recent": carried_out(1)},
        "on node node-0 in the last hour, the limit is 1",
        {**policy(max_per_node_per_hour=1), "recent": carried_out(1, node="node-1")},
    ),
    Case(
        "namespace_limit",
        {**policy(max_per_namespace_per_hour=1), "recent": carried_out(1)},
        "in namespace research in the last hour, the limit is 1",
        {**policy(max_per_namespace_per_hour=1), "recent": carried_out(1, namespace="other")},
    ),
    Case(
        "owner_cooldown",
        {**replicas(2), "recent": carried_out(1, ago=3599, **EVICTED)},
        "ReplicaSet/web was disturbed 3599 s ago, the pause is 3600 s",
        {**replicas(2), "recent": carried_out(1, ago=3600, **EVICTED)},
        EvictPod,
    ),
    Case(
        "circuit_breaker",
        {"recent": carried_out(5, state=State.FAILED)},
        "the last 5 decisions went wrong",
        {"recent": carried_out(4, state=State.FAILED)},
    ),
    *(
        Case("circuit_breaker", {"recent": carried_out(5, state=bad)}, "went wrong")
        for bad in (State.EXPIRED, State.REVERTED)
    ),
)
