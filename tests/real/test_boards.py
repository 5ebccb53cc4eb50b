"""Every query of every board, asked of a real Prometheus that scrapes the simulated fleet."""

from __future__ import annotations

import math
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentaflow_dashboards import BOARDS
from agentaflow_dashboards.promql import HELD_BY_NO_POD, IDLE, IDLE_WITH_PODS
from agentaflow_exporter.simulated import SimulatedFleet
from tests.support.boards import panels, queries, variables
from tests.support.promql import EVERYTHING, selections, substituted
from tests.support.watched import GPUS_PER_NODE, NODES, SEED, STEP, Watched, watched_fleet

MOST_SERIES_A_GPU = 20  # Xid codes by GPU
MOST_SAMPLES_A_GPU = 2500  # 17 Xid codes in every sample of an hour
DO_NOTHING = {"idle_notebook", "forgotten_process", "unallocated"}
MADE = {name: make() for name, make in BOARDS.items()}
QUERIES = [
    pytest.param(target, id=f"{name}: {title}")
    for name, board in MADE.items()
    for title, target in queries(board)
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
    with watched_fleet(tmp_path_factory.mktemp("boards"), "2h", "1h") as running:
        yield running


@pytest.mark.parametrize("target", QUERIES)
def test_a_query_has_an_answer(watched: Watched, target: dict[str, Any]) -> None:
    """Each query gives numbers; a line of GPUs has them for the whole hour of history."""
    series = watched.ask(target)
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


@pytest.mark.parametrize("name", MADE)
def test_what_a_board_costs_is_bounded(watched: Watched, name: str) -> None:
    """Samples that Prometheus loads for an hour in steps of a minute, a GPU and a step."""
    costs = {
        title: watched.samples(target) / (1 if target["instant"] else 3600 / STEP)
        for title, target in queries(MADE[name])
    }
    dearest = max(costs, key=lambda title: costs[title])
    gpus = NODES * GPUS_PER_NODE
    print(
        f"\n{name}: {len(panels(MADE[name]))} panels, {len(costs)} queries; the dearest loads"
        f" {costs[dearest] / gpus:.0f} samples a GPU and step ({dearest})"
    )
    assert costs[dearest] <= MOST_SAMPLES_A_GPU * gpus


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


@pytest.mark.parametrize("target", QUERIES)
def test_choosing_a_node_leaves_the_others_out(watched: Watched, target: dict[str, Any]) -> None:
    """With one node chosen, nothing of another node is in any answer."""
    if "$node" not in target["expr"]:
        return
    chosen = watched.ask(target, **{"$node": "node-3"})
    labels = [one["metric"] for one in chosen]
    names = {each.get("Hostname", each.get("node", "node-3")) for each in labels}
    assert names <= {"node-3"}


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


# -- what the simulated fleet has not: promtool answers the board's own queries on series of ours --


def series(metric: str, values: str, **labels: str) -> dict[str, str]:
    labels = {"cluster": "c", "node": "n", "gpu": "0", "uuid": "GPU-0", **labels}
    text = ",".join(f'{name}="{value}"' for name, value in labels.items())
    return {"series": f"agentaflow_gpu_{metric}{{{text}}}", "values": values}


def pod(name: str, **labels: str) -> dict[str, str]:
    return series("pod_info", "1x60", namespace="a", pod=name, container="main", **labels)


def gpu(number: str, up: str, utilization: str) -> list[dict[str, str]]:
    """A GPU with 4 GiB in use."""
    one = {"gpu": number, "uuid": f"GPU-{number}"}
    return [
        series("up", up, **one),
        series("utilization_ratio", utilization, engine="gpu", **one),
        series("memory_used_bytes", "4294967296x60", **one),
    ]


@pytest.mark.parametrize(
    ("query", "beside", "answers"),
    [
        pytest.param(f"count({IDLE})", [pod("one"), pod("two")], None, id="shared GPU once"),
        pytest.param(IDLE_WITH_PODS, [pod("one"), pod("two")], ["one", "two"], id="row a pod"),
        pytest.param(IDLE_WITH_PODS, [], [""], id="idle without a pod"),
        pytest.param(
            IDLE_WITH_PODS,
            gpu("1", up="_x50 1x10", utilization="_x50 0x10"),
            [""],
            id="a GPU that came ten minutes ago is not judged",
        ),
        pytest.param(
            IDLE_WITH_PODS,
            gpu("1", up="1x60", utilization="0x39 1 0x20"),
            [""],
            id="one minute of work is not idle",
        ),
        pytest.param(HELD_BY_NO_POD, [], [], id="pods are not known in this cluster"),
        pytest.param(HELD_BY_NO_POD, [pod("one")], [], id="held by a pod"),
        pytest.param(HELD_BY_NO_POD, [pod("one", gpu="1", uuid="GPU-1")], [""], id="held by none"),
    ],
)
def test_an_idle_gpu_and_what_stands_beside_it(
    promtool: Path,
    tmp_path: Path,
    query: str,
    beside: list[dict[str, str]],
    answers: list[str] | None,
) -> None:
    """The rows are those of the idle GPU's pods; counted, a shared GPU is one GPU."""
    idle = gpu("0", up="1x60", utilization="0x60")
    expected = [_row(name) for name in answers or []]
    if answers is None:
        expected = [{"labels": "{}", "value": 1}]
    promtool_finds(promtool, tmp_path, [*idle, *beside], query, expected)


def test_slowed_down_gpus_are_measured_where_they_can_be(promtool: Path, tmp_path: Path) -> None:
    """Time counters count by their share; a GPU without them counts by its state."""
    (target,) = (
        target
        for title, target in queries(MADE["fleet.json"])
        if title.startswith("GPUs slowed down")
    )
    reason = {"reason": "sw_power_cap"}
    given = [
        series("clock_event_seconds_total", "0+30x60", **reason),
        series("clock_event_active", "1x60", **reason),
        series("clock_event_active", "1x60", gpu="1", uuid="GPU-1", **reason),
        series("clock_event_active", "1x60", reason="gpu_idle"),
    ]
    expected = [{"labels": '{reason="sw_power_cap"}', "value": 1.5}]
    promtool_finds(promtool, tmp_path, given, target["expr"], expected)


def promtool_finds(
    promtool: Path,
    folder: Path,
    given: list[dict[str, str]],
    query: str,
    expected: list[dict[str, Any]],
) -> None:
    expr = substituted(query, {**EVERYTHING, "$__rate_interval": "4m"})
    check = {"expr": expr, "eval_time": "55m", "exp_samples": expected}
    test = {"interval": "1m", "input_series": given, "promql_expr_test": [check]}
    path = folder / "test.yaml"
    path.write_text(yaml.safe_dump({"rule_files": [], "tests": [test]}))
    ended = subprocess.run([promtool, "test", "rules", path], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def _row(pod_name: str) -> dict[str, Any]:
    of_gpu = 'cluster="c",gpu="0",node="n",uuid="GPU-0"'
    of_pod = f',namespace="a",pod="{pod_name}"' if pod_name else ""
    return {"labels": f"{{{of_gpu}{of_pod}}}", "value": 2**32}
