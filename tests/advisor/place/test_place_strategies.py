"""Each strategy chooses the node that its name promises, and says so."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from agentaflow_advisor.model import Gpu, Node, Placement, Refusal, Workload
from agentaflow_advisor.place import STRATEGIES, EvidenceSettings, place
from tests.support.fleet import gated_pod, gpus_of, node, running_pod, snapshot

DOCS = Path(__file__).parents[3] / "docs" / "strategies.md"


def run(
    strategy: str,
    nodes: Iterable[Node],
    pods: Iterable[Workload],
    gpus: Iterable[Gpu] = (),
    last_nodes: dict[str, str] | None = None,
) -> list[Placement]:
    """The placements, in the order in which they were made; all pods have to be placed."""
    results = place(snapshot(nodes, pods, gpus), STRATEGIES[strategy], last_nodes=last_nodes)
    placements = [result for result in results if isinstance(result, Placement)]
    assert len(placements) == len(results)
    return placements


def test_best_fit_keeps_the_fewest_gpus_free() -> None:
    """A started node is filled before a whole one is broken into."""
    (placed,) = run(
        "best_fit", [node("n1"), node("n2")], [running_pod("a", "n2", 6), gated_pod("p", 2)]
    )
    assert (placed.node, placed.runner_up) == ("n2", "n1")
    assert placed.why == (
        "n2 would keep 0 GPUs and 62 cores free; runner-up n1 would keep 6 GPUs and 63 cores free"
    )


def test_best_fit_breaks_a_tie_by_the_least_cpu() -> None:
    """Among nodes with as many GPUs left, the one with less CPU left."""
    (placed,) = run("best_fit", [node("n1"), node("n2", cpu_cores=32.0)], [gated_pod("p")])
    assert placed.node == "n2"


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_equal_nodes_go_by_name(strategy: str) -> None:
    """A tie is decided the same way every time."""
    gpus = [*gpus_of("n2", *[0.5] * 8), *gpus_of("n1", *[0.5] * 8)]
    (placed,) = run(strategy, [node("n2"), node("n1")], [gated_pod("p")], gpus)
    assert (placed.node, placed.runner_up) == ("n1", "n2")


def test_priority_serves_the_most_important_pod_first() -> None:
    """Higher priority first, then the older pod, then best fit."""
    pods = [
        gated_pod("low", priority=1, created_at=1.0),
        gated_pod("young", priority=9, created_at=3.0),
        gated_pod("old", priority=9, created_at=2.0),
    ]
    placed = run("priority", [node("n1"), node("n2", gpus=2)], pods)
    assert [p.workload.name for p in placed] == ["old", "young", "low"]
    assert [p.node for p in placed] == ["n2", "n2", "n1"]


@pytest.mark.parametrize("strategy", sorted(set(STRATEGIES) - {"priority"}))
def test_the_other_strategies_serve_the_oldest_pod_first(strategy: str) -> None:
    """First come, first served, whatever the priority says."""
    pods = [gated_pod("new", created_at=2.0, priority=9), gated_pod("old", created_at=1.0)]
    placed = run(strategy, [node("n1")], pods, gpus_of("n1", *[0.0] * 8))
    assert [p.workload.name for p in placed] == ["old", "new"]


def test_round_robin_takes_turns() -> None:
    """Each pod goes to the next node by name, and after the last comes the first."""
    nodes = [node("n1"), node("n2"), node("n3")]
    pods = [gated_pod(f"p{i}", created_at=float(i)) for i in range(4)]
    placed = run("round_robin", nodes, pods, last_nodes={"round_robin": "n2"})
    assert [p.node for p in placed] == ["n3", "n1", "n2", "n3"]


def test_round_robin_skips_a_full_node_and_survives_a_node_that_is_gone() -> None:
    """The turn goes to the next node with room, also when the last one no longer exists."""
    nodes = [node("n1"), node("n3", gpus=0), node("n4")]
    (placed,) = run("round_robin", nodes, [gated_pod("p")], last_nodes={"round_robin": "n2"})
    assert placed.node == "n4"


def test_least_utilized_goes_where_the_gpus_were_measured_least_busy() -> None:
    """It follows measurements, not requests: n1 is allocated and idle, n2 is busy."""
    gpus = [*gpus_of("n1", *[0.05] * 8), *gpus_of("n2", *[0.6] * 8)]
    pods = [running_pod("a", "n1", 4), gated_pod("p")]
    (placed,) = run("least_utilized", [node("n2"), node("n1")], pods, gpus)
    assert placed.why == "n1 has GPUs 5% busy; runner-up n2 has GPUs 60% busy"
    assert placed.score == pytest.approx(-0.05)


def test_least_utilized_counts_promised_gpus_as_busy() -> None:
    """A burst of pods spreads, although the measurements cannot know of it yet."""
    gpus = [*gpus_of("n1", *[0.0] * 4), *gpus_of("n2", *[0.1] * 4)]
    pods = [gated_pod(f"p{i}", created_at=float(i)) for i in range(3)]
    placed = run("least_utilized", [node("n1", gpus=4), node("n2", gpus=4)], pods, gpus)
    assert [p.node for p in placed] == ["n1", "n2", "n1"]
    assert placed[2].why.startswith("n1 has GPUs 25% busy (1 GPU promised, counted as busy)")


def without_utilization(gpu: Gpu) -> Gpu:
    return replace(gpu, utilization=None)


@pytest.mark.parametrize(
    "gpus",
    [
        (),
        gpus_of("n1", 0.0),
        (*gpus_of("n1", 0.0), *map(without_utilization, gpus_of("n1", 0.0))),
        gpus_of("n1", 0.0, 0.0, age_seconds=301.0),
    ],
    ids=["no series", "one GPU of two", "one without utilization", "stale"],
)
def test_least_utilized_refuses_a_node_it_has_no_evidence_of(gpus: tuple[Gpu, ...]) -> None:
    """No measurement is not idleness."""
    taken = snapshot([node("n1", gpus=2)], [gated_pod("p")], gpus)
    (result,) = place(taken, STRATEGIES["least_utilized"])
    assert result == Refusal(
        "research/p", "no node can take it: 1 node: no fresh utilization of every GPU"
    )


def test_what_counts_as_evidence_is_a_setting() -> None:
    """An operator with a slow scrape interval may allow older samples."""
    taken = snapshot([node("n1", 1)], [gated_pod("p")], gpus_of("n1", 0.2, age_seconds=900.0))
    (result,) = place(
        taken, STRATEGIES["least_utilized"], evidence=EvidenceSettings(max_age_seconds=1000.0)
    )
    assert isinstance(result, Placement)


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_every_strategy_is_documented(name: str) -> None:
    """docs/strategies.md has a heading and the summary of each strategy."""
    text = DOCS.read_text()
    assert f"## {name}\n" in text
    assert STRATEGIES[name].summary in " ".join(text.split())


def test_least_waste_does_not_strand_gpus() -> None:
    """A pod with much CPU goes where the GPUs beside it can be fed, and the parts are told."""
    nodes = [node("n1", 2, cpu_cores=30.0), node("n2", 8, cpu_cores=128.0)]
    (placed,) = run("least_waste", nodes, [gated_pod("p", cpu_cores=28.0)])
    assert (placed.node, placed.runner_up) == ("n2", "n1")
    assert "n1 would waste" in placed.why
    assert "stranding" in placed.why


def test_least_waste_uses_gpus_that_are_stranded_already() -> None:
    """A pod with little CPU goes where GPUs lack CPU, and leaves the others their room."""
    nodes = [node("n1", 8, cpu_cores=128.0), node("n2", 8, cpu_cores=12.0)]
    (placed,) = run("least_waste", nodes, [gated_pod("p", cpu_cores=1.0)])
    assert placed.node == "n2"
    saved = re.match(r"n2 would save (\d\.\d\d) GPUs \(stranding (\d\.\d\d)\)", placed.why)
    assert saved is not None, placed.why
    assert saved[1] == saved[2] > "0.00"


def test_least_waste_keeps_a_model_for_those_that_need_it() -> None:
    """Where pods with a selector come often, a pod that may go anywhere takes another model."""
    product = "nvidia.com/gpu.product"
    nodes = [node("n1", labels={product: "A"}), node("n2", labels={product: "B"})]
    picky = [
        running_pod(f"r{number}", "n1", 1, node_selector={product: "A"}) for number in range(4)
    ]
    (placed,) = run("least_waste", nodes, [*picky, gated_pod("p")])
    assert placed.node == "n2"


def test_fragmentation_keeps_what_typical_pods_need() -> None:
    """In a cluster of pods with two GPUs, one GPU is taken where one is over."""
    taken = [running_pod("a", "n2", 5), *(running_pod(f"t{i}", "n3", 2) for i in range(4))]
    (placed,) = run("fragmentation", [node("n1"), node("n2"), node("n3")], [*taken, gated_pod("p")])
    assert placed.node == "n2"
