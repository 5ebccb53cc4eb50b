"""Every query of every board, asked of a real Prometheus that scrapes the simulated fleet."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentaflow_dashboards import BOARDS
from agentaflow_dashboards.promql import HELD_BY_NO_POD, IDLE, IDLE_WITH_PODS
from agentaflow_exporter.simulated import SimulatedFleet
from tests.support.boards import queries, variables
from tests.support.promql import EVERYTHING, selections, substituted
from tools.processes import Program, free_port
from tools.prometheus import OPENER, PrometheusServer

NODES, GPUS_PER_NODE, SEED = 8, 4, 7
SHAPE = [f"--nodes={NODES}", f"--gpus-per-node={GPUS_PER_NODE}", f"--seed={SEED}"]
STEP = 60
LAST_HOUR = {**EVERYTHING, "$__rate_interval": "4m", "$__range": "1h"}
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


@dataclass(frozen=True, slots=True)
class Watched:
    """A simulated fleet under a Prometheus that knows its last two hours."""

    prometheus: PrometheusServer
    now: float

    def ask(self, target: dict[str, Any], **chosen: str) -> list[dict[str, Any]]:
        """What Grafana would get for the last hour, a point a minute."""
        expr = substituted(target["expr"], {**LAST_HOUR, **chosen})
        if target["instant"]:
            return list(self.prometheus.get("/api/v1/query", query=expr, time=self.now)["result"])
        return self.prometheus.query_range(expr, self.now - 3600, self.now, f"{STEP}s")

    def gpus(self, promql: str) -> set[tuple[str, int]]:
        rows = self.ask({"expr": promql, "instant": True})
        return {(row["metric"]["node"], int(row["metric"]["gpu"])) for row in rows}


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory, prometheus_binary: Path) -> Iterator[Watched]:
    assert prometheus_binary
    folder = tmp_path_factory.mktemp("boards")
    program = Path(sys.executable).parent / "agentaflow-exporter"
    history = folder / "history.om"
    backfill = ["--backfill=2h", f"--step={STEP}s", f"--output={history}"]
    subprocess.run([program, "simulate", *SHAPE, *backfill], check=True, timeout=120)
    address = f"127.0.0.1:{free_port()}"
    command: list[str | Path] = [program, "simulate", *SHAPE, f"--web.listen-address={address}"]
    simulator = Program(command, folder / "simulator.log")
    try:
        simulator.wait_until(lambda: _answers(f"http://{address}/sd"), seconds=30)
        server = PrometheusServer(
            folder / "prometheus", http_sd=f"http://{address}/sd", blocks_from=history
        )
        with server as prometheus:
            # two scrapes of each: rates need them, and info metrics join on the first
            prometheus.wait_for(
                f"count(count_over_time(agentaflow_gpu_devices[1m]) > 2) == {NODES}"
            )
            yield Watched(prometheus, float(prometheus.query("time()")[1]))  # type: ignore[arg-type]
    finally:
        simulator.stop()


def _answers(url: str) -> bool:
    try:
        with OPENER.open(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


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
    """No query gives more than two series for each GPU, so that nothing is drawn twice."""
    assert len(watched.ask(target)) <= 2 * NODES * GPUS_PER_NODE


@pytest.mark.parametrize("definition", VARIABLES)
def test_a_variable_offers_the_fleets_own(watched: Watched, definition: str) -> None:
    """The variables list the simulated cluster and all of its nodes."""
    series, label = definition.removeprefix("label_values(").removesuffix(")").rsplit(", ", 1)
    values = watched.prometheus.get(
        f"/api/v1/label/{label}/values", **{"match[]": substituted(series)}
    )
    names = {f"node-{index}" for index in range(NODES)}
    assert set(values) == {"cluster": {"simulated"}, "node": names}[label]


@pytest.mark.parametrize("target", QUERIES)
def test_choosing_a_node_leaves_the_others_out(watched: Watched, target: dict[str, Any]) -> None:
    """With one node chosen, nothing of another node is in any answer."""
    chosen = watched.ask(target, **{"$node": "node-3"})
    assert {one["metric"].get("node", "node-3") for one in chosen} <= {"node-3"}


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
