"""Runs carried by a real Dask scheduler and two workers on loopback."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import create_server

import pytest
from distributed import Client, get_task_stream

from tests.support.cli import Cli
from tests.support.dask_workers import dask_workers
from tools.processes import free_port
from tools.terminal import BIN

NODES = "sn,cpu_milli,memory_mib,gpu,model\n" + "".join(
    f"n{number},64000,262144,8,T4\n" for number in range(20)
)
PODS = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec\n" + "".join(
    f"p{number},{1000 * (1 + number % 7)},4096,1,{(300, 500, 1000)[number % 3]},\n"
    for number in range(150)
)


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(capsys)


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with dask_workers(tmp_path_factory.mktemp("dask")) as address:
        yield address


@pytest.fixture
def lists(tmp_path: Path) -> list[str]:
    (tmp_path / "nodes.csv").write_text(NODES)
    (tmp_path / "pods.csv").write_text(PODS)
    return ["--nodes", str(tmp_path / "nodes.csv"), "--pods", str(tmp_path / "pods.csv")]


def test_workers_give_the_answer_that_processes_give(
    cli: Cli, scheduler: str, lists: list[str]
) -> None:
    """The same figures, and both workers made some of the runs."""
    asked = ["replay", *lists, "--seeds", "1-12", "-o", "json"]
    here = cli(*asked, "--jobs", "1").json
    with (
        Client(scheduler, set_as_default=False) as client,
        get_task_stream(client=client) as stream,
    ):
        ran = cli(*asked, "--dask", scheduler)
    assert ran.code == 0, ran.err
    for name in ("unallocated_percent", "fragmented_percent", "refused_pods"):
        assert ran.json[name] == here[name]
    assert len({task["worker"] for task in stream.data if "once" in str(task["key"])}) == 2


def test_workers_simulate_too(cli: Cli, scheduler: str, lists: list[str]) -> None:
    """Jobs that come and go: the same figures."""
    asked = ["simulate", *lists, "--num-jobs", "300", "--seeds", "1-4", "-o", "json"]
    here, there = cli(*asked, "--jobs", "1").json, cli(*asked, "--dask", scheduler).json
    for ours, theirs in zip(here["outcomes"], there["outcomes"], strict=True):
        assert ours["overall"] == theirs["overall"]


@pytest.mark.parametrize("address", ["garbage", "tcp://127.0.0.1:PORT", "http://127.0.0.1:PORT"])
def test_nobody_at_the_address(lists: list[str], address: str) -> None:
    """One line and exit code 3; nothing of Dask comes after it."""
    refused(lists, address.replace("PORT", str(free_port())))


def test_somebody_else_at_the_address(lists: list[str]) -> None:
    """A web server, and one that says nothing: neither is waited for longer."""
    with ThreadingHTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        refused(lists, f"tcp://127.0.0.1:{web.server_port}")
        web.shutdown()
    with create_server(("127.0.0.1", 0)) as silent:
        refused(lists, f"tcp://127.0.0.1:{silent.getsockname()[1]}")


def refused(lists: list[str], address: str) -> None:
    command = [str(BIN / "agentaflow"), "replay", *lists, "--seeds", "1", "--dask", address]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 3
    assert ran.stderr.startswith(f"agentaflow: no Dask scheduler answers at {address}: ")
    assert ran.stderr.count("\n") == 1
