"""The live run in arrays answers as a plain one does that looks at node after node."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentaflow_advisor.model import (
    Gpu,
    Missing,
    Node,
    Placement,
    PodRef,
    Snapshot,
    Taint,
    Toleration,
    Workload,
)
from agentaflow_advisor.model.names import HOSTNAME
from agentaflow_advisor.place import STRATEGIES, Result, Run, place
from agentaflow_advisor.place.words import counted
from tests.support.fleet import GIB, gated_pod, gpus_of, node, running_pod, snapshot
from tests.support.plain_placement import Answer, plainly

PRODUCT = "nvidia.com/gpu.product"
TAINTS = (
    Taint("gpu", "yes", "NoSchedule"),
    Taint("spot", "", "NoExecute"),
    Taint("soft", "", "PreferNoSchedule"),
)
TOLERATIONS = (
    Toleration("gpu", "Equal", "yes", None),
    Toleration("spot", "Exists", None, "NoExecute"),
    Toleration(None, "Exists", None, None),
)
SELECTORS: tuple[dict[str, str], ...] = (
    {},
    {"pool": "a"},
    {"pool": "b", "zone": "z"},
    {PRODUCT: "A"},
    {HOSTNAME: "n1"},
)
EXTENDED = ("nvidia.com/mig-1g.10gb", "nvidia.com/mig-3g.40gb", "nvidia.com/gpu.shared")
HOURS = 3600.0
TAKEN_AT = 1_800_000_000.0


def extended(most: int) -> st.SearchStrategy[dict[str, int]]:
    """None, mostly, or so many of some of NVIDIA's other resources."""
    some = st.dictionaries(st.sampled_from(EXTENDED), st.integers(1, most), max_size=2)
    return st.one_of(st.just({}), some)


@st.composite
def nodes(draw: st.DrawFn, number: int) -> Node:
    """Known or not, closed or open, with labels, taints and room of any kind."""
    name = f"n{number}"
    labels = {
        "pool": draw(st.sampled_from(("a", "b"))),
        **draw(st.sampled_from(({}, {"zone": "z"}, {PRODUCT: "A"}, {PRODUCT: "B"}))),
    }
    made = node(
        name,
        gpus=draw(st.integers(0, 8)),
        cpu_cores=draw(st.integers(0, 8)) / 2,
        memory_bytes=draw(st.integers(0, 8)) * GIB,
        pods=draw(st.integers(0, 6)),
        labels=labels,
        taints=tuple(draw(st.lists(st.sampled_from(TAINTS), max_size=2))),
        ready=draw(st.integers(0, 7)) > 0,
        schedulable=draw(st.integers(0, 7)) > 0,
        known=draw(st.integers(0, 7)) > 0,
        cluster=draw(st.sampled_from(("", "", "elsewhere"))),
        extended=draw(extended(8)),
    )
    return replace(made, labels=labels) if draw(st.integers(0, 9)) == 0 else made


@st.composite
def waiting(draw: st.DrawFn, number: int) -> Workload:
    return gated_pod(
        f"p{number}",
        gpus=draw(st.integers(0, 4)),
        cpu_cores=draw(st.integers(0, 4)) / 4,
        memory_bytes=draw(st.integers(0, 2)) * GIB,
        priority=draw(st.integers(0, 2)),
        created_at=TAKEN_AT - draw(st.integers(0, 4)) * HOURS,
        node_selector=draw(st.sampled_from(SELECTORS)),
        tolerations=tuple(draw(st.lists(st.sampled_from(TOLERATIONS), max_size=2))),
        extended=draw(extended(3)),
    )


@st.composite
def measured(draw: st.DrawFn, known: Node) -> list[Gpu]:
    """Mostly all of a node's GPUs; lost ones, stale ones, some with a process without a pod."""
    busy = draw(st.lists(st.sampled_from((0.0, 0.25, 0.5, 1.0)), max_size=known.gpus + 1))
    age = draw(st.sampled_from((15.0, 15.0, 301.0)))
    held = (PodRef("research", "r0"),)
    return [
        replace(
            gpu,
            cluster=known.cluster,
            up=draw(st.sampled_from((True, True, False))),
            processes=draw(st.sampled_from((0, 0, 1))),
            pods=draw(st.sampled_from(((), held))),
            model="B",
        )
        for gpu in gpus_of(known.name, *busy, age_seconds=age)
    ]


@st.composite
def clusters(draw: st.DrawFn) -> Snapshot:
    made = [draw(nodes(number)) for number in range(draw(st.integers(0, 6)))]
    running = [
        running_pod(f"r{number}", draw(st.sampled_from(made)).name, draw(st.integers(0, 4)))
        for number in range(draw(st.integers(0, 4)) if made else 0)
    ]
    pods = [draw(waiting(number)) for number in range(draw(st.integers(1, 8)))]
    gpus = [gpu for known in made for gpu in draw(measured(known))]
    missing = Missing(draw(st.sampled_from(({}, {}, {"elsewhere": "a partial response"}))))
    return snapshot(made, [*running, *pods], gpus, missing=missing, taken_at=TAKEN_AT)


def answer(result: Result) -> Answer | str:
    if isinstance(result, Placement):
        return result.node, result.runner_up, dict(result.refused)
    return result.reason.partition("; n")[0]


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
@settings(max_examples=150, deadline=None)
@given(seen=clusters(), held=st.booleans())
def test_arrays_answer_as_a_look_at_node_after_node_does(
    strategy: str, seen: Snapshot, held: bool
) -> None:
    """The same node, the same runner-up, and the same first reasons with the same counts."""
    open_decisions = {"uid-p0": "n0"} if held else {}
    for result in place(seen, STRATEGIES[strategy], held=open_decisions):
        pod = result.workload.ref if isinstance(result, Placement) else result.subject
        node_name, runner_up, refused = plainly(seen, strategy, open_decisions)[pod]
        if node_name:
            assert answer(result) == (node_name, runner_up, refused)
        else:
            said = f"no node can take it: {counted(refused)}"
            assert answer(result) == said.partition("; n")[0]


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
@settings(max_examples=60, deadline=None)
@given(seen=clusters())
def test_what_is_taken_back_leaves_no_trace(strategy: str, seen: Snapshot) -> None:
    """The columns are as they were, and the same pods get the same answers again."""
    run = Run(seen, STRATEGIES[strategy])
    before = {name: column.copy() for name, column in run.columns.left.items()}
    pods = [pod for pod in seen.workloads if pod.gates]
    first = [run.place(pod) for pod in pods]
    run.undo(0)
    assert all((run.columns.left[name] == column).all() for name, column in before.items())
    assert [run.place(pod) for pod in pods] == first
