"""Laws that hold for every strategy on every cluster that hypothesis can think of."""

from __future__ import annotations

import random
from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st

from agentaflow_advisor.model import (
    Gpu,
    Node,
    Placement,
    Refusal,
    Snapshot,
    Taint,
    Toleration,
    Workload,
)
from agentaflow_advisor.model.names import HOSTNAME
from agentaflow_advisor.place import STRATEGIES, Strategy, place
from tests.support.fleet import GIB, gated_pod, gpus_of, node, running_pod, snapshot

POOLS = ("a", "b")
TAINT = Taint("gpu", "yes", "NoSchedule")
TOLERATION = Toleration("gpu", "Equal", "yes", "NoSchedule")
SLICE, SHARE = "nvidia.com/mig-1g.10gb", "nvidia.com/gpu.shared"
MILLICORES = st.integers(0, 4000).map(lambda milli: milli / 1000)

strategies = st.sampled_from([STRATEGIES[name] for name in sorted(STRATEGIES)])


@st.composite
def nodes(draw: st.DrawFn) -> list[Node]:
    """Up to six nodes; some small, tainted, cordoned or not ready."""
    return [
        node(
            f"n{index}",
            gpus=draw(st.integers(0, 8)),
            cpu_cores=draw(MILLICORES),
            memory_bytes=draw(st.integers(0, 8)) * GIB,
            pods=draw(st.integers(0, 5)),
            labels={"pool": draw(st.sampled_from(POOLS))},
            taints=draw(st.sampled_from([(), (TAINT,)])),
            ready=draw(st.sampled_from([True, True, False])),
            schedulable=draw(st.sampled_from([True, True, False])),
            extended=draw(st.sampled_from([{}, {SLICE: 7}, {SLICE: 2, SHARE: 4}])),
        )
        for index in range(draw(st.integers(0, 6)))
    ]


@st.composite
def waiting_pod(draw: st.DrawFn, name: str) -> Workload:
    """A pod with any request, priority, age and constraint that we model."""
    pool = draw(st.sampled_from([None, *POOLS]))
    return gated_pod(
        name,
        gpus=draw(st.integers(0, 4)),
        cpu_cores=draw(MILLICORES) / 4,
        memory_bytes=draw(st.integers(0, 2)) * GIB,
        priority=draw(st.integers(0, 2)),
        created_at=float(draw(st.integers(0, 3))),
        node_selector={"pool": pool} if pool else {},
        tolerations=draw(st.sampled_from([(), (TOLERATION,)])),
        extended=draw(st.sampled_from([{}, {}, {SLICE: 1}, {SLICE: 2, SHARE: 1}])),
    )


@st.composite
def clusters(draw: st.DrawFn, most_pods: int = 8) -> Snapshot:
    """Nodes with all GPUs measured, some pods running, some waiting."""
    made = draw(nodes())
    names = [known.name for known in made]
    running = [
        running_pod(f"r{index}", draw(st.sampled_from(names)), draw(st.integers(0, 3)))
        for index in range(draw(st.integers(0, 4)) if names else 0)
    ]
    waiting = [draw(waiting_pod(f"p{index}")) for index in range(draw(st.integers(1, most_pods)))]
    measured: list[Gpu] = []
    for known in made:
        ratios = draw(st.lists(st.floats(0, 1), min_size=known.gpus, max_size=known.gpus))
        measured += gpus_of(known.name, *ratios)
    return snapshot(made, [*running, *waiting], measured)


def used(pods: Iterable[Workload]) -> tuple[float, ...]:
    """GPUs, thousandths of a core, bytes, pods, slices and shares, summed up apart from the
    engine.
    """
    pods = list(pods)
    return (
        sum(pod.gpus for pod in pods),
        sum(round(pod.cpu_cores * 1000) for pod in pods),
        sum(pod.memory_bytes for pod in pods),
        len(pods),
        sum(pod.extended.get(SLICE, 0) for pod in pods),
        sum(pod.extended.get(SHARE, 0) for pod in pods),
    )


def offered(known: Node) -> tuple[float, ...]:
    """The same of a node."""
    extended = (known.extended.get(SLICE, 0), known.extended.get(SHARE, 0))
    cpu_millicores = round(known.cpu_cores * 1000)
    return (known.gpus, cpu_millicores, known.memory_bytes, known.pods, *extended)


@given(clusters(), strategies)
def test_no_resource_is_ever_overcommitted(taken: Snapshot, strategy: Strategy) -> None:
    """What was placed on a node fits beside what ran there before, in every resource."""
    placed = [r for r in place(taken, strategy) if isinstance(r, Placement)]
    for known in taken.nodes:
        new = [p.workload for p in placed if p.node == known.name]
        if not new:
            continue
        total = used([*new, *(pod for pod in taken.workloads if pod.node == known.name)])
        room, asked = offered(known), used(new)
        assert all(t <= r for t, r, ask in zip(total, room, asked, strict=True) if ask)


@given(clusters(), strategies)
def test_every_rule_of_the_pod_and_the_node_is_kept(taken: Snapshot, strategy: Strategy) -> None:
    """The chosen node is ready, schedulable, tolerated and selected."""
    known = {n.name: n for n in taken.nodes}
    for result in place(taken, strategy):
        if isinstance(result, Placement):
            chosen = known[result.node]
            assert chosen.ready
            assert chosen.schedulable
            assert not chosen.taints or result.workload.tolerations
            assert result.workload.node_selector.items() <= chosen.labels.items()


@given(clusters(most_pods=1), strategies)
def test_a_feasible_pod_without_competitors_is_never_refused(
    taken: Snapshot, strategy: Strategy
) -> None:
    """If any node could take the only waiting pod, it is placed."""
    (result,) = place(taken, strategy)
    if isinstance(result, Refusal):
        pod = taken.workloads[-1]
        assert not any(
            could_take(taken, known, pod)
            for known in taken.nodes
            if known.gpus or "utilization" not in strategy.needs
        )


def could_take(taken: Snapshot, known: Node, pod: Workload) -> bool:
    """Feasibility, written down a second time, as plainly as possible."""
    here = [other for other in taken.workloads if other.node == known.name]
    total = used([*here, pod])
    room = offered(known)
    return (
        known.ready
        and known.schedulable
        and HOSTNAME in known.labels
        and (not known.taints or bool(pod.tolerations))
        and pod.node_selector.items() <= known.labels.items()
        and all(t <= r for t, r, ask in zip(total, room, used([pod]), strict=True) if ask)
    )


@given(clusters(), strategies, st.randoms(use_true_random=False))
def test_the_order_of_the_input_changes_nothing(
    taken: Snapshot, strategy: Strategy, shuffler: random.Random
) -> None:
    """Lists come from APIs in any order; the answer does not depend on it."""
    shuffled = snapshot(
        shuffler.sample(taken.nodes, len(taken.nodes)),
        shuffler.sample(taken.workloads, len(taken.workloads)),
        shuffler.sample(taken.gpus, len(taken.gpus)),
    )
    assert place(shuffled, strategy) == place(taken, strategy)


@given(clusters(), strategies)
@settings(max_examples=25)
def test_every_pod_and_every_node_is_accounted_for(taken: Snapshot, strategy: Strategy) -> None:
    """One result for each waiting pod; in it, each node is chosen, runner-up, able or refused."""
    results = place(taken, strategy)
    waiting = [pod for pod in taken.workloads if pod.gates]
    assert len(results) == len(waiting)
    for result in results:
        if isinstance(result, Placement):
            assert sum(result.refused.values()) <= len(taken.nodes) - 1 - bool(result.runner_up)
