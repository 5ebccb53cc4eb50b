"""`agentaflow-exporter simulate`: a whole fleet behind one port, and what is said to bad flags."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from agentaflow_exporter import cli
from agentaflow_exporter.settings import Settings
from agentaflow_exporter.simulate import FleetApp
from agentaflow_exporter.simulated import SimulatedFleet
from tests.support.web import get, serving

Address = tuple[str, int]


@pytest.fixture(scope="module")
def fleet() -> SimulatedFleet:
    return SimulatedFleet(nodes=3, gpus_per_node=4, seed=7, clock=lambda: 1_795_000_000.0)


@pytest.fixture(scope="module")
def address(fleet: SimulatedFleet) -> Iterator[Address]:
    with serving(FleetApp(fleet)) as bound:
        yield bound


def test_each_node_has_the_metrics_of_an_exporter(fleet: SimulatedFleet, address: Address) -> None:
    """A node's path answers what prometheus_client can parse, of that node's GPUs alone."""
    for node in fleet.nodes:
        text = get(address, f"/node/{node}/metrics").body.decode()
        families = {f.name: f for f in text_string_to_metric_families(text)}
        uuids = {s.labels["uuid"] for s in families["agentaflow_gpu_up"].samples}
        assert uuids == {fleet.truth(node, gpu).uuid for gpu in range(4)}
        pods = {s.labels["pod"] for s in families["agentaflow_gpu_pod_info"].samples}
        assert pods == {pod.pod for pod in fleet.pods(node)}


def test_nodes_understand_what_an_exporter_does(address: Address) -> None:
    """collect[], OpenMetrics and compression work as with a real node."""
    answer = get(
        address,
        "/node/node-0/metrics?collect[]=power",
        "Accept: application/openmetrics-text; version=1.0.0\r\n",
    )
    assert answer.body.endswith(b"# EOF\n")
    assert b"agentaflow_gpu_power_watts{" in answer.body
    assert b"agentaflow_gpu_clock_hertz{" not in answer.body
    packed = get(address, "/node/node-0/metrics", "Accept-Encoding: gzip\r\n")
    assert packed.headers["content-encoding"] == "gzip"


def test_nodes_speak_other_names(fleet: SimulatedFleet) -> None:
    """Each node has the names that were asked for, and itself as the host."""
    app = FleetApp(fleet, Settings(compat="dcgm-4.6", own_metrics=False))
    with serving(app) as address:
        for node in fleet.nodes:
            text = get(address, f"/node/{node}/metrics").body.decode()
            families = {f.name: f for f in text_string_to_metric_families(text)}
            found = families["DCGM_FI_DEV_GPU_TEMP_CELSIUS"].samples
            assert {s.labels["hostname"] for s in found} == {node}
            assert {s.labels["UUID"] for s in found} == {
                fleet.truth(node, gpu).uuid for gpu in range(4)
            }
            assert "agentaflow_gpu_temperature_celsius" not in families


def test_service_discovery_lists_every_node(fleet: SimulatedFleet, address: Address) -> None:
    """Prometheus' http_sd gets a group for each node, to be reached as this page was."""
    answer = get(address, "/sd")
    assert answer.headers["content-type"] == "application/json"
    groups = json.loads(answer.body)
    assert [group["targets"] for group in groups] == [["x"]] * 3  # the request's Host header
    assert [group["labels"] for group in groups] == [
        {
            "__metrics_path__": f"/node/{node}/metrics",
            "node": node,
            "instance": node,
            "cluster": "simulated",
        }
        for node in fleet.nodes
    ]
    for group in groups:
        assert get(address, group["labels"]["__metrics_path__"]).status == 200


def test_the_landing_page_tells_the_stories(fleet: SimulatedFleet, address: Address) -> None:
    """It links every node and says what is true of whom."""
    page = get(address, "/").body.decode()
    assert re.findall(r'href="(/node/[^"]+)"', page) == [f"/node/{n}/metrics" for n in fleet.nodes]
    assert all(story.truth in page for story in fleet.stories())


@pytest.mark.parametrize("path", ["/-/healthy", "/-/ready"])
def test_it_says_that_it_lives(address: Address, path: str) -> None:
    """The usual two paths answer 200."""
    assert get(address, path).status == 200


@pytest.mark.parametrize(
    "path", ["/metrics", "/node/node-3/metrics", "/node/node-0", "/node/../sd", "/node//metrics"]
)
def test_other_paths_are_not_found(address: Address, path: str) -> None:
    """404 and one line that says what there is."""
    answer = get(address, path)
    assert answer.status == 404
    assert answer.body.count(b"\n") == 1


def test_forgetting_a_node_changes_nothing() -> None:
    """With more nodes than are remembered, each answers the same when asked again."""
    fleet = SimulatedFleet(nodes=70, gpus_per_node=1, seed=7, clock=lambda: 1_795_000_000.0)
    with serving(FleetApp(fleet)) as address:
        rounds = [
            [get(address, f"/node/{n}/metrics?collect[]=power").body for n in fleet.nodes]
            for _ in range(2)
        ]
    first, second = ([_gpu_lines(body) for body in bodies] for bodies in rounds)
    assert first == second


def _gpu_lines(body: bytes) -> list[bytes]:
    return [line for line in body.splitlines() if line.startswith(b"agentaflow_gpu_")]


def test_the_command_serves_until_it_is_stopped() -> None:
    """It says where it listens, answers there, and ends with 0 on SIGTERM."""
    command = [sys.executable, "-m", "agentaflow_exporter.cli", "simulate", "--nodes", "2"]
    with subprocess.Popen(
        [*command, "--web.listen-address", "127.0.0.1:0"], stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr
        listening = re.search(r"address=127\.0\.0\.1:(\d+)", process.stderr.readline())
        assert listening
        assert get(("127.0.0.1", int(listening[1])), "/node/node-1/metrics").status == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--nodes", "0"], "argument --nodes: '0' is not a number from 1 to 10000"),
        (["--gpus-per-node", "many"], "argument --gpus-per-node: 'many' is not a number from"),
        (["--backfill", "soon"], "argument --backfill: 'soon' is not a duration: write for"),
        (["--backfill", "1d"], "--backfill and --output belong together; give both"),
        (["--output", "x"], "--backfill and --output belong together; give both"),
        (["--backfill", "1d", "--output", "x", "--step", "500ms"], "no whole number of seconds"),
        (["--backfill", "1s", "--output", "x", "--step", "1w"], "--backfill: 0 steps of"),
        (["--backfill", "9y", "--output", "x", "--step", "1s"], "steps of 1 s; choose"),
        (["--backfill", "1h", "--output", "no/x"], "--output: no/x: No such file or directory"),
        (["--backfill", "1h", "--output", "/"], "--output: / is a folder; name a file in it"),
        (["--web.listen-address", "nowhere"], "cannot listen on 'nowhere'"),
        (["--web.config.file", "no.yml"], "no.yml: cannot be read"),
        (["--compat", "nagios"], "--compat: 'nagios' does not do: give one of dcgm, dcgm-4.6"),
        (["--no-metrics.own"], "--no-metrics.own leaves no readings: give --compat as well"),
        (["--colour"], "unrecognized arguments: --colour"),
    ],
)
def test_bad_flags_are_one_line(
    flags: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What, where and what to do, and an exit code that is not 0."""
    monkeypatch.chdir(tmp_path)
    try:
        code: int | str | None = cli.main(["simulate", "--end", "1795000000", *flags])
    except SystemExit as stopped:
        code = stopped.code
    lines = capsys.readouterr().err.splitlines()
    assert code
    assert message in lines[-1]
    assert len(lines) == 1
    assert list(tmp_path.iterdir()) == []
