"""Every query of every board, asked of a real Prometheus that scrapes the simulated fleet."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agentaflow_dashboards import BOARDS
from agentaflow_dashboards.promql import HELD_BY_NO_POD, IDLE, IDLE_WITH_PODS
from agentaflow_exporter.simulated import SimulatedFleet
from tests.support.boards import panels, queries, variables
from tests.support.promql import selections, substituted
from tests.support.query_cost import Asked, by_default, samples, selectors
from tests.support.watched import GPUS_PER_NODE, NODES, SEED, STEP, Watched, watched_fleet
from tools.figures import figures, said

MOST_SERIES_A_GPU = 20  # Xid codes by GPU
SCRAPE = 15.0  # seconds, as the README advises
FLEET = 10_000  # GPUs
MOST_SAMPLES = {"node.json": 200_000, "gpu.json": 25_000}  # of one node of 16 GPUs, of one GPU
MOST_OF_A_FLEET = 6_500_000
GPUS_OF = {"node.json": 16, "dcgm-node.json": 16, "gpu.json": 1, "dcgm-gpu.json": 1}
DO_NOTHING = {"idle_notebook", "forgotten_process", "unallocated"}
MADE = {name: make() for name, make in BOARDS.items()}
QUERIES = [
    pytest.param(target, id=f"{name}: {title}")
    for name, board in MADE.items()
    for title, target in queries(board)
]
ANNOTATIONS = [
    pytest.param(annotation["expr"], id=f"{name}: {annotation['name']}")
    for name, board in MADE.items()
    for annotation in board["annotations"]["list"]
]
VARIABLES = [
    pytest.param(variable["definition"], id=f"{name}: {variable['name']}")
    for name, board in MADE.items()
    for variable in variables(board).values()
    if variable["type"] == "query"
]


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory, prometheus_binary: Path) -> Iterator[Watched]:
    assert prometheus_binary
    with watched_fleet(tmp_path_factory.mktemp("boards"), 2, "1h") as running:
        yield running


@pytest.mark.parametrize("target", QUERIES)
def test_a_query_has_an_answer(watched: Watched, target: dict[str, Any]) -> None:
    """Each query gives numbers; a line of GPUs has them for the whole hour of history.

    Only the line called none is there just when the others are not.
    """
    series = watched.ask(target)
    if target["legendFormat"] == "none":
        return
    assert series
    for one in series:
        points = one.get("values") or [one["value"]]
        assert all(math.isfinite(float(value)) for _, value in points)
    of_gpus = any(read.metric.startswith("agentaflow_gpu_") for read in selections(target["expr"]))
    if of_gpus and not target["instant"]:
        assert max(len(one["values"]) for one in series) >= 3600 / STEP - 1


@pytest.mark.parametrize("target", QUERIES)
def test_a_line_or_row_is_there_once(watched: Watched, target: dict[str, Any]) -> None:
    """No query gives the same series twice, nor more than a few for each GPU."""
    found = watched.ask(target)
    labels = [frozenset(one["metric"].items()) for one in found]
    assert len(set(labels)) == len(labels)
    assert len(found) <= MOST_SERIES_A_GPU * NODES * GPUS_PER_NODE


Cost = tuple[float, float, str]
"""Samples and series that a query loads, and its panel."""


@pytest.fixture(scope="module")
def costs(watched: Watched) -> dict[str, list[Cost]]:
    """By board, of each query: as it opens on `FLEET` GPUs, or on a node or GPU of theirs."""

    @functools.cache
    def counted(selector: str) -> float:
        """In the past, recorded under one exporter's names; else now, as of what `serve` tells."""
        return watched.series(selector, past=True) or watched.series(selector)

    def cost(name: str, panel: dict[str, Any], target: dict[str, Any]) -> Cost:
        asked = by_default(MADE[name], panel, SCRAPE)

        def found(selector: str) -> float:
            """What there is of a cluster, not of its nodes or GPUs, does not grow."""
            grows = GPUS_OF.get(name, FLEET) / (NODES * GPUS_PER_NODE)
            return counted(selector) * (grows if counted(selector) >= NODES else 1)

        loaded = samples(target["expr"], asked, found, at_once=target["instant"])
        return loaded, sum(map(found, selectors(target["expr"], asked))), panel["title"]

    return {
        name: [cost(name, panel, target) for panel in panels(board) for target in panel["targets"]]
        for name, board in MADE.items()
    }


@pytest.mark.parametrize("name", MADE)
def test_what_a_board_costs_is_bounded(costs: dict[str, list[Cost]], name: str) -> None:
    """Opened as it comes, on 10,000 GPUs scraped each 15 s: what its dearest query loads."""
    loaded, touched, title = max(costs[name])
    board = MADE[name]
    print(
        f"\n{name}: {len(panels(board))} panels, {len(costs[name])} queries, opened at"
        f" {board['time']['from']} for {GPUS_OF.get(name, FLEET):,} GPUs; the dearest loads"
        f" {loaded:,.0f} samples of {touched:,.0f} series ({title}); all together"
        f" {sum(each for each, _, _ in costs[name]):,.0f} samples each {board['refresh']}"
    )
    assert loaded <= MOST_SAMPLES.get(name.removeprefix("dcgm-"), MOST_OF_A_FLEET)


@pytest.mark.parametrize("name", MADE)
def test_what_is_reckoned_is_what_prometheus_counts(watched: Watched, name: str) -> None:
    """Over an hour of real samples, Prometheus loads about what the reckoning says, or less.

    It counts what a subquery finds once more, when its function reads it, and what is asked
    only once, `@ end()`, at each step: such queries are left out here.
    """
    found = functools.cache(functools.partial(watched.series, past=True))
    for title, target in queries(MADE[name]):
        if "@ end()" in target["expr"]:
            continue
        hour = Asked(3600, STEP, STEP)
        reckoned = samples(target["expr"], hour, found, at_once=target["instant"])
        often = 2.2 if re.search(r"\[[^]]*:", target["expr"]) else 1.1
        assert watched.samples(target) <= often * reckoned + 100, title


def test_the_figures_are_told(
    costs: dict[str, list[Cost]], record_property: Callable[[str, object], None]
) -> None:
    """What there is of boards, alerts and tests, with the dearest query, at the end of the run."""
    (loaded, touched, title), name = max((max(each), name) for name, each in costs.items())
    worst = (
        f"dearest query on {FLEET:,} GPUs {loaded:,.0f} samples of {touched:,.0f} series"
        f" ({name}: {title})"
    )
    record_property("figures", said(worst))
    assert figures()["queries of panels"] == len(QUERIES)
    assert figures()["queries of variables"] == len(VARIABLES)


@pytest.mark.parametrize("name", ["fleet.json", "cluster.json", "capacity.json", "dcgm-fleet.json"])
def test_the_answers_of_an_overview_do_not_grow_with_the_fleet(watched: Watched, name: str) -> None:
    """Only a top, or the table that has a row for each node, tells of single nodes and GPUs."""
    for title, target in queries(MADE[name]):
        if (
            title.startswith("Each node")
            or "topk(" in target["expr"]
            or "bottomk(" in target["expr"]
        ):
            continue
        single = {label for one in watched.ask(target) for label in one["metric"]}
        assert not single & {"node", "Hostname", "gpu", "uuid", "UUID", "pod"}, title


@pytest.mark.parametrize("definition", VARIABLES)
def test_a_variable_offers_the_fleets_own(watched: Watched, definition: str) -> None:
    """The variables list the simulated cluster, all of its nodes, GPUs, namespaces and pods."""
    series, label = definition.removeprefix("label_values(").removesuffix(")").rsplit(", ", 1)
    values = watched.prometheus.get(
        f"/api/v1/label/{label}/values", **{"match[]": substituted(series)}
    )
    names = {f"node-{index}" for index in range(NODES)}
    offered = {
        "cluster": {"simulated"},
        "node": names,
        "Hostname": names,
        "gpu": {str(index) for index in range(GPUS_PER_NODE)},
        "namespace": {"research", "serving", "training"},
    }
    assert set(values) == offered[label] if label in offered else len(values) > NODES


@pytest.mark.parametrize("expr", ANNOTATIONS)
def test_an_annotation_can_be_asked_for(watched: Watched, expr: str) -> None:
    """Prometheus answers; on a fleet where nothing was changed, no decision and no new driver.

    That they mark what happens is in test_boards_promtool.py.
    """
    found = watched.ask({"expr": expr, "instant": False})
    assert found == [] or "ALERTS" in expr


@pytest.mark.parametrize("target", QUERIES)
def test_choosing_a_node_leaves_the_others_out(watched: Watched, target: dict[str, Any]) -> None:
    """With one node chosen, nothing of another node is in any answer."""
    if "$node" not in target["expr"]:
        return
    chosen = watched.ask(target, **{"$node": "node-3"})
    labels = [one["metric"] for one in chosen]
    names = {each.get("Hostname", each.get("node", "node-3")) for each in labels}
    assert names <= {"node-3", "none"}


def test_gpus_that_did_nothing_are_listed_as_idle(watched: Watched) -> None:
    """Over an hour, idle GPUs are those whose story says so, and no other."""
    fleet = SimulatedFleet(NODES, GPUS_PER_NODE, SEED)
    places = [(node, gpu) for node in fleet.nodes for gpu in range(GPUS_PER_NODE)]
    idle = {place for place in places if fleet.truth(*place).name in DO_NOTHING}
    assert watched.gpus(IDLE) == watched.gpus(IDLE_WITH_PODS) == idle


def test_the_forgotten_process_is_found(watched: Watched) -> None:
    """Memory that no pod holds is the forgotten process, and nothing else."""
    stories = SimulatedFleet(NODES, GPUS_PER_NODE, SEED).stories()
    forgotten = {(story.node, story.gpu) for story in stories if story.name == "forgotten_process"}
    assert watched.gpus(HELD_BY_NO_POD) == forgotten
    assert forgotten
